"""Which of libcurl's sockets are bound to which source, so that those of one source can be ended at once.

Step 7 of a request's way, on the event loop. libcurl keeps idle connections to itself and has no call that closes those
of one source; but it shows us every socket when it opens it, and a socket that is shut down from outside is found dead
when libcurl next looks at it. A number that libcurl has closed may name somebody else's file by now, so each is known
by its inode too, and is not touched where that differs.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass

from dispatcher.agent.binding import bind_freely


@dataclass(slots=True)
class _Known:
    """A socket as it was when it was opened, and its local end once it is connected."""

    inode: int
    source: str
    local_end: tuple[str, int] | None = None
    was_shut: bool = False


class SourceSockets:
    """The sockets opened so far, by file descriptor; a reused descriptor replaces its predecessor.

    So it holds no more than the process ever had descriptors at one time.
    """

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}
        self._by_local_end: dict[tuple[str, int], int] = {}

    def opened(self, fd: int, source: str) -> None:
        """Remember that `fd` is about to be bound to `source`."""
        before = self._known.get(fd)
        if before is not None and before.local_end is not None and self._by_local_end.get(before.local_end) == fd:
            del self._by_local_end[before.local_end]
        self._known[fd] = _Known(os.fstat(fd).st_ino, source)

    def connected(self, fds: list[int], local_ip: str, local_port: int) -> bool:
        """Say whether one of `fds` has this local end, and remember it there.

        A host with several addresses may have several sockets opened, of which libcurl uses the first to connect.
        """
        for fd in fds:
            if self._is_open(fd) and _local_end(fd) == (local_ip, local_port):
                self._known[fd].local_end = (local_ip, local_port)
                self._by_local_end[local_ip, local_port] = fd
                return True
        return False

    def is_dead(self, local_ip: str, local_port: int) -> bool:
        """Whether the idle connection with this local end is no good for another request.

        It was closed, by its peer or by us, or its peer has said something that nobody has asked for: a farewell as
        often as not, and in HTTP/1 a text that would be taken for the next answer.
        """
        fd = self._by_local_end.get((local_ip, local_port))
        if fd is None or not self._is_open(fd):
            return False
        if self._known[fd].was_shut:
            return True  # of a UDP socket (HTTP/3) reading would not tell
        with _Borrowed(fd) as handle:
            return not _is_quiet(handle)

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
        try:
            return os.fstat(fd).st_ino == self._known[fd].inode
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


def _is_quiet(handle: socket.socket) -> bool:
    """Whether there is nothing to read, not even an end."""
    try:
        handle.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


class _Borrowed:
    """A socket object over a descriptor that stays libcurl's."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)

    def __enter__(self) -> socket.socket:
        return self._socket

    def __exit__(self, *_: object) -> None:
        self._socket.detach()
