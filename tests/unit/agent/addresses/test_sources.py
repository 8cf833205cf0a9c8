"""The sources on this machine's own loopback and on files; what needs addresses of its own is an integration test."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dispatcher.agent.addresses import netlink, polled, sources
from dispatcher.agent.addresses.netlink import KernelAddress
from dispatcher.agent.addresses.polled import HostNameSource, InterfaceSource, ProcSource, parse_proc
from dispatcher.agent.addresses.sources import ListInterruptedError, NetlinkSource, choose_source

if TYPE_CHECKING:
    from dispatcher.agent.addresses.sources import AddressSource

needs_netlink = pytest.mark.skipif(not hasattr(socket, "AF_NETLINK"), reason="netlink is Linux's")


def address_event(address: str) -> bytes:
    """Make what the kernel sends when an address was added."""
    fixed = bytes([socket.AF_INET6, 128, 0, 0]) + struct.pack("=I", 1)
    body = fixed + struct.pack("=HH16s", 20, 1, socket.inet_pton(socket.AF_INET6, address))
    return struct.pack("=IHHII", 16 + len(body), netlink.RTM_NEWADDR, 0, 0, 0) + body


def ignore() -> None:
    """Wake nobody."""


async def listed(source: AddressSource) -> list[KernelAddress]:
    return [address async for piece in source.pieces() for address in piece]


@needs_netlink
def test_netlink_lists_what_the_kernels_file_lists() -> None:
    lines = Path("/proc/net/if_inet6").read_text().splitlines()
    expected = {(address.address, address.interface_index) for address in parse_proc(lines)}
    found = asyncio.run(listed(NetlinkSource()))
    assert expected == {(address.address, address.interface_index) for address in found}


@needs_netlink
def test_a_netlink_source_can_be_closed_before_and_after_it_was_opened() -> None:
    async def use() -> None:
        source = NetlinkSource()
        source.close()
        source.open(ignore)
        source.close()
        source.close()

    asyncio.run(use())


@needs_netlink
def test_bytes_from_another_process_are_not_taken_for_the_kernels() -> None:
    async def use() -> list[netlink.NetlinkMessage] | None:
        woken = asyncio.Event()
        source = NetlinkSource()
        source.open(woken.set)
        try:
            assert source._socket is not None
            port, _ = source._socket.getsockname()
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as other:
                try:
                    other.sendto(address_event("2a00::1"), (port, 0))
                except OSError as error:
                    pytest.skip(f"the kernel does not deliver it at all: {error}")
                async with asyncio.timeout(5):
                    await woken.wait()
            return source.take_events()
        finally:
            source.close()

    assert [] == asyncio.run(use())


class KernelSocketWithFullBuffer:
    """A netlink socket whose buffer overflowed: the first read says so."""

    def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:
        raise OSError(errno.ENOBUFS, "No buffer space available")


class KernelSocketWithGarbage:
    """A netlink socket that gives bytes that are no message."""

    def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:
        return b"garbage", (0, 0)


@pytest.mark.parametrize("fake", [KernelSocketWithFullBuffer(), KernelSocketWithGarbage()])
def test_after_a_loss_events_are_not_trusted_once(fake: socket.socket) -> None:
    woken: list[bool] = []
    source = NetlinkSource()
    source._socket, source._wake = fake, lambda: woken.append(True)
    source._read()
    assert [True] == woken
    assert source.take_events() is None
    assert [] == source.take_events()


class KernelSocketThatNeverEnds:
    """A netlink socket that always has one more address event."""

    def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:
        return address_event("2a00::1"), (0, 0)


def test_a_flood_of_events_is_bounded_in_a_turn_and_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    source = NetlinkSource()
    source._socket = KernelSocketThatNeverEnds()  # type: ignore[assignment]  # a fake
    source._read()
    events = source.take_events()
    assert events is not None
    assert sources._DATAGRAMS_A_TURN == len(events)
    monkeypatch.setattr(sources, "_MAX_WAITING_EVENTS", 250)
    for _ in range(3):
        source._read()
    assert source.take_events() is None


def test_a_list_that_changed_while_it_was_made_gives_what_it_has_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    address = KernelAddress("2a00::1", 1)
    pieces = iter(
        [
            [netlink.NetlinkMessage(netlink.RTM_NEWADDR, 1, True, address)],
            [netlink.NetlinkMessage(netlink.NLMSG_DONE, 1, False)],
        ]
    )

    async def receive(connection: socket.socket) -> list[netlink.NetlinkMessage]:
        return next(pieces)

    found: list[KernelAddress] = []

    async def use() -> None:
        async for piece in NetlinkSource().pieces():
            found.extend(piece)

    monkeypatch.setattr(sources, "netlink_socket", lambda groups: near)
    monkeypatch.setattr(sources, "_receive_list", receive)
    with far, pytest.raises(ListInterruptedError):
        asyncio.run(use())
    assert [address] == found


@needs_netlink
def test_netlink_says_which_addresses_are_local() -> None:
    assert [("::1", True), ("2001:db8:ffff::1", False)] == list(NetlinkSource().routed(["::1", "2001:db8:ffff::1"]))


@needs_netlink
@pytest.mark.parametrize(("explicit", "groups"), [((), 0x100), (("::1",), 0x500)])
def test_routes_are_heard_of_only_where_an_address_was_asked_for(explicit: tuple[str, ...], groups: int) -> None:
    async def use() -> int:
        source = choose_source(explicit, ignore)
        try:
            assert isinstance(source, NetlinkSource)
            assert source._socket is not None
            return int(source._socket.getsockname()[1])
        finally:
            source.close()

    assert groups == asyncio.run(use())


def refuse(*_: object) -> socket.socket:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_where_netlink_is_refused_the_file_is_used_and_the_reason_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sources, "netlink_socket", refuse)
    with caplog.at_level(logging.WARNING):
        assert isinstance(choose_source((), ignore), ProcSource)
    assert "NetlinkSource cannot be used to find addresses: [Errno 1]" in caplog.text


def refuse_the_list() -> None:
    raise ImportError("No module named '_ctypes'")


def test_where_the_kernel_tells_nothing_the_c_library_is_asked_and_then_the_host_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sources, "netlink_socket", refuse)
    monkeypatch.setattr(polled, "_PROC_FILE", tmp_path / "none")
    assert isinstance(choose_source((), ignore), InterfaceSource)
    monkeypatch.setattr(polled, "_interface_addresses", refuse_the_list)
    assert isinstance(choose_source((), ignore), HostNameSource)


def test_on_macos_the_c_library_is_asked_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(polled, "_interface_addresses", lambda: iter(()))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert isinstance(choose_source((), ignore), InterfaceSource)
    assert [] == caplog.records


def test_a_system_without_netlink_is_told_from_a_broken_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(OSError, match="no netlink"):
        sources.netlink_socket(0)
