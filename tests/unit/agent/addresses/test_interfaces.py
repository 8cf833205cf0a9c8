"""The C library's list: against this machine's own, and laid out byte by byte as macOS does it."""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import sys
from contextlib import closing
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import pytest

from dispatcher.agent.addresses import interfaces
from dispatcher.agent.addresses.interfaces import DARWIN_START, LINUX_START, walk
from dispatcher.agent.addresses.netlink import AddressFlag, KernelAddress

if TYPE_CHECKING:
    from collections.abc import Iterator

LINK_START = bytes((20, 18))
"""What a hardware address begins with on macOS."""

LO = next(name for _, name in socket.if_nameindex())
INDEX = socket.if_nametoindex(LO)

ONE, TWO = "2a00:1::1", "2a00:1::2"


def sockaddr(address: str, start: bytes = DARWIN_START) -> bytes:
    """A socket address as macOS lays it out: length, family, port, flow, address and scope."""
    return start + struct.pack("=HI16sI", 0, 0, IPv6Address(address).packed, 0)


class Library:
    """A C library whose list is made of these names and socket addresses (None: an interface without any)."""

    def __init__(self, *entries: tuple[str, bytes | None]) -> None:
        self._kept: list[object] = []
        self.first = 0
        self.freed: list[int | None] = []
        for name, address in reversed(entries):
            place = 0 if address is None else self._keep(address)
            fields = (self.first, self._keep(name.encode() + b"\0"), 0x8049, place, 0, 0, 0)
            self.first = self._keep(struct.pack("@PPIPPPP", *fields))

    def _keep(self, data: bytes) -> int:
        buffer = ctypes.create_string_buffer(data, len(data))
        self._kept.append(buffer)
        return ctypes.addressof(buffer)

    def getifaddrs(self, first: object) -> int:
        first._obj.value = self.first  # type: ignore[attr-defined]  # what ctypes.byref made
        return 0

    def freeifaddrs(self, first: ctypes.c_void_p) -> None:
        self.freed.append(first.value)


class LibraryOutOfMemory(Library):
    """A C library that cannot make a list."""

    def getifaddrs(self, first: object) -> int:
        ctypes.set_errno(errno.ENOMEM)
        return -1


@pytest.fixture
def questions() -> Iterator[socket.socket]:
    """What macOS would be asked on."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as made:
        yield made


class Kernel:
    """A macOS that answers with these flags, or has lost the address, and notes what it was asked."""

    def __init__(self, flags: int | None) -> None:
        self.flags = flags
        self.asked: list[tuple[int, bytes]] = []

    def ioctl(self, _file: object, code: int, request: bytes) -> bytes:
        self.asked.append((code, request))
        if self.flags is None:
            raise OSError(errno.EADDRNOTAVAIL, "Can't assign requested address")
        return request[:16] + struct.pack("=I", self.flags) + request[20:]


def test_the_addresses_are_those_of_all_interfaces_in_order_and_the_list_is_freed() -> None:
    library = Library((LO, LINK_START + bytes(18)), (LO, sockaddr(ONE)), (LO, None), (LO, sockaddr(TWO)))
    found = list(walk(library, DARWIN_START, None))
    assert [KernelAddress(ONE, INDEX), KernelAddress(TWO, INDEX)] == found
    assert [library.first] == library.freed


def test_an_empty_list_is_one() -> None:
    assert [] == list(walk(Library(), DARWIN_START, None))


@pytest.mark.parametrize(("start", "other"), [(DARWIN_START, LINUX_START), (LINUX_START, DARWIN_START)])
def test_a_socket_address_of_another_system_or_family_is_none(start: bytes, other: bytes) -> None:
    library = Library((LO, sockaddr(ONE, other)), (LO, sockaddr(TWO, start)))
    assert [TWO] == [each.address for each in walk(library, start, None)]


def test_a_list_that_is_left_halfway_is_freed() -> None:
    library = Library((LO, sockaddr(ONE)), (LO, sockaddr(TWO)))
    with closing(walk(library, DARWIN_START, None)) as found:
        assert ONE == next(found).address
        assert [] == library.freed
    assert [library.first] == library.freed


def test_an_address_whose_interface_has_gone_is_left_out() -> None:
    library = Library(("gone0", sockaddr(ONE)), (LO, sockaddr(TWO)))
    assert [TWO] == [each.address for each in walk(library, DARWIN_START, None)]


def test_a_c_library_that_cannot_make_a_list_says_why() -> None:
    with pytest.raises(OSError, match="Cannot allocate memory"):
        list(walk(LibraryOutOfMemory(), DARWIN_START, None))


@pytest.mark.parametrize(
    ("darwin", "flags"),
    [
        (0x0000, 0),
        (0x0002, AddressFlag.TENTATIVE),
        (0x0004, AddressFlag.DADFAILED),
        (0x0010, AddressFlag.DEPRECATED),
        (0x0080, AddressFlag.TEMPORARY),
        (0x0200, AddressFlag.OPTIMISTIC),
        (0x0040, 0),  # made of a router's prefix
        (0x0440, 0),  # and stable
        (0x00D0, AddressFlag.TEMPORARY | AddressFlag.DEPRECATED),
    ],
)
def test_macos_is_asked_for_an_addresss_flags(
    questions: socket.socket, monkeypatch: pytest.MonkeyPatch, darwin: int, flags: int
) -> None:
    kernel = Kernel(darwin)
    monkeypatch.setattr(interfaces.fcntl, "ioctl", kernel.ioctl)
    (found,) = walk(Library((LO, sockaddr(ONE))), DARWIN_START, questions)
    assert KernelAddress(ONE, INDEX, flags=flags) == found
    ((code, request),) = kernel.asked
    assert (0xC1206949, 0x120) == (code, len(request))  # the code carries the length of what it is about
    assert LO.encode().ljust(16, b"\0") + sockaddr(ONE) + bytes(244) == request


def test_an_address_that_macos_does_not_know_any_more_has_no_flags(
    questions: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interfaces.fcntl, "ioctl", Kernel(None).ioctl)
    (found,) = walk(Library((LO, sockaddr(ONE))), DARWIN_START, questions)
    assert KernelAddress(ONE, INDEX) == found


def test_on_macos_its_layout_is_read_and_its_flags_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(interfaces, "_library", lambda: Library((LO, sockaddr(ONE)), (LO, sockaddr(TWO, LINUX_START))))
    monkeypatch.setattr(interfaces.fcntl, "ioctl", Kernel(0x0080).ioctl)
    assert [KernelAddress(ONE, INDEX, flags=AddressFlag.TEMPORARY)] == list(interfaces.addresses())


class OldLibrary:
    """A C library without the list."""


def test_a_c_library_without_the_list_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interfaces.ctypes, "CDLL", lambda *_, **__: OldLibrary())
    with pytest.raises(OSError, match="has no getifaddrs"):
        interfaces._library.__wrapped__()
