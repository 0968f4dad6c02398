# SPDX-License-Identifier: Apache-2.0
"""How `krait demo` shows what `krait.lab.demo` saw: `page` for people, `report` for programs."""
