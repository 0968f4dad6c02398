# SPDX-License-Identifier: Apache-2.0
"""Edits of the document of a stage, and what is said of a peer that it does not name."""

WHOLE, BROKEN = "from: app, to: db}", "from: nobody, to: db}"
STRANGER = (
    "peer CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk= is not in the document: "
    "nothing passes to or from it"
)
A_RULE = ("    - {name: peers, from: web, to: app}\n", "")
