"""Every range with addresses inside and just outside, every flag, every option."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.agent.addresses.netlink import AddressFlag, KernelAddress
from dispatcher.agent.addresses.rules import RANK, USABLE, AddressOptions, Verdict, judge, parse_explicit
from dispatcher.wire.messages import AddressState

INTERFACES = {1: "lo", 2: "eth0"}
PREFERRED = Verdict(AddressState.PREFERRED)


def verdict(address: str, flags: int = 0, index: int = 2, preferred: int | None = None, **options: Any) -> Any:
    found = KernelAddress(address, index, flags=flags, preferred_seconds=preferred)
    return judge(found, AddressOptions(**options), INTERFACES.__getitem__)


SPECIAL = [
    # first, last, a word of the reason, and whether the neighbours before and after are preferred
    ("::1", "::1", "loopback", False, False),
    ("::ffff:0:0", "::ffff:ffff:ffff", "IPv4-mapped", False, False),
    ("64:ff9b::", "64:ff9b::ffff:ffff", "RFC 6052", False, False),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "RFC 8215", False, False),
    ("100::", "100::ffff:ffff:ffff:ffff", "discard-only", False, False),
    ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "Teredo", True, False),
    ("2001:1::", "2001:1:ffff:ffff:ffff:ffff:ffff:ffff", "IETF", False, False),
    ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", "benchmarking", False, False),
    ("2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff", "AMT", False, False),
    ("2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff", "AS112", False, False),
    ("2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", "ORCHID ", False, False),
    ("2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff", "ORCHIDv2", False, False),
    ("2001:30::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff", "drone", False, False),
    ("2001:40::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "IETF", False, True),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation", True, True),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "6to4", True, True),
    ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", "AS112", True, True),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "documentation", True, True),
    ("4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "global unicast", True, False),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "segment", False, False),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "--include-ula", False, False),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "site-local", None, None),
]


@pytest.mark.parametrize(("first", "last", "word", "before_counts", "after_counts"), SPECIAL)
def test_a_special_range_is_excluded_from_its_first_to_its_last_address(
    first: str, last: str, word: str, before_counts: bool | None, after_counts: bool | None
) -> None:
    for inside in (first, last):
        found = verdict(inside)
        assert isinstance(found, Verdict)
        assert AddressState.EXCLUDED == found.state
        assert word in str(found.reason)
    neighbours = {str(IPv6Address(first) - 1): before_counts, str(IPv6Address(last) + 1): after_counts}
    for outside, counts in neighbours.items():
        found = verdict(outside)
        if counts is None:
            assert found is None
        else:
            assert isinstance(found, Verdict)
            assert counts == (found.state is AddressState.PREFERRED)
            assert word not in str(found.reason)


@pytest.mark.parametrize("address", ["2000::", "2a00:1450::1", "2606:4700::1111", "3ffe:ffff::1"])
def test_global_unicast_is_preferred(address: str) -> None:
    assert verdict(address) == PREFERRED


@pytest.mark.parametrize("address", ["fe80::", "fe80::1", "febf:ffff::1", "ff00::", "ff02::1"])
def test_link_local_and_multicast_are_never_reported(address: str) -> None:
    assert verdict(address) is None


FLAGS = [
    (0, PREFERRED.state),
    (AddressFlag.PERMANENT | AddressFlag.NODAD, AddressState.PREFERRED),
    (AddressFlag.MANAGETEMPADDR | AddressFlag.STABLE_PRIVACY, AddressState.PREFERRED),
    (AddressFlag.TENTATIVE, AddressState.TENTATIVE),
    (AddressFlag.TENTATIVE | AddressFlag.DEPRECATED, AddressState.TENTATIVE),
    (AddressFlag.TENTATIVE | AddressFlag.DADFAILED | AddressFlag.PERMANENT, AddressState.DADFAILED),
    (AddressFlag.OPTIMISTIC | AddressFlag.DADFAILED, AddressState.DADFAILED),
    (AddressFlag.OPTIMISTIC | AddressFlag.TENTATIVE, AddressState.DEPRECATED),
    (AddressFlag.DEPRECATED, AddressState.DEPRECATED),
    (AddressFlag.TEMPORARY, AddressState.EXCLUDED),
    (AddressFlag.TEMPORARY | AddressFlag.TENTATIVE, AddressState.EXCLUDED),
]


@pytest.mark.parametrize(("flags", "state"), FLAGS)
def test_flags_decide_the_state_of_a_global_address(flags: int, state: AddressState) -> None:
    found = verdict("2a00::1", flags)
    assert isinstance(found, Verdict)
    assert state == found.state
    assert (state is AddressState.PREFERRED) == (found.reason is None)


def test_a_preferred_lifetime_of_zero_is_deprecated_before_the_kernel_flags_it() -> None:
    assert verdict("2a00::1", preferred=0) == Verdict(AddressState.DEPRECATED, "its preferred lifetime is over")
    assert verdict("2a00::1", preferred=1) == PREFERRED


def test_the_reason_names_the_option_that_takes_an_address() -> None:
    assert "--include-temporary" in str(verdict("2a00::1", AddressFlag.TEMPORARY))
    assert "--include-ula" in str(verdict("fd00::1"))
    assert "--address" in str(verdict("2001:db8::1"))
    assert "--address" in str(verdict("::1"))


def test_options_take_temporary_and_unique_local_addresses() -> None:
    assert verdict("2a00::1", AddressFlag.TEMPORARY, include_temporary=True) == PREFERRED
    assert verdict("fd00::1", include_ula=True) == PREFERRED
    still_excluded = verdict("fd00::1", AddressFlag.TEMPORARY, include_ula=True)
    assert "--include-temporary" in str(still_excluded)


def test_only_the_interfaces_asked_for_count() -> None:
    options: dict[str, Any] = {"interfaces": frozenset({"eth0"})}
    assert verdict("2a00::1", index=2, **options) == PREFERRED
    excluded = Verdict(AddressState.EXCLUDED, "on interface lo, which is not among those of --interface")
    assert verdict("2a00::1", index=1, **options) == excluded


@pytest.mark.parametrize("address", ["::1", "fd00::1", "2001:db8::1", "2002::1", "2a00::1"])
def test_an_address_asked_for_by_name_counts_whatever_its_range_and_interface(address: str) -> None:
    asked: dict[str, Any] = {"explicit": (address,), "interfaces": frozenset({"eth9"})}
    assert verdict(address, AddressFlag.TEMPORARY, **asked) == PREFERRED
    assert verdict("2a00::2", **asked) is None


def test_an_address_asked_for_by_name_still_waits_for_duplicate_detection() -> None:
    found = verdict("2001:db8::1", AddressFlag.TENTATIVE, explicit=("2001:db8::1",))
    assert isinstance(found, Verdict)
    assert AddressState.TENTATIVE == found.state


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("::1", "::1"), ("[2001:DB8:0::5]", "2001:db8::5"), ("fd00:0:0:0:0:0:0:1", "fd00::1")],
)
def test_an_address_to_ask_for_is_made_canonical(text: str, canonical: str) -> None:
    assert canonical == parse_explicit(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not an IPv6 address"),
        ("192.0.2.1", "not an IPv6 address"),
        ("2001:db8::/64", "not an IPv6 address"),
        ("example.com", "not an IPv6 address"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "interface"),
        ("2a00::1%eth0", "interface"),
        ("ff02::1", "unicast"),
        ("::", "unicast"),
        ("::ffff:192.0.2.1", "unicast"),
    ],
)
def test_what_no_request_can_leave_from_cannot_be_asked_for(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        parse_explicit(text)


def test_every_state_has_a_rank_and_usable_ones_come_first() -> None:
    assert set(AddressState) == set(RANK)
    assert {0, 1} == {RANK[state] for state in USABLE}


@given(st.integers(0, 2**128 - 1), st.integers(0, 0xFFF))
def test_whatever_is_preferred_is_global_unicast(number: int, flags: int) -> None:
    address = str(IPv6Address(number))
    found = verdict(address, flags)
    if isinstance(found, Verdict) and found.state in USABLE:
        assert 1 == number >> 125
        assert not IPv6Address(number).is_private
