# SPDX-License-Identifier: Apache-2.0
"""What `krait doctor` looks at: one file a group, one function a check.

A check is a line in its group's registry, by name. It returns an Answer, or raises KraitError,
which is an answer too: that check fails. Nothing here changes the machine.
"""
