"""Sources of addresses that tell of no changes, and so are read every second: for where there is no netlink.

Stands before a request's way, on the agent's event loop. The best is the C library's list, all there is on macOS; on
Linux, where netlink is refused, it is the kernel's own file, which has flags. The host name's addresses are the last
resort (a Python without ctypes).
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from contextlib import closing
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

from dispatcher.agent.addresses.binding import bind_error
from dispatcher.agent.addresses.netlink import KernelAddress, NetlinkError, NetlinkMessage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence

POLL_SECONDS = 1.0
"""How often a source is read that does not tell of changes: they shall be known within a second or so."""

_PROC_FILE = Path("/proc/net/if_inet6")
_PIECE = 500  # some 5 ms of work


class _Polled:
    """What has no events and knows no routes."""

    poll_seconds: float | None = POLL_SECONDS

    def close(self) -> None:
        """Do nothing: nothing stays open."""

    def take_events(self) -> list[NetlinkMessage] | None:
        """Return none."""
        return []

    def routed(self, addresses: Iterable[str]) -> Generator[tuple[str, bool], None, None]:
        """Say nothing."""
        yield from ()


class InterfaceSource(_Polled):
    """The C library's list of the interfaces' addresses. Flags on macOS, no lifetimes."""

    def open(self, wake: Callable[[], None]) -> None:
        """See whether there is such a list. Raises OSError, or ImportError in a Python without ctypes."""
        for _ in _interface_addresses():
            break

    async def pieces(self) -> AsyncGenerator[list[KernelAddress], None]:
        """Ask for the list, and walk it."""
        with closing(_interface_addresses()) as found:
            while piece := list(itertools.islice(found, _PIECE)):
                yield piece
                await asyncio.sleep(0)


def _interface_addresses() -> Generator[KernelAddress, None, None]:
    from dispatcher.agent.addresses import interfaces  # noqa: PLC0415  ctypes is for those without netlink only

    return interfaces.addresses()


class ProcSource(_Polled):
    """The kernel's text file of IPv6 addresses. It has the low eight flags and no lifetimes."""

    def __init__(self, path: Path | None = None) -> None:
        """Make a source that reads `path`, which is the kernel's where None."""
        self._path = path or _PROC_FILE

    def open(self, wake: Callable[[], None]) -> None:
        """See whether the file is there."""
        self._path.read_bytes()

    async def pieces(self) -> AsyncGenerator[list[KernelAddress], None]:
        """Read the file."""
        lines = iter(self._path.read_text().splitlines())
        while piece := parse_proc(itertools.islice(lines, _PIECE)):
            yield piece
            await asyncio.sleep(0)


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


class HostNameSource(_Polled):
    """The addresses of the machine's own name, and of those asked for by name the ones that can be bound.

    No flags, no interfaces, and only what the name resolves to.
    """

    def __init__(self, explicit: Sequence[str] = ()) -> None:
        """Make a source that also looks for the addresses in `explicit`."""
        self._explicit = explicit

    def open(self, wake: Callable[[], None]) -> None:
        """Do nothing: names are resolved when they are needed."""

    async def pieces(self) -> AsyncGenerator[list[KernelAddress], None]:
        """Resolve the machine's name in a thread, and try the addresses asked for."""
        yield [KernelAddress(address, 0) for address in await _own_names_addresses()]
        yield [KernelAddress(address, 0) for address in self._explicit if bind_error(address) is None]


async def _own_names_addresses() -> list[str]:
    try:
        answers = await asyncio.get_running_loop().getaddrinfo(
            socket.gethostname(), None, family=socket.AF_INET6, type=socket.SOCK_STREAM
        )
    except socket.gaierror:
        return []
    return [str(IPv6Address(str(answer[4][0]).partition("%")[0])) for answer in answers]
