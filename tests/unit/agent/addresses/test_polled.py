"""The sources that are read every second, on this machine's own loopback and on files."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dispatcher.agent.addresses import polled
from dispatcher.agent.addresses.netlink import AddressFlag, KernelAddress, NetlinkError
from dispatcher.agent.addresses.polled import HostNameSource, InterfaceSource, ProcSource, parse_proc

if TYPE_CHECKING:
    from dispatcher.agent.addresses.sources import AddressSource

IF_INET6 = """\
20010db8000100000000000000000005 01 80 00 82       lo
fe800000000000004cb6c2fffea8dccb 0c 40 20 c0     eth0
"""


def ignore() -> None:
    """Wake nobody."""


async def listed(source: AddressSource) -> list[KernelAddress]:
    return [address async for piece in source.pieces() for address in piece]


def test_the_kernels_file_is_read_with_flags_and_interface() -> None:
    permanent = AddressFlag.PERMANENT
    expected = [
        KernelAddress("2001:db8:1::5", 1, 128, 0, permanent | AddressFlag.NODAD),
        KernelAddress("fe80::4cb6:c2ff:fea8:dccb", 12, 64, 0x20, permanent | AddressFlag.TENTATIVE),
    ]
    assert expected == parse_proc(IF_INET6.splitlines())


@pytest.mark.parametrize(
    "line", ["", "x", "20010db8 01 80 00 82 lo", "zz010db8000100000000000000000005 01 80 00 82 lo"]
)
def test_a_line_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(NetlinkError):
        parse_proc([line])


def test_the_file_source_lists_the_whole_file_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "if_inet6"
    path.write_text("".join(f"2a00000000000000000000000000{number:04x} 01 80 00 80 lo\n" for number in range(1201)))
    source = ProcSource(path)
    source.open(ignore)
    assert source.poll_seconds == polled.POLL_SECONDS
    assert [] == source.take_events()
    found = asyncio.run(listed(source))
    assert ("2a00::", "2a00::4b0", 1201) == (found[0].address, found[-1].address, len(found))
    source.close()


def test_the_file_source_refuses_to_open_without_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ProcSource(tmp_path / "none").open(ignore)


def test_without_kernel_lists_an_address_asked_for_is_found_by_binding_it() -> None:
    source = HostNameSource(("::1", "2001:db8:ffff::1"))
    source.open(ignore)
    found = [address.address for address in asyncio.run(listed(source))]
    assert "::1" in found
    assert "2001:db8:ffff::1" not in found
    source.close()


@pytest.mark.parametrize("source", [ProcSource(), InterfaceSource(), HostNameSource(("::1",))])
def test_without_netlink_nothing_is_known_of_routes(source: AddressSource) -> None:
    assert [] == list(source.routed(["::1"]))


def test_the_c_librarys_list_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polled, "_PIECE", 2)
    known = [KernelAddress(f"2a00::{number:x}", 1) for number in range(1, 6)]
    monkeypatch.setattr(polled, "_interface_addresses", lambda: (address for address in known))

    async def sizes() -> list[int]:
        return [len(piece) async for piece in InterfaceSource().pieces()]

    assert [2, 2, 1] == asyncio.run(sizes())


def test_the_c_librarys_list_has_this_machines_loopback_address() -> None:
    source = InterfaceSource()
    source.open(ignore)
    assert "::1" in {address.address for address in asyncio.run(listed(source))}
    source.close()


def test_a_python_without_ctypes_has_no_such_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "dispatcher.agent.addresses.interfaces", raising=False)
    monkeypatch.delattr("dispatcher.agent.addresses.interfaces", raising=False)
    monkeypatch.setitem(sys.modules, "ctypes", None)
    with pytest.raises(ImportError):
        InterfaceSource().open(ignore)
