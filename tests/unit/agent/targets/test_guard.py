"""What an agent may be made to ask: by default, in disguise, and by its owner's word."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.agent.special_ranges import special_ipv4
from dispatcher.agent.targets.guard import MAX_COORDINATOR_ADDRESSES, METADATA, TargetGuard

PUBLIC = "2a00:1450::1"
OWNERS = "; the agent's owner can allow it with --allow-target "


def guard(*allow: str, deny: tuple[str, ...] = (), own: tuple[str, ...] = ()) -> TargetGuard:
    return TargetGuard(allow, deny, is_own=frozenset(own).__contains__)


def refusal(made: TargetGuard, address: str, host: str | None = None) -> str | None:
    """Ask as libcurl's calls do; a kept connection must be judged alike, but for own addresses."""
    found = made.refusal(host or address, address)
    if found is None:
        assert made.kept_refusals[host or address, address] is None
    return found


@pytest.mark.parametrize("address", [PUBLIC, "2606:4700::1111", "2003::1", "64:ff9b::8.8.8.8", "64:ff9b::1.1.1.1"])
def test_global_unicast_is_asked(address: str) -> None:
    assert refusal(guard(), address) is None


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("::", "unspecified (RFC 4291)"),
        ("::1", "loopback (RFC 4291)"),
        ("fd12:3456::1", "unique local (RFC 4193)"),
        ("fc00::1", "unique local (RFC 4193)"),
        ("fe80::1", "link-local (RFC 4291)"),
        ("fec0::1", "site-local (deprecated by RFC 3879)"),
        ("ff02::1", "multicast (RFC 4291)"),
        ("2001:db8::1", "documentation (RFC 3849)"),
        ("3fff::1", "documentation (RFC 9637)"),
        ("100::1", "discard-only (RFC 6666)"),
        ("100:0:0:1::1", "dummy prefix (RFC 9780)"),
        ("5f00::1", "segment routing identifiers (RFC 9602)"),
        ("2001:1::1", "Port Control Protocol anycast (RFC 7723)"),
        ("4000::1", "outside global unicast 2000::/3 (RFC 4291)"),
        ("fd00:ec2::254", "a metadata service of AWS"),
        ("fd20:ce::254", "a metadata service of Google Cloud"),
        ("fd00:c1::a9fe:a9fe", "a metadata service of Oracle Cloud"),
        ("fd00:42::42", "a metadata service of Scaleway"),
        ("fd00:100::100:200", "a metadata service of Alibaba Cloud"),
        ("fd00:a9fe:a9fe::1", "a metadata service of Linode"),
        ("64:ff9b::192.0.0.192", "a metadata service of Oracle Cloud"),
        ("fe80::a9fe:a9fe", "a metadata service of OpenStack"),
        ("64:ff9b::7f00:1", "IPv4/IPv6 translation (RFC 6052) of 127.0.0.1, loopback (RFC 1122)"),
        ("64:ff9b::a9fe:a9fe", "a metadata service of most clouds"),
        ("64:ff9b::a83f:8110", "a metadata service of Azure"),
        ("64:ff9b:1::808:808", "IPv4/IPv6 translation (RFC 8215)"),
        ("2002:a00:1::1", "6to4 (RFC 3056) of 10.0.0.1, private (RFC 1918)"),
        ("2002:808:808::1", "6to4 (RFC 3056)"),
        ("2001:0:808:808::f5ff:fffe", "Teredo (RFC 4380) of 10.0.0.1, private (RFC 1918)"),
    ],
)
def test_what_is_not_global_is_refused_by_default_and_named(address: str, what: str) -> None:
    expected = f"the target {address} is blocked as {what}{OWNERS}{address}"
    assert expected == refusal(guard(), address)


def test_what_a_name_led_to_stands_in_the_refusal() -> None:
    expected = f"the address ::1 of the target rebind.test is blocked as loopback (RFC 4291){OWNERS}::1"
    assert expected == refusal(guard(), "::1", "rebind.test")


def test_an_ipv4_address_is_no_target_at_all() -> None:
    expected = "the target web.test leads to 192.0.2.1, which is no IPv6 address"
    assert expected == guard("::/0").refusal("web.test", "192.0.2.1")


def disguises(address: IPv4Address) -> list[str]:
    """Return the same IPv4 address as each mechanism writes it."""
    number = int(address)
    high, low = number >> 16, number & 0xFFFF
    inverted = number ^ 0xFFFFFFFF
    return [
        f"::{address}",
        f"::ffff:{address}",
        f"::ffff:0:{address}",
        f"64:ff9b::{address}",
        f"64:ff9b:1::{address}",
        f"2002:{high:x}:{low:x}::1",
        f"2001:0:{high:x}:{low:x}::808:808",
        f"2001:0:808:808::{inverted >> 16:x}:{inverted & 0xFFFF:x}",
    ]


@given(st.ip_addresses(v=4).filter(lambda address: special_ipv4(int(address)) is not None))
def test_no_disguise_gets_a_special_ipv4_address_past_the_guard(address: IPv4Address) -> None:
    assert [] == [text for text in disguises(address) if refusal(guard(), text) is None]


@given(st.ip_addresses(v=4))
def test_the_metadata_services_are_refused_in_disguise_though_their_range_is_allowed(other: IPv4Address) -> None:
    for address in METADATA:
        if isinstance(address, IPv4Address):
            assert [] == [text for text in disguises(address) if refusal(guard("::/0"), text) is None]
    assert [] == [text for text in disguises(other) if refusal(guard(deny=("::/0",)), text) is None]


@given(st.ip_addresses(v=6))
def test_whatever_is_asked_by_default_is_global_unicast(address: IPv6Address) -> None:
    if refusal(guard(), str(address)) is None:
        assert address in IPv6Network("2000::/3") or address in IPv6Network("64:ff9b::/96")


