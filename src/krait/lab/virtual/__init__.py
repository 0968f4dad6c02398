# SPDX-License-Identifier: Apache-2.0
"""Virtual machines: a machine of the lab with a kernel of its own, in QEMU, on the host's files."""
