"""Which peers understand each other: `(version, revision)`, of which only the first number breaks.

A revision adds fields or messages that an older peer may ignore; a version changes what is already there.
"""

from __future__ import annotations

WIRE = (1, 5)
"""What this side speaks. Revision 1 added `Holding`, 2 `Hello.max_concurrency`, 3 `Welcome.secret_headers`, 4 `Again`
and 5 `Alike` (which are said only to who knows them, since they are not to be ignored)."""

_RESUMING = (1, 1)
_SHARING_REQUESTS = (1, 4)
_SHARING_ANSWERS = (1, 5)

ACCEPTED_VERSIONS = (1,)
"""The versions that this side takes from a peer."""


def is_compatible(peer: tuple[int, int]) -> bool:
    """Say whether a peer that speaks `peer` can be talked to."""
    return peer[0] in ACCEPTED_VERSIONS


def can_resume(peer: tuple[int, int]) -> bool:
    """Say whether a peer goes on with its executions on the next link: it knows `Holding`."""
    return peer >= _RESUMING


def can_share_requests(agent: tuple[int, int]) -> bool:
    """Say whether an agent knows `Again`."""
    return agent >= _SHARING_REQUESTS


def can_share_answers(coordinator: tuple[int, int]) -> bool:
    """Say whether a coordinator knows `Alike`."""
    return coordinator >= _SHARING_ANSWERS


def describe(wire: tuple[int, int]) -> str:
    """Write a wire version for people, such as ``1.0``."""
    return f"{wire[0]}.{wire[1]}"


def mismatch(peer: tuple[int, int]) -> str:
    """Say in one sentence what both sides speak."""
    accepted = ", ".join(str(version) for version in ACCEPTED_VERSIONS)
    return (
        f"the agent speaks wire version {describe(peer)}; "
        f"this coordinator speaks {describe(WIRE)} and accepts version {accepted}"
    )
