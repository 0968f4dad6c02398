# SPDX-License-Identifier: Apache-2.0
"""What an operator installs, made from this checkout and the environment that uv.lock pins."""
