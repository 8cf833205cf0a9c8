"""Where the agent learns its machine's addresses: the kernel's netlink, or what there is in its place.

Stands before a request's way, on the agent's event loop. Three sources, in order: netlink, which tells of changes by
itself; /proc/net/if_inet6 where sockets of that family are refused (hardened services, some containers); and the host
name's addresses where neither exists (not Linux), which knows no flags. A list comes in pieces, one loop turn each,
so ten thousand addresses hold up nothing.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import os
import socket
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dispatcher.agent.addresses import local_routes, netlink
from dispatcher.agent.addresses.binding import bind_error
from dispatcher.agent.addresses.netlink import KernelAddress, NetlinkError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How often a source is read that does not tell of changes: they shall be known within a second or so."""

LIST_TIMEOUT_SECONDS = 10.0
"""How long the kernel may take for one piece of a list; it takes less than a millisecond."""

_PIECE_BYTES = 65_536  # the kernel sends lists in pieces of at most 32 KiB
_EVENT_BUFFER_BYTES = 4 * 1024 * 1024
_MAX_WAITING_EVENTS = 10_000  # more than that, and a new list is cheaper than the events
_DATAGRAMS_A_TURN = 100  # about 2 ms
_PROC_FILE = Path("/proc/net/if_inet6")
_PROC_PIECE = 500
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
    source: AddressSource
    for source in (NetlinkSource(with_routes=bool(explicit)), ProcSource(_PROC_FILE)):
        try:
            source.open(wake)
        except OSError as error:
            logger.warning("%s cannot be used to find addresses: %s", type(source).__name__, error)
        else:
            return source
    return HostNameSource(explicit)


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


class ProcSource:
    """The kernel's text file of IPv6 addresses, read every second. It has the low eight flags and no lifetimes."""

    poll_seconds: float | None = POLL_SECONDS

    def __init__(self, path: Path) -> None:
        """Make a source that reads `path`."""
        self._path = path

    def open(self, wake: Callable[[], None]) -> None:
        """See whether the file is there."""
        self._path.read_bytes()

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def take_events(self) -> list[netlink.NetlinkMessage] | None:
        """Return none: this source has no events."""
        return []

    async def pieces(self) -> AsyncGenerator[list[KernelAddress], None]:
        """Read the file."""
        lines = iter(self._path.read_text().splitlines())
        while piece := parse_proc(itertools.islice(lines, _PROC_PIECE)):
            yield piece
            await asyncio.sleep(0)

    def routed(self, addresses: Iterable[str]) -> Generator[tuple[str, bool], None, None]:
        """Say nothing: the file knows no routes."""
        yield from ()


def parse_proc(lines: Iterable[str]) -> list[KernelAddress]:
    """Read lines of /proc/net/if_inet6: address, interface number, prefix length, scope, flags (hex) and name.

    Raises:
        NetlinkError: a line is not of this form.
    """
    found = []
    for line in lines:
        try:
            raw, index, prefix_length, scope, flags, *_ = line.split()
            address = str(IPv6Address(bytes.fromhex(raw)))
            numbers = (int(index, 16), int(prefix_length, 16), int(scope, 16), int(flags, 16))
        except ValueError as error:
            raise NetlinkError(f"if_inet6 has a line that is none: {line!r}") from error
        found.append(KernelAddress(address, *numbers))
    return found


class HostNameSource:
    """The addresses of the machine's own name, and of those asked for by name the ones that can be bound.

    For systems other than Linux: no flags, no interfaces, and only what the name resolves to.
    """

    poll_seconds: float | None = POLL_SECONDS

    def __init__(self, explicit: Sequence[str] = ()) -> None:
        """Make a source that also looks for the addresses in `explicit`."""
        self._explicit = explicit

    def open(self, wake: Callable[[], None]) -> None:
        """Do nothing: names are resolved when they are needed."""

    def close(self) -> None:
        """Do nothing."""

    def take_events(self) -> list[netlink.NetlinkMessage] | None:
        """Return none: this source has no events."""
        return []

    async def pieces(self) -> AsyncGenerator[list[KernelAddress], None]:
        """Resolve the machine's name in a thread, and try the addresses asked for."""
        yield [KernelAddress(address, 0) for address in await _own_names_addresses()]
        yield [KernelAddress(address, 0) for address in self._explicit if bind_error(address) is None]

    def routed(self, addresses: Iterable[str]) -> Generator[tuple[str, bool], None, None]:
        """Say nothing: what is local by a route is Linux's."""
        yield from ()


async def _own_names_addresses() -> list[str]:
    try:
        answers = await asyncio.get_running_loop().getaddrinfo(
            socket.gethostname(), None, family=socket.AF_INET6, type=socket.SOCK_STREAM
        )
    except socket.gaierror:
        return []
    return [str(IPv6Address(str(answer[4][0]).partition("%")[0])) for answer in answers]


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
    if not hasattr(socket, "AF_NETLINK"):
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
