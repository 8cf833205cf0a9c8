"""IANA's registries row by row, and the IPv4 addresses that IPv6 ones stand for."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.agent.special_ranges import embedded_ipv4, is_well_known_nat64, special_ipv4, special_ipv6

# Rows of the IANA IPv6 Special-Purpose Address Registry as of July 2026, and RFC 4291's and RFC 3879's own ranges.
IPV6 = [
    ("::1/128", "RFC 4291"),
    ("::/128", "RFC 4291"),
    ("::ffff:0:0/96", "RFC 4291"),
    ("64:ff9b::/96", "RFC 6052"),
    ("64:ff9b:1::/48", "RFC 8215"),
    ("100::/64", "RFC 6666"),
    ("100:0:0:1::/64", "RFC 9780"),
    ("2001::/32", "RFC 4380"),
    ("2001:1::1/128", "RFC 7723"),
    ("2001:1::2/128", "RFC 8155"),
    ("2001:1::3/128", "RFC 9665"),
    ("2001:1::4/126", "RFC 2928"),
    ("2001:2::/48", "RFC 5180"),
    ("2001:3::/32", "RFC 7450"),
    ("2001:4:112::/48", "RFC 7535"),
    ("2001:10::/28", "RFC 4843"),
    ("2001:20::/28", "RFC 7343"),
    ("2001:30::/28", "RFC 9374"),
    ("2001:100::/24", "RFC 2928"),
    ("2001:db8::/32", "RFC 3849"),
    ("2002::/16", "RFC 3056"),
    ("2620:4f:8000::/48", "RFC 7534"),
    ("3fff::/20", "RFC 9637"),
    ("5f00::/16", "RFC 9602"),
    ("fc00::/7", "RFC 4193"),
    ("fe80::/10", "RFC 4291"),
    ("fec0::/10", "RFC 3879"),
    ("ff00::/8", "RFC 4291"),
    ("4000::/3", "outside global unicast"),
    ("::ffff:0:0:0/96", "RFC 2765"),
]

IPV4 = [
    ("0.0.0.0/8", "RFC 791"),
    ("10.0.0.0/8", "RFC 1918"),
    ("100.64.0.0/10", "RFC 6598"),
    ("127.0.0.0/8", "RFC 1122"),
    ("169.254.0.0/16", "RFC 3927"),
    ("172.16.0.0/12", "RFC 1918"),
    ("192.0.0.0/24", "RFC 6890"),
    ("192.0.2.0/24", "RFC 5737"),
    ("192.31.196.0/24", "RFC 7535"),
    ("192.52.193.0/24", "RFC 7450"),
    ("192.88.99.0/24", "RFC 7526"),
    ("192.168.0.0/16", "RFC 1918"),
    ("192.175.48.0/24", "RFC 7534"),
    ("198.18.0.0/15", "RFC 2544"),
    ("198.51.100.0/24", "RFC 5737"),
    ("203.0.113.0/24", "RFC 5737"),
    ("224.0.0.0/4", "RFC 5771"),
    ("240.0.0.0/4", "RFC 1112"),
    ("255.255.255.255/32", "RFC 1112"),
]


@pytest.mark.parametrize(("network", "word"), IPV6)
def test_a_row_of_the_ipv6_registry_is_special_from_end_to_end_and_names_its_rfc(network: str, word: str) -> None:
    ends = IPv6Network(network)
    for number in (int(ends.network_address), int(ends.broadcast_address)):
        assert word in (special_ipv6(number) or "nothing")


@pytest.mark.parametrize(("network", "word"), IPV4)
def test_a_row_of_the_ipv4_registry_is_special_from_end_to_end_and_names_its_rfc(network: str, word: str) -> None:
    ends = IPv4Network(network)
    for number in (int(ends.network_address), int(ends.broadcast_address)):
        assert word in (special_ipv4(number) or "nothing")


@pytest.mark.parametrize(
    "address",
    ["2000::", "2001:200::", "2001:db7:ffff::", "2001:db9::", "2a00:1450::1", "3ffe::", "3fff:1000::"],
)
def test_global_unicast_is_not_special(address: str) -> None:
    assert special_ipv6(int(IPv6Address(address))) is None


@pytest.mark.parametrize("address", ["1.1.1.1", "9.255.255.255", "11.0.0.0", "172.32.0.0", "192.0.1.0", "223.0.0.0"])
def test_global_ipv4_is_not_special(address: str) -> None:
    assert special_ipv4(int(IPv4Address(address))) is None


@pytest.mark.parametrize(
    ("address", "within"),
    [
        ("::192.0.2.33", ["192.0.2.33"]),
        ("::ffff:0:192.0.2.33", ["192.0.2.33"]),
        ("::ffff:192.0.2.33", ["192.0.2.33"]),
        ("64:ff9b::192.0.2.33", ["192.0.2.33"]),  # RFC 6052, section 2.4
        ("2002:c000:221::1", ["192.0.2.33"]),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", ["65.54.227.120", "192.0.2.45"]),  # the example of many texts
        ("2001:db8::1", []),
        ("2a00::7f00:1", []),
        ("::", []),
        ("::1", []),
    ],
)
def test_the_ipv4_address_within_is_found(address: str, within: list[str]) -> None:
    assert within == [str(each) for each in embedded_ipv4(int(IPv6Address(address)))]


@pytest.mark.parametrize(
    "address",
    [  # RFC 6052, section 2.2, with 64:ff9b:1 for its example's prefix and 192.0.2.33 within
        "64:ff9b:1:c000:2:2100::",
        "64:ff9b:1:aac0:0:221::",
        "64:ff9b:1:aaaa:c0:2:2100:0",
        "64:ff9b:1:aaaa::192.0.2.33",
    ],
)
def test_the_local_nat64_prefix_is_read_with_each_length(address: str) -> None:
    assert IPv4Address("192.0.2.33") in embedded_ipv4(int(IPv6Address(address)))


@given(st.integers(0, 2**32 - 1))
def test_only_the_well_known_prefix_is_the_well_known_prefix(number: int) -> None:
    assert is_well_known_nat64(int(IPv6Address("64:ff9b::")) + number)
    assert not is_well_known_nat64(int(IPv6Address("64:ff9b:0:0:0:1::")) + number)


@given(st.integers(0, 2**128 - 1))
def test_every_address_has_an_answer(number: int) -> None:
    assert all(special_ipv4(int(each)) != "" for each in embedded_ipv4(number))
    assert special_ipv6(number) != ""
