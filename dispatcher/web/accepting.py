"""Takes new connections, a few in each turn of the event loop: before the first step of a request's way.

Tornado takes up to 128 at once, which is much of one turn when a fleet of agents comes back. And where no more files
may be open, Tornado tries again at once, for ever, and logs a trace each time; this waits a second and says why.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

logger = logging.getLogger(__name__)

ACCEPTED_A_TURN = 8
"""Connections taken before everything else has its turn."""

PAUSE_SECONDS = 1.0
"""After a connection that could not be taken."""


class Acceptor:
    """Gives what is accepted on a listening socket, which does not block, to `take`, until it is stopped."""

    def __init__(self, listening: socket.socket, take: Callable[[socket.socket, Any], None]) -> None:
        """Begin to accept on the running loop."""
        self._listening = listening
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._begin()

    def stop(self) -> None:
        """Accept nothing more."""
        self._loop.remove_reader(self._listening)
        if self._pause is not None:
            self._pause.cancel()

    def _begin(self) -> None:
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_A_TURN):
            try:
                connection, address = self._listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                logger.error("cannot take new connections for %g s: %s", PAUSE_SECONDS, error.strerror)  # noqa: TRY400 (the machine's limit, no trace of ours)
                self._loop.remove_reader(self._listening)
                self._pause = self._loop.call_later(PAUSE_SECONDS, self._begin)
                return
            self._take(connection, address)
