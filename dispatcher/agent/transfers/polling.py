"""Which of libcurl's sockets are ready: step 7 of a request's way, on the event loop, for `driver.py`.

On Linux it is epoll itself, with its events: Python's `selectors` makes a named tuple for each and looks up two things
for it, which costs a transfer half a microsecond. Elsewhere it is what `selectors` has (kqueue on macOS).
"""

from __future__ import annotations

import select
import selectors
import sys
from contextlib import suppress

if sys.platform == "linux":
    READ, WRITE = select.EPOLLIN, select.EPOLLOUT

    class Poller:
        """Sockets by descriptor, each with what is to be told of it: READ, WRITE or both; a descriptor itself."""

        def __init__(self) -> None:
            """Begin with none."""
            self._epoll = select.epoll()
            self.fileno, self.close = self._epoll.fileno, self._epoll.close
            self.register, self.modify = self._epoll.register, self._epoll.modify
            """Watch a socket, and for something else."""

        def register_again(self, fd: int, events: int) -> None:
            """Watch a descriptor that was watched before and may have been closed, and its number given out, since."""
            try:
                self._epoll.modify(fd, events)
            except FileNotFoundError:  # epoll lets go of what is closed by itself
                self._epoll.register(fd, events)

        def unregister(self, fd: int) -> None:
            """Watch it no more; it may be closed already, of which epoll took note by itself."""
            with suppress(OSError):
                self._epoll.unregister(fd)

        def ready(self, seconds: float = 0.0) -> list[tuple[int, int]]:
            """Return which sockets are ready, and for what; of one that ended or failed more is said, or other bits.

            Where none is, one is waited for.
            """
            return self._epoll.poll(seconds)

else:
    READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

    class Poller:
        """As on Linux."""

        def __init__(self) -> None:
            self._selector = selectors.DefaultSelector()
            self.fileno, self.close = self._selector.fileno, self._selector.close
            self.register, self.modify = self._selector.register, self._selector.modify
            self.unregister = self._selector.unregister

        def register_again(self, fd: int, events: int) -> None:
            """As on Linux; kqueue lets go of what is closed, but `selectors` does not know."""
            self.unregister(fd)
            self.register(fd, events)

        def ready(self, seconds: float = 0.0) -> list[tuple[int, int]]:
            """As on Linux."""
            return [(key.fd, events) for key, events in self._selector.select(seconds)]
