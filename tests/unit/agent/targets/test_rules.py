"""The rules of an agent's owner: how they are written, and what each of them fits."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest

from dispatcher.agent.targets.rules import Matcher, parse_rule


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("::1", "::1"),
        ("[2001:DB8:0::1]", "2001:db8::1"),
        ("2001:db8::1/128", "2001:db8::1"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::/0", "::/0"),
        ("64:ff9b::10.0.0.0/104", "64:ff9b::a00:0/104"),
        ("Web.Test", "web.test"),
        ("web.test.", "web.test"),
        ("localhost", "localhost"),
        ("b\u00fccher.test", "xn--bcher-kva.test"),
        ("under_score.test", "under_score.test"),
    ],
)
def test_a_rule_has_one_canonical_text(text: str, canonical: str) -> None:
    assert canonical == parse_rule(text)
    assert canonical == parse_rule(canonical)


NEITHER = "Is not a host name, an IPv6 address or an IPv6 range."
NO_RANGE = "Is not an IPv6 address, an IPv6 range such as 2001:db8::/32, or a host name."
IPV4 = "Is IPv4, which an agent never asks; write IPv6, or a host name."


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", NEITHER),
        ("*.test", NEITHER),
        ("a b", NEITHER),
        ("-", None),
        ("a..b", NEITHER),
        ("stra\u00dfe.test", NEITHER),
        ("a" * 64, NEITHER),
        ("a.test:80", NO_RANGE),
        ("http://a.test", NO_RANGE),
        ("::1/129", NO_RANGE),
        ("[::1", NO_RANGE),
        ("::1/64", "Has bits behind its prefix length; the range is ::/64."),
        ("fe80::1%eth0", "Names an interface; a target is an address alone."),
        ("10.0.0.1", IPV4),
        ("10.0.0.0/8", IPV4),
        ("10.1", IPV4),
        ("0x7f000001", IPV4),
        ("[127.0.0.1]", IPV4),
    ],
)
def test_what_is_no_rule_is_refused_with_the_reason(text: str, fault: str | None) -> None:
    if fault is None:
        assert text == parse_rule(text)
        return
    with pytest.raises(ValueError, match=r"^(Is|Has|Names) ") as refused:
        parse_rule(text)
    assert fault == str(refused.value)


RULES = Matcher(("web.test", "2001:db8::1", "2001:db8:1::/48", "2001:db8::/32"))


def test_a_name_fits_as_it_is_written_with_its_last_dot_or_without() -> None:
    assert "web.test" == RULES.name("web.test")
    assert "web.test" == RULES.name("web.test.")
    assert RULES.name("sub.web.test") is None
    assert RULES.name("web.testing") is None


def test_an_address_in_a_url_is_its_name() -> None:
    assert "2001:db8::1" == RULES.name("2001:db8::1")
    assert RULES.name("2001:db8::2") is None


def test_an_address_fits_by_itself_or_by_the_first_range_that_holds_it() -> None:
    assert "2001:db8::1" == RULES.address(IPv6Address("2001:db8::1"))
    assert RULES.address(IPv6Address("2001:db8::2")) is None
    assert "2001:db8:1::/48" == RULES.range(IPv6Address("2001:db8:1:ffff::"))
    assert "2001:db8::/32" == RULES.range(IPv6Address("2001:db8:2::"))
    assert RULES.range(IPv6Address("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff")) is None
    assert RULES.range(IPv6Address("2001:db9::")) is None


def test_no_rules_fit_nothing() -> None:
    nothing = Matcher()
    address = IPv6Address("::1")
    assert (None, None, None) == (nothing.name("::1"), nothing.address(address), nothing.range(address))
