"""How long a connection may be idle, and take nothing of its answer: before a request's way, after it, and beside it.

On the event loop. What would surprise: one timer a connection looks every now and then, where Tornado sets one for each
request; so a request costs no more than to note since when nothing is under way.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from dispatcher.web.send_timeout import SendTimeout

if TYPE_CHECKING:
    from tornado.iostream import IOStream

logger = logging.getLogger(__name__)

_NOT_TAKEN = "ended a connection of %s: it took nothing of its answer for %g s (--send-timeout)"


class Patience:
    """Closes a stream of `peer` that is idle for `idle_seconds` (None: for ever) or stuck for `send_seconds` (0: so).

    `idle_since` is the `time.monotonic()` since which its next request is waited for; None while one is under way.
    """

    def __init__(self, stream: IOStream, peer: object, idle_seconds: float | None, send_seconds: float) -> None:
        """Prepare; `watch` begins."""
        self._stream = stream
        self._peer = peer
        self._idle_seconds = idle_seconds
        self._sending = SendTimeout(stream, send_seconds)
        self._timer: asyncio.TimerHandle | None = None
        self.idle_since: float | None = None

    def watch(self) -> None:
        """Look now, and again when patience may have ended, until `end`."""
        now = time.monotonic()
        idle_end = self._idle_end(now)
        if self._sending.has_ended(now):
            logger.info(_NOT_TAKEN, self._peer, self._sending.seconds)
            self._stream.close()
        elif idle_end is not None and idle_end <= now:
            self._stream.close()
        else:
            looks = [] if idle_end is None else [idle_end]
            if self._sending.seconds:
                looks.append(self._sending.next_look(now))
            if looks:
                self._timer = asyncio.get_running_loop().call_later(min(looks) - now, self.watch)

    def end(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _idle_end(self, now: float) -> float | None:
        """Say when patience ends, at the earliest if the connection is not idle; None for never."""
        since = now if self.idle_since is None else self.idle_since
        return None if self._idle_seconds is None else since + self._idle_seconds
