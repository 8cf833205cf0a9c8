"""Notices a caller that takes nothing of its answer: after the last step of a request's way, on the event loop.

As nginx's `send_timeout`, it bounds the time between two successes and not the whole answer, so a reader that is merely
slow goes on. What would surprise: what counts is what the other end's system has acknowledged, not only what this one's
has taken. Linux lets a process write again only once a third of megabytes is free, which a slow reader takes minutes
for; other systems do not say how much they still keep, and there it is what they have taken.
"""

from __future__ import annotations

import fcntl
import struct
import sys
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from tornado.iostream import IOStream

LOOKS = 4
"""How often a connection is looked at within the timeout: it may end a quarter late."""

_SHORTEST_PAUSE = 0.02
"""Seconds between two looks, whatever the timeout."""


class SendTimeout:
    """One connection's. Without `seconds` it never ends."""

    def __init__(self, stream: IOStream, seconds: float) -> None:
        """Watch what leaves on `stream`."""
        self._stream = stream
        self._seen: tuple[int, int] | None = None
        self._since = 0.0
        self.seconds = seconds

    def has_ended(self, now: float) -> bool:
        """Look; say whether something waits of which nothing was taken for `seconds`, as far as looks have told."""
        if not self.seconds or not self._stream.writing():
            self._seen = None
            return False
        taken = self._stream._total_write_done_index, _kept(self._stream.socket)  # noqa: SLF001 (nothing else tells)
        if taken != self._seen:
            self._seen, self._since = taken, now
        return now - self._since >= self.seconds

    def next_look(self, now: float) -> float:
        """Say when to look again; only where there are `seconds`."""
        return now + max(_SHORTEST_PAUSE, self.seconds / LOOKS)


def _kept(connection: socket.socket) -> int:
    """Return how many bytes the system still keeps that were not acknowledged; always 0 where it does not say."""
    if sys.platform != "linux":
        return 0
    (kept,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4))
    return int(kept)
