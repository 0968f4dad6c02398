# SPDX-License-Identifier: Apache-2.0
"""What a fault of an agent can be about."""

from enum import StrEnum


class Subject(StrEnum):
    """By the word that the log, `status` and its JSON have. Each has one fault at a time.

    What varies, such as a peer or an interface, stands in the fault's message, not here: one
    place in the agent tells what is wrong with a subject, all of it at once, and clears it too.
    """

    DOCUMENT = "document"
    """It is not read, or not taken."""
    WATCHING = "watching"
    """That the document changed is heard of late."""
    EVENTS = "events"
    """That an interface changed is heard of late."""
    INTERFACE = "interface"
    """It cannot be looked at."""
    POLICY = "policy"
    """None can be worked out from the document, as it is here."""
    SHADOW = "shadow"
    """It is not rehearsed."""
    COMMIT = "commit"
    """The kernel does not take the policy."""
    PROGRAMS = "programs"
    """Those of this version are not loaded: another's go on."""
    TABLES = "tables"
    """They do not hold what was written."""
    READING_BACK = "reading back"
    """Whether they do is not known."""
    ENFORCEMENT = "enforcement"
    """A step of a round failed."""
    ELSEWHERE = "elsewhere"
    """The device left, with its filter or without."""
    ORDER = "order"
    """Others see packets first."""
    GUARD = "guard"
    """Some of the other interfaces lack it."""
    CUT_OFF = "cut off"
    """The guard drops what an interface beside it is for."""
    DEVICE = "device"
    """One of Krait's own is not made, or not as it should be."""
    PORT = "port"
    """Somebody else has it."""
    RANGE = "range"
    """Somebody else has addresses of the mesh."""
    IPV6 = "ipv6"
    """This machine has none."""
    ENDPOINTS = "endpoints"
    """A host name does not resolve."""
    RECORDS = "records"
    """Commits are not written down."""
    KEEPING = "keeping"
    """The document to start from another time is not kept."""
    STATUS = "status"
    """The agent's own state is not written."""
