"""Makes room for connections: each is a file descriptor, and most systems give a process 1,024 unless it asks for more.

Called once at a coordinator's start. Out of descriptors nothing can be accepted and nothing refused either, so a limit
that the system does not allow becomes a smaller one that is kept.
"""

from __future__ import annotations

import logging
import resource

logger = logging.getLogger(__name__)

RESERVED = 256
"""Descriptors beside the connections: the databases, the program's own file, threads' wake-ups, those turned away."""


def make_room(connections: int) -> int:
    """Raise this process's limit as far as `connections` need it; return how many there may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + RESERVED
    if _is_enough(soft, wanted):
        return connections
    reached = wanted if _is_enough(hard, wanted) else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (reached, hard))
    room = max(1, min(connections, reached - RESERVED))
    if room < connections:
        logger.warning("--max-connections is %d here: this process may open %d files at most", room, reached)
    return room


def _is_enough(limit: int, wanted: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= wanted
