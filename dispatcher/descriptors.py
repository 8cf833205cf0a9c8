"""Makes room for connections: each is a file descriptor, and systems give a process 1,024 (macOS 256) until it asks.

Called once at a coordinator's or an agent's start. Out of descriptors nothing can be accepted and nothing refused
either, so a limit that the system does not allow becomes a smaller one that is kept.
"""

from __future__ import annotations

import logging
import resource
from contextlib import suppress

logger = logging.getLogger(__name__)

RESERVED = 256
"""Descriptors beside the connections: the databases, the program's own file, threads' wake-ups, those turned away."""


def make_room(connections: int, option: str, reserved: int = RESERVED) -> int:
    """Raise this process's limit as far as `connections` need it; return how many there may be.

    Fewer than asked for are warned of by the name of their `option`.
    """
    reached = _allow(connections + reserved)
    if reached is None:
        return connections
    room = max(1, reached - reserved)
    logger.warning("%s is %d here: this process may open %d files at most", option, room, reached)
    return room


def _allow(wanted: int) -> int | None:
    """Let this process open so many files; return how many it may where that is fewer, else None."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _is_enough(soft, wanted):
        return None
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if _is_enough(hard, wanted) else hard, hard))
    # Looked at again, since macOS has a limit beside this one, and gives less without a word.
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if _is_enough(soft, wanted) else soft


def _is_enough(limit: int, wanted: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= wanted
