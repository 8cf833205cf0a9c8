"""Messages recorded from a kernel (6.18, x86-64) beside what `ip -6` said right after, and arbitrary bytes."""

from __future__ import annotations

import json
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.agent.addresses import netlink
from dispatcher.agent.addresses.netlink import AddressFlag, KernelAddress, LocalRoute, NetlinkError

RECORDED = {entry["name"]: entry for entry in json.loads(Path(__file__).with_name("recorded_netlink.json").read_text())}
FLAG_WORDS = {
    "temporary": AddressFlag.TEMPORARY,
    "nodad": AddressFlag.NODAD,
    "optimistic": AddressFlag.OPTIMISTIC,
    "dadfailed": AddressFlag.DADFAILED,
    "deprecated": AddressFlag.DEPRECATED,
    "tentative": AddressFlag.TENTATIVE,
    "mngtmpaddr": AddressFlag.MANAGETEMPADDR,
}

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="the recorded messages are little-endian")


class Said(NamedTuple):
    """What a message or a line of `ip` says of an address."""

    address: str
    flags: frozenset[str]
    preferred_seconds: int | None
    valid_seconds: int | None


def said_by_ip(line: str) -> Said:
    """Read ``lo inet6 2a00:1::1/128 scope global nodad valid_lft forever preferred_lft forever``."""
    words = line.split()
    lifetimes = dict(zip(words[-4::2], words[-3::2], strict=True))
    return Said(
        words[2].partition("/")[0],
        frozenset(FLAG_WORDS) & frozenset(words),
        seconds(lifetimes["preferred_lft"]),
        seconds(lifetimes["valid_lft"]),
    )


def seconds(word: str) -> int | None:
    return None if word == "forever" else int(word.removesuffix("sec"))


def said_by_message(address: KernelAddress) -> Said:
    flags = frozenset(word for word, flag in FLAG_WORDS.items() if address.flags & flag)
    return Said(address.address, flags, address.preferred_seconds, address.valid_seconds)


def recorded(name: str) -> list[netlink.NetlinkMessage]:
    return [message for text in RECORDED[name]["hex"] for message in netlink.parse(bytes.fromhex(text))]


def recorded_addresses(name: str) -> list[KernelAddress]:
    return [message.address for message in recorded(name) if message.address is not None]


@pytest.mark.parametrize(
    "name",
    ["static", "tentative", "dad passed", "deprecated", "dadfailed", "peer", "optimistic", "optimistic passed"],
)
def test_an_event_says_what_ip_says(name: str) -> None:
    last = recorded(name)[-1]
    assert last.address is not None
    assert netlink.RTM_NEWADDR == last.type
    lines = {said.address: said for said in map(said_by_ip, RECORDED[name]["ip"])}
    assert lines[last.address.address] == said_by_message(last.address)


def test_a_temporary_address_and_the_one_that_manages_it_are_told_apart() -> None:
    managing, temporary = recorded_addresses("temporary")
    assert AddressFlag.MANAGETEMPADDR | AddressFlag.NODAD == managing.flags
    assert AddressFlag.TEMPORARY == temporary.flags


def test_our_end_of_a_point_to_point_address_counts_not_the_peers() -> None:
    assert ["2a00:5::1"] == [address.address for address in recorded_addresses("peer")]


def test_a_removed_address_comes_as_a_removal() -> None:
    (message,) = recorded("removed")
    assert message.address is not None
    assert (netlink.RTM_DELADDR, "2a00:1::1", 1) == (
        message.type,
        message.address.address,
        message.address.interface_index,
    )


def test_a_list_says_what_ip_says_and_ends_with_done() -> None:
    messages = recorded("dump")
    found = [message.address for message in messages if message.address is not None]
    said = [said_by_ip(line) for line in RECORDED["dump"]["ip"]]
    heard = [said_by_message(address) for address in found]
    assert [line[:2] for line in said] == [address[:2] for address in heard]
    # `ip` asked a moment later, so a lifetime may have lost a second.
    for line, address in zip(said, heard, strict=True):
        assert line.valid_seconds in (address.valid_seconds, (address.valid_seconds or 0) - 1)
        assert line.preferred_seconds in (address.preferred_seconds, (address.preferred_seconds or 0) - 1)
    assert (netlink.NLMSG_DONE, 0) == (messages[-1].type, messages[-1].errno)
    assert {7} == {message.sequence for message in messages}


