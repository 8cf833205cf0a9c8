"""Which of libcurl's sockets are bound to which source, so that those of one source can be ended at once.

Step 7 of a request's way, on the event loop. libcurl keeps idle connections to itself and has no call that closes those
of one source; but it shows us every socket when it opens it, and a socket that is shut down from outside is found dead
when libcurl next looks at it. A number that libcurl has closed may name somebody else's file by now, so each is known
by its inode too (where sockets have none, by its end), and is not touched where that differs.
"""

from __future__ import annotations

import os
import select
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.agent.addresses.binding import bind_freely

if TYPE_CHECKING:
    from collections.abc import Iterable

Ends = tuple[str, int, str, int]
"""Of a connection: local address and port, remote address and port."""


@dataclass(slots=True)
class Known:
    """A socket as it was when it was opened, and once it is connected its ends and who asks whether it is quiet."""

    fd: int
    inode: int
    source: str
    ends: Ends | None = None
    listener: select.poll | None = None
    was_shut: bool = False

    def is_dead(self) -> bool:
        """Whether this connection, which `find` has just found, is no good for another request. A system call.

        It was closed, by its peer or by us, or its peer has said something that nobody has asked for: a farewell as
        often as not, and in HTTP/1 a text that would be taken for the next answer.
        """
        # Of a UDP socket (HTTP/3) that was shut its listener would not tell.
        return self.was_shut or self.listener is None or bool(self.listener.poll(0))


class SourceSockets:
    """The sockets opened so far, by file descriptor; a reused descriptor replaces its predecessor.

    So it holds no more than the process ever had descriptors at one time.
    """

    def __init__(self) -> None:
        self._known: dict[int, Known] = {}
        self._by_ends: dict[Ends, Known] = {}
        self.find = self._by_ends.get
        """Returns the connection with these ends; None where it is not known."""

    def opened(self, fd: int, source: str) -> None:
        """Remember that `fd` is about to be bound to `source`."""
        before = self._known.get(fd)
        if before is not None and before.ends is not None and self._by_ends.get(before.ends) is before:
            del self._by_ends[before.ends]
        self._known[fd] = Known(fd, os.fstat(fd).st_ino, source)

    def connected(self, fds: Iterable[int], ends: Ends) -> bool:
        """Say whether one of `fds` has this local end, and remember it by its ends.

        A host with several addresses may have several sockets opened, of which libcurl uses the first to connect.
        """
        for fd in fds:
            if self._is_open(fd) and _local_end(fd) == ends[:2]:
                known = self._known[fd]
                known.ends, known.listener = ends, _listener(fd)
                self._by_ends[ends] = known
                return True
        return False

    def count(self, source: str) -> int:
        """How many sockets of `source` are still open."""
        return sum(1 for fd in self._of(source) if self._is_open(fd))

    def shut(self, source: str) -> int:
        """End the connections of one source; return how many there were."""
        return sum(self._shut(fd) for fd in self._of(source))

    def shut_all(self) -> int:
        """End all connections; return how many there were."""
        return sum(self._shut(fd) for fd in list(self._known))

    def _of(self, source: str) -> list[int]:
        return [fd for fd, known in self._known.items() if known.source == source]

    def _is_open(self, fd: int) -> bool:
        known = self._known[fd]
        try:
            # macOS numbers no sockets: there it is the address, and once it is connected the port, that tell.
            return os.fstat(fd).st_ino == known.inode and (known.inode != 0 or _has_end(fd, known))
        except OSError:
            return False

    def _shut(self, fd: int) -> bool:
        if not self._is_open(fd) or self._known[fd].was_shut:
            return False
        with _Borrowed(fd) as handle:
            self._known[fd].was_shut = _shut_down(handle)
        return self._known[fd].was_shut


class OpenedSocket:
    """A socket of our own making for libcurl, which takes a copy of its descriptor: this one closes with the object."""

    __slots__ = ("_socket",)

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        """Open it. Raises OSError where the system has none left."""
        self._socket = socket.socket(family, kind, protocol)

    def fileno(self) -> int:
        """Return the descriptor that libcurl copies."""
        return self._socket.fileno()

    def __del__(self) -> None:
        """Close ours; libcurl's copy stays open."""
        self._socket.close()


def free_to_bind(fd: int) -> None:
    """Let libcurl bind `fd` to an address that no interface has; where that is refused, the bind says so."""
    with _Borrowed(fd) as handle, suppress(OSError):
        bind_freely(handle)


def _has_end(fd: int, known: Known) -> bool:
    ip, port = _local_end(fd)
    return ip == known.source if known.ends is None else (ip, port) == known.ends[:2]


def _local_end(fd: int) -> tuple[str, int]:
    with _Borrowed(fd) as handle:
        ip, port = handle.getsockname()[:2]
        return ip, port


def _shut_down(handle: socket.socket) -> bool:
    try:
        handle.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False  # not connected yet, or not any more: there is nothing to end
    return True


def _listener(fd: int) -> select.poll:
    """Tell whether there is anything to read from `fd`, be it an end or an error, in one system call."""
    listener = select.poll()
    listener.register(fd, select.POLLIN)
    return listener


class _Borrowed:
    """A socket object over a descriptor that stays libcurl's."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)

    def __enter__(self) -> socket.socket:
        return self._socket

    def __exit__(self, *_: object) -> None:
        self._socket.detach()
