"""The bind self-test: whether a connection could leave from an address, found out before the pool hears of it.

Stands before a request's way, on the agent's event loop. The test is what libcurl does to a socket before it connects
(TCP, port left open until then), so nothing is sent, no port is used up, and it takes about 15 us.

An address that only a local route makes ours is on no interface, and IPv6 binds to it with IPV6_FREEBIND alone (no
right is needed, Linux 4.15). With it any address can be bound, so no other is ever given it.
"""

from __future__ import annotations

import errno
import heapq
import os
import socket
import sys
from contextlib import suppress

_DISCARD_PORT = 9
"""Nothing is sent to it."""

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0

# The socket module of Python 3.11 does not name these.
_IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h
_IPV6_FREEBIND = 78  # linux/in6.h


def bind_error(address: str, is_routed: bool = False) -> str | None:
    """Bind a TCP socket to `address`; None if that works, else why not, with the error's name and text.

    `is_routed` says that a local route covers the address and no interface has it.
    """
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            _leave_port_open(probe)
            if is_routed:
                bind_freely(probe)
            probe.bind((address, 0))
    except OSError as error:
        number = error.errno or 0
        return f"cannot be bound: {errno.errorcode.get(number, 'error')} ({os.strerror(number)})"
    return None


def lacks_route(source: str, target: str, is_routed: bool = False) -> bool:
    """Whether this machine itself would send nothing from `source` to `target`, both addresses.

    A router far away that says so gives a connection the same error; the kernel's own tables are asked here, by a UDP
    socket that is connected and sends nothing.
    """
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            if is_routed:
                bind_freely(probe)
            probe.bind((source, 0))
            probe.connect((target, _DISCARD_PORT))
    except OSError:
        return True
    return False


def bind_freely(connection: socket.socket) -> None:
    """Let an IPv6 socket be bound to an address that no interface has. Raises OSError where the system cannot."""
    if sys.platform != "linux":
        raise OSError(errno.ENOPROTOOPT, "only Linux binds to addresses that no interface has")
    connection.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)


def _leave_port_open(probe: socket.socket) -> None:
    """Ask for no port, so that a machine that is short of them fails no address. Elsewhere the number is another's."""
    if sys.platform == "linux":
        with suppress(OSError):
            probe.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)


class RetestSchedule:
    """When to test which address again: 1 s after its first failure, then twice as long each time, at most 60 s.

    Decides without a clock of its own: `now` is any steady time in seconds.
    """

    def __init__(self) -> None:
        """Start with nothing to do."""
        self._pauses: dict[str, tuple[float, float]] = {}
        self._queue: list[tuple[float, str]] = []

    def failed(self, address: str, now: float) -> None:
        """Take note of a failure."""
        last, _ = self._pauses.get(address, (FIRST_PAUSE_SECONDS / 2, 0.0))
        pause = min(last * 2, LONGEST_PAUSE_SECONDS)
        self._pauses[address] = pause, now + pause
        heapq.heappush(self._queue, (now + pause, address))

    def forget(self, address: str) -> None:
        """Test this address no more: it passed, or it went."""
        self._pauses.pop(address, None)

    def due(self, now: float) -> list[str]:
        """Take out the addresses whose time has come."""
        found = []
        while self._queue and self._queue[0][0] <= now:
            time, address = heapq.heappop(self._queue)
            if self._is_current(time, address):
                found.append(address)
        return found

    def next_due(self) -> float | None:
        """Return the time of the next test, None where there is none."""
        while self._queue and not self._is_current(*self._queue[0]):
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def _is_current(self, time: float, address: str) -> bool:
        """Say whether an entry of the queue still holds; a later failure or `forget` leaves old ones behind."""
        _, due = self._pauses.get(address, (0.0, -1.0))
        return due == time