@pytest.mark.parametrize(
    ("name", "kind", "route"),
    [
        ("local route", netlink.RTM_NEWROUTE, LocalRoute("2001:db8:77::", 64)),
        ("local route removed", netlink.RTM_DELROUTE, LocalRoute("2001:db8:77::", 64)),
        ("local route to everything", netlink.RTM_NEWROUTE, LocalRoute("::", 0)),
        ("routes of an address", netlink.RTM_NEWROUTE, LocalRoute("2a00:9::7", 128)),
    ],
)
def test_a_local_route_that_comes_or_goes_is_told_and_the_others_of_an_address_are_not(
    name: str, kind: int, route: LocalRoute
) -> None:
    assert [(kind, route)] == [(message.type, message.route) for message in recorded(name)]


def test_the_answer_for_an_address_that_a_local_route_covers_is_that_route() -> None:
    (message,) = recorded("routed")
    assert RECORDED["routed"]["ip"][0].startswith("local 2001:db8:77::5 ")
    expected = (netlink.RTM_NEWROUTE, 7, LocalRoute("2001:db8:77::5", 128))
    assert expected == (message.type, message.sequence, message.route)


def test_the_answer_for_an_address_elsewhere_is_no_local_route() -> None:
    assert [] == recorded("on the link")
    (message,) = recorded("no route")
    assert (netlink.NLMSG_ERROR, 101, 7, None) == (message.type, message.errno, message.sequence, message.route)


def test_the_question_for_a_route_is_what_the_kernel_reads() -> None:
    header, fixed, attribute = "300000001a0001000700000000000000", "0a8000000000000000000000", "14000100"
    expected = header + fixed + attribute + "20010db8007700000000000000000005"
    assert expected == netlink.route_request("2001:db8:77::5", 7).hex()


def test_a_route_to_what_is_no_ipv6_prefix_is_refused() -> None:
    data = bytearray.fromhex(RECORDED["local route"]["hex"][0])
    data[17] = 129
    with pytest.raises(NetlinkError, match="129"):
        list(netlink.parse(bytes(data)))


def test_a_refusal_carries_the_kernels_error() -> None:
    (message,) = recorded("error")
    assert (netlink.NLMSG_ERROR, 22, 8) == (message.type, message.errno, message.sequence)


def test_an_interrupted_list_is_marked() -> None:
    data = bytearray.fromhex(RECORDED["static"]["hex"][0])
    data[6] |= 0x10  # NLM_F_DUMP_INTR
    assert [True] == [message.interrupted for message in netlink.parse(bytes(data))]


def test_other_families_and_types_are_left_out() -> None:
    ipv4 = bytearray.fromhex(RECORDED["static"]["hex"][0])
    ipv4[16] = 2
    noop = struct.pack("=IHHII", 16, netlink.NLMSG_NOOP, 0, 0, 0)
    assert [] == list(netlink.parse(bytes(ipv4) + noop))


@pytest.mark.parametrize("name", ["static", "local route"])
def test_every_truncation_of_a_message_is_refused(name: str) -> None:
    data = bytes.fromhex(RECORDED[name]["hex"][0])
    for length in range(1, len(data)):
        with pytest.raises(NetlinkError):
            list(netlink.parse(data[:length]))


@pytest.mark.parametrize("length", [0, 3, 0xFFFF])
def test_an_attribute_whose_length_does_not_fit_is_refused(length: int) -> None:
    data = bytearray.fromhex(RECORDED["static"]["hex"][0])
    data[24:26] = length.to_bytes(2, sys.byteorder)
    with pytest.raises(NetlinkError, match="attribute"):
        list(netlink.parse(bytes(data)))


def test_an_address_of_another_length_is_refused() -> None:
    body = struct.pack("=BBBBI", 10, 128, 0, 0, 1) + struct.pack("=HH4s", 8, 1, b"\1\2\3\4")
    data = struct.pack("=IHHII", 16 + len(body), netlink.RTM_NEWADDR, 0, 0, 0) + body
    with pytest.raises(NetlinkError, match="4 bytes"):
        list(netlink.parse(data))


def test_the_request_for_a_list_is_what_the_kernel_reads() -> None:
    assert "18000000160001030500000000000000" + "0a00000000000000" == netlink.dump_request(5).hex()


def assert_parses_or_refuses(data: bytes) -> None:
    with suppress(NetlinkError):
        for message in netlink.parse(data):
            assert message.address is None or ":" in message.address.address
            assert message.route is None or 0 <= message.route.prefix_length <= 128


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_parsed_or_refused(data: bytes) -> None:
    assert_parses_or_refuses(data)


@given(
    st.sampled_from([bytes.fromhex(text) for entry in RECORDED.values() for text in entry["hex"]]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
)
def test_damaged_messages_are_parsed_or_refused(data: bytes, damages: list[tuple[int, int]]) -> None:
    damaged = bytearray(data)
    for place, value in damages:
        damaged[place % len(damaged)] = value
    assert_parses_or_refuses(bytes(damaged))
