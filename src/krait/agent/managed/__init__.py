# SPDX-License-Identifier: Apache-2.0
"""The device that `krait up` makes and keeps: WireGuard's settings, addresses and routes."""
