"""The C library's list of addresses (getifaddrs) and macOS's flags of each, for systems that have no netlink.

Stands before a request's way; `polled.py` reads it, on the agent's event loop. The layouts are those of ifaddrs.h and
netinet/in.h, which Linux and macOS share but for the first two bytes of a socket address; numbers of macOS are xnu's
(bsd/netinet6/in6_var.h). The C library's memory is only looked at while a list is walked, and freed behind it.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import os
import socket
import struct
import sys
from contextlib import suppress
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Protocol

from dispatcher.agent.addresses.netlink import AddressFlag, KernelAddress

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_ENTRY = struct.Struct("@PPIPPPP")  # next, name, flags, address, netmask, destination, data
_SOCKADDR = struct.Struct("=2sHI16sI")  # start, port, flow, address, scope

LINUX_START = struct.pack("=H", 10)
"""What an IPv6 socket address begins with on Linux: the family."""

DARWIN_START = bytes((_SOCKADDR.size, 30))
"""And on macOS: its length and the family."""

_SIOCGIFAFLAG_IN6 = 0xC1206949
_REQUEST_BYTES = 288  # struct in6_ifreq: a name, and room for what the largest of its questions is answered
_NAME_BYTES = 16

_DARWIN_FLAGS = {
    0x0002: AddressFlag.TENTATIVE,
    0x0004: AddressFlag.DADFAILED,
    0x0010: AddressFlag.DEPRECATED,
    0x0080: AddressFlag.TEMPORARY,
    0x0200: AddressFlag.OPTIMISTIC,
}
"""macOS's flags of an address that `rules.py` judges by. What it lets nobody bind to (anycast) a bind test finds."""


class Library(Protocol):
    """The two functions of the C library."""

    def getifaddrs(self, first: object) -> int:
        """Make a list and put the address of its first entry where `first` points; not 0: errno says why not."""

    def freeifaddrs(self, first: ctypes.c_void_p) -> None:
        """Free a list."""


def addresses() -> Generator[KernelAddress, None, None]:
    """List all IPv6 addresses of all interfaces; lifetimes are not known, and flags on macOS alone.

    Raises:
        OSError: the C library has no such list, or could not make one.
    """
    if sys.platform == "darwin":
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as questions:
            yield from walk(_library(), DARWIN_START, questions)
    else:
        yield from walk(_library(), LINUX_START, None)


def walk(library: Library, start: bytes, questions: socket.socket | None) -> Generator[KernelAddress, None, None]:
    """List what `library` knows; socket addresses of IPv6 begin with `start`, and flags are asked for on `questions`.

    Raises:
        OSError: there is no list.
    """
    first = ctypes.c_void_p()
    if library.getifaddrs(ctypes.byref(first)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    try:
        for name, sockaddr in _entries(first.value, start):
            with suppress(OSError):  # the interface has gone meanwhile
                index = socket.if_nametoindex(os.fsdecode(name))
                flags = 0 if questions is None else _flags(questions, name, sockaddr)
                yield KernelAddress(str(IPv6Address(_SOCKADDR.unpack(sockaddr)[3])), index, flags=flags)
    finally:
        library.freeifaddrs(first)


def _entries(place: int | None, start: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Return the interface's name and the socket address of each entry that is IPv6's."""
    while place:
        place, name, _, address, *_ = _ENTRY.unpack(ctypes.string_at(place, _ENTRY.size))
        if address and ctypes.string_at(address, len(start)) == start:
            yield ctypes.string_at(name), ctypes.string_at(address, _SOCKADDR.size)


def _flags(questions: socket.socket, name: bytes, sockaddr: bytes) -> int:
    """Ask macOS for an address's flags; none where it does not say, since it has still to pass a bind test."""
    request = (name.ljust(_NAME_BYTES, b"\0") + sockaddr).ljust(_REQUEST_BYTES, b"\0")
    try:
        answer = fcntl.ioctl(questions, _SIOCGIFAFLAG_IN6, request)
    except OSError:
        return 0
    (found,) = struct.unpack_from("=I", answer, _NAME_BYTES)
    return sum(flag for bit, flag in _DARWIN_FLAGS.items() if found & bit)


@functools.cache
def _library() -> Library:
    """Load the C library that this process runs with."""
    library = ctypes.CDLL(None, use_errno=True)
    try:
        library.freeifaddrs.argtypes = [ctypes.c_void_p]
        library.freeifaddrs.restype = None
        library.getifaddrs.argtypes = [ctypes.c_void_p]
    except AttributeError as error:
        raise OSError(f"this system has no getifaddrs: {error}") from error
    return library
