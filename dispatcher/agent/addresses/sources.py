"""Where the agent learns its machine's addresses: the kernel's netlink, or what there is in its place.

Stands before a request's way, on the agent's event loop. In order: netlink, which tells of changes by itself, and
where it does not exist (macOS) or is refused (hardened services, some containers) the sources of `polled.py`. A list
comes in pieces, one loop turn each, so ten thousand addresses hold up nothing.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import sys
from typing import TYPE_CHECKING, Protocol

from dispatcher.agent.addresses import local_routes, netlink
from dispatcher.agent.addresses.netlink import NetlinkError
from dispatcher.agent.addresses.polled import HostNameSource, InterfaceSource, ProcSource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator, Sequence

    from dispatcher.agent.addresses.netlink import KernelAddress

logger = logging.getLogger(__name__)

LIST_TIMEOUT_SECONDS = 10.0
"""How long the kernel may take for one piece of a list; it takes less than a millisecond."""

_PIECE_BYTES = 65_536  # the kernel sends lists in pieces of at most 32 KiB
_EVENT_BUFFER_BYTES = 4 * 1024 * 1024
_MAX_WAITING_EVENTS = 10_000  # more than that, and a new list is cheaper than the events
_DATAGRAMS_A_TURN = 100  # about 2 ms
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h; the socket module of Python 3.11 does not name it


class ListInterruptedError(Exception):
    """The addresses changed while the kernel listed them; some may be missing."""


class AddressSource(Protocol):
    """What the watcher needs of a source."""

    poll_seconds: float | None
    """How often to list; None where the source tells of changes."""

    def open(self, wake: Callable[[], None]) -> None:
        """Start; `wake` is called on the loop when there are events to take. Raises OSError where it cannot work."""

    def close(self) -> None:
        """Stop."""

    def take_events(self) -> list[netlink.NetlinkMessage] | None:
        """Take the events that came, in order; None where some were lost and a list is needed."""

    def pieces(self) -> AsyncGenerator[list[KernelAddress], None]:
        """List all addresses. Raises OSError, NetlinkError, TimeoutError or ListInterruptedError."""

    def routed(self, addresses: Iterable[str]) -> Generator[tuple[str, bool], None, None]:
        """Say of each whether a local route covers it; nothing where that is not known. Raises as `pieces`."""


def choose_source(explicit: Sequence[str], wake: Callable[[], None]) -> AddressSource:
    """Open the best source that works here; its `wake` is called on the running loop."""
    for source in _sources(explicit):
        try:
            source.open(wake)
        except (OSError, ImportError) as error:
            logger.warning("%s cannot be used to find addresses: %s", type(source).__name__, error)
        else:
            return source
    return HostNameSource(explicit)


def _sources(explicit: Sequence[str]) -> Iterator[AddressSource]:
    if sys.platform == "linux":
        yield NetlinkSource(with_routes=bool(explicit))
        yield ProcSource()
    yield InterfaceSource()


class NetlinkSource:
    """The kernel's rtnetlink: a socket that hears of every change, and others for lists and questions."""

    poll_seconds: float | None = None

    def __init__(self, event_buffer_bytes: int = _EVENT_BUFFER_BYTES, *, with_routes: bool = False) -> None:
        """Make a source whose events wait in a kernel buffer of this size (an ordinary user may get less).

        With `with_routes` it hears of local routes too. Others are left out, but heard first: on a router with many
        of them that is work for nothing where no address was asked for by name.
        """
        self._groups = netlink.RTMGRP_IPV6_IFADDR | (netlink.RTMGRP_IPV6_ROUTE if with_routes else 0)
        self._buffer_bytes = event_buffer_bytes
        self._socket: socket.socket | None = None
        self._waiting: list[netlink.NetlinkMessage] = []
        self._lost = False
        self._wake: Callable[[], None] = _nothing

    def open(self, wake: Callable[[], None]) -> None:
        """Start to hear of changes."""
        self._wake = wake
        self._socket = netlink_socket(self._groups)
        _enlarge(self._socket, self._buffer_bytes)
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        """Stop to hear of changes."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def take_events(self) -> list[netlink.NetlinkMessage] | None:
        """Take the changes that came since the last call, None where some were lost."""
        events, self._waiting = self._waiting, []
        lost, self._lost = self._lost, False
        return None if lost else events

    async def pieces(self) -> AsyncGenerator[list[KernelAddress], None]:
        """Ask the kernel for all IPv6 addresses. On a socket of its own nothing else can come between the answers."""
        interrupted = False
        with netlink_socket(0) as connection:
            connection.send(netlink.dump_request(sequence=1))
            while True:
                messages = await _receive_list(connection)
                yield [message.address for message in messages if message.address is not None]
                interrupted |= any(message.interrupted for message in messages)
                if messages and messages[-1].type == netlink.NLMSG_DONE:
                    break
        if interrupted:
            raise ListInterruptedError("the addresses changed while the kernel listed them")

    def routed(self, addresses: Iterable[str]) -> Generator[tuple[str, bool], None, None]:
        """Ask the kernel of each address where a packet to it would go."""
        with netlink_socket(0) as connection:
            yield from local_routes.ask(connection, addresses)

    def _read(self) -> None:
        """Take what waits, up to a bound; the loop calls again while there is more."""
        assert self._socket is not None
        try:
            for _ in range(_DATAGRAMS_A_TURN):
                data, sender = self._socket.recvfrom(_PIECE_BYTES)
                if sender[0] == 0:  # 0 is the kernel; other processes can send here too
                    self._waiting.extend(netlink.parse(data))
        except BlockingIOError:
            pass
        except (OSError, NetlinkError) as error:
            self._lose(error)
        if len(self._waiting) > _MAX_WAITING_EVENTS:
            self._lost = True
            self._waiting.clear()
        self._wake()

    def _lose(self, error: Exception) -> None:
        """Remember that events are missing. A full buffer (ENOBUFS) is usual under load, all else is not."""
        self._lost = True
        full = isinstance(error, OSError) and error.errno == errno.ENOBUFS
        logger.log(logging.DEBUG if full else logging.WARNING, "address events were lost: %s", error)


async def _receive_list(connection: socket.socket) -> list[netlink.NetlinkMessage]:
    """Receive the next piece of a list, and give the loop a turn: the kernel always has the next one ready."""
    async with asyncio.timeout(LIST_TIMEOUT_SECONDS):
        data, sender = await asyncio.get_running_loop().sock_recvfrom(connection, _PIECE_BYTES)
        await asyncio.sleep(0)
    if sender[0] != 0:
        return []
    messages = list(netlink.parse(data))
    for message in messages:
        if message.errno:
            raise NetlinkError(f"the kernel lists no addresses: {os.strerror(message.errno)}")
    return messages


def netlink_socket(groups: int) -> socket.socket:
    """Open a socket to the kernel's rtnetlink, in these multicast groups. Raises OSError where it cannot be."""
    if sys.platform != "linux":
        raise OSError(errno.EAFNOSUPPORT, "this system has no netlink")
    connection = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    try:
        connection.bind((0, groups))
    except OSError:
        connection.close()
        raise
    return connection


def _enlarge(connection: socket.socket, size: int) -> None:
    """Set the receive buffer, past the system's limit where we have the right."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except OSError:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def _nothing() -> None:
    """Wake nobody: the source is not open yet."""