def test_a_range_that_is_allowed_is_asked_and_nothing_beside_it() -> None:
    made = guard("2001:db8::/32")
    assert refusal(made, "2001:db8:ffff::1") is None
    assert refusal(made, "2001:db9::1") is None
    assert refusal(made, "3fff::1") is not None


def test_an_address_that_is_allowed_is_asked_whatever_name_led_to_it() -> None:
    made = guard("::1")
    assert refusal(made, "::1") is None
    assert refusal(made, "::1", "any.test") is None
    assert refusal(made, "::2") is not None


def test_a_name_that_is_allowed_is_asked_wherever_it_leads_and_no_other_is() -> None:
    made = guard("in.test", own=("2a00::5",))
    assert [None] * 4 == [refusal(made, each, "in.test") for each in ("::1", "fd00:ec2::254", "2a00::5", "fe80::1")]
    assert refusal(made, "::1", "in.test.") is None
    assert refusal(made, "::1", "other.test") is not None
    assert refusal(made, "::1", "sub.in.test") is not None
    assert refusal(made, "::1") is not None


def test_deny_beats_allow_by_address_by_range_and_by_name() -> None:
    made = guard("in.test", "2001:db8::1", "2001:db8::/32", deny=("2001:db8::/48", "in.test"))
    blocked = "is blocked by --deny-target 2001:db8::/48 of the agent's owner"
    assert f"the target 2001:db8::1 {blocked}" == refusal(made, "2001:db8::1")
    assert f"the address 2001:db8::2 of the target x.test {blocked}" == refusal(made, "2001:db8::2", "x.test")
    assert refusal(made, "2001:db8:1::1") is None
    assert refusal(made, "2001:db8:1::1", "in.test") is not None


def test_deny_refuses_what_is_public() -> None:
    made = guard(deny=("2a00::/16", "bad.test"))
    assert refusal(made, PUBLIC) is not None
    assert refusal(made, "2606::1") is None
    said = "the target bad.test is blocked by --deny-target bad.test of the agent's owner"
    assert said == made.name_refusals["bad.test"]
    assert made.name_refusals["good.test"] is None


def test_an_own_address_is_refused_unless_it_is_named_itself() -> None:
    expected = f"the target {PUBLIC} is blocked as an address of the agent's own machine{OWNERS}{PUBLIC}"
    assert expected == refusal(guard(own=(PUBLIC,)), PUBLIC)
    assert expected == refusal(guard("2a00::/16", own=(PUBLIC,)), PUBLIC)
    assert refusal(guard(PUBLIC, own=(PUBLIC,)), PUBLIC) is None


def test_an_own_ipv4_address_is_refused_in_disguise() -> None:
    assert refusal(guard(own=("8.8.8.8",)), "64:ff9b::808:808") is not None


def coordinated(*allow: str) -> TargetGuard:
    made = guard(*allow)
    made.coordinator_at(["Coordinator.test"], [IPv6Address(PUBLIC), IPv4Address("8.8.4.4")])
    return made


def test_the_coordinator_is_refused_by_name_by_address_and_in_disguise() -> None:
    made = coordinated()
    name = "coordinator.test"
    assert f"the target {name} is blocked as the coordinator{OWNERS}{name}" == made.name_refusals[name]
    assert made.name_refusals[f"{name}."] is not None
    assert f"the target {PUBLIC} is blocked as the coordinator{OWNERS}{PUBLIC}" == refusal(made, PUBLIC)
    assert refusal(made, "64:ff9b::8.8.4.4") is not None
    assert refusal(made, "2a00:1450::2") is None


def test_the_coordinator_is_asked_only_where_it_is_named_itself() -> None:
    assert refusal(coordinated("2a00::/16"), PUBLIC) is not None
    assert refusal(coordinated(PUBLIC), PUBLIC) is None
    named = coordinated("coordinator.test")
    assert named.name_refusals["coordinator.test"] is None
    assert refusal(named, PUBLIC, "coordinator.test") is None


def test_an_address_that_the_coordinator_turns_out_to_have_is_refused_from_then_on() -> None:
    made = guard()
    assert refusal(made, PUBLIC) is None
    made.coordinator_at(["c.test"], [IPv6Address(PUBLIC)])
    assert refusal(made, PUBLIC) is not None
    made.coordinator_at(["c.test"], [IPv6Address("2a00::1")])
    assert refusal(made, PUBLIC) is not None, "a name that leads to several addresses in turn has them all"


def test_no_more_than_so_many_addresses_of_the_coordinator_are_remembered() -> None:
    made = guard()
    made.coordinator_at(["c.test"], [IPv6Address(PUBLIC)])
    many = [IPv6Address(int(IPv6Address("2a00::")) + number) for number in range(MAX_COORDINATOR_ADDRESSES)]
    made.coordinator_at(["c.test"], many)
    assert refusal(made, "2a00::1") is not None
    assert refusal(made, PUBLIC) is None


def test_only_the_machine_itself_is_asked_about_its_own_addresses_by_default() -> None:
    assert TargetGuard(["::/0"]).refusal("::1", "::1") is not None
    assert TargetGuard(["::1"]).refusal("::1", "::1") is None


def test_a_name_that_was_taken_before_is_refused_once_it_is_the_coordinators() -> None:
    made = guard()
    assert made.name_refusals["c.test"] is None
    made.coordinator_at(["c.test"], [IPv6Address(PUBLIC)])
    assert made.name_refusals["c.test"] is not None
    made.coordinator_at(["other.test"], [IPv6Address(PUBLIC)])
    assert made.name_refusals["c.test"] is None
