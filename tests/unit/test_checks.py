"""Checks of names, numbers, addresses and URLs."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from dispatcher.checks import AGENT_ID, TOKEN, AddressField, WholeField, is_host_name, matching, split_url

ADDRESS = AddressField()


@given(st.ip_addresses(v=6), st.booleans())
def test_any_address_is_loaded_in_its_canonical_form(address: ipaddress.IPv6Address, in_brackets: bool) -> None:
    text = f"[{address.exploded}]" if in_brackets else address.exploded.upper()
    assert str(address) == ADDRESS.deserialize(text)


@given(st.text())
def test_no_text_can_do_more_than_be_refused(text: str) -> None:
    try:
        loaded = ADDRESS.deserialize(text)
    except ValidationError:
        return
    assert loaded == ADDRESS.deserialize(loaded)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "[::1", "::1]", "[[::1]]", "1.2.3.4", "::1 ", "::1/128", "\ud800", "localhost"),
        *("fe80::1%", "fe80::1%a b", "fe80::1%\n", "fe80::1%" + "x" * 16, "fe80::1%\x1b[31m"),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        ADDRESS.deserialize(text)


@pytest.mark.parametrize("zone", ["eth0", "1", "br-lan.100", "wlan0_1", "a@b"])
def test_an_address_may_name_its_interface(zone: str) -> None:
    assert f"fe80::1%{zone}" == ADDRESS.deserialize(f"[FE80::1%{zone}]")


@given(st.integers(-(10**29), 10**29))
def test_any_whole_number_is_read(number: int) -> None:
    assert number == WholeField().deserialize(str(number))


@pytest.mark.parametrize("text", ["", " 1", "1 ", "1_0", "1.0", "\u0663", "0x1", "1e1", "9" * 31, "+", "--1"])
def test_what_only_python_takes_for_a_number_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        WholeField().deserialize(text)


def test_a_pattern_counts_from_end_to_end() -> None:
    check = matching(AGENT_ID, "no")
    check("a.b-c_1")
    for text in ("a\n", " a", "a b", "register", ""):
        with pytest.raises(ValidationError, match="no"):
            check(text)


def test_a_token_is_that_of_http() -> None:
    assert TOKEN.fullmatch("!#$%&'*+-.^_`|~09azAZ")
    for character in '"(),/:;<=>?@[\\]{} \t\x7f\u00e4':
        assert not TOKEN.fullmatch(f"a{character}")


def test_a_host_name_is_what_a_resolver_can_be_asked_for() -> None:
    assert all(is_host_name(name) for name in ("localhost", "a_b.test", "a.test.", "\u00e4.test", "x" * 63))
    assert not any(is_host_name(name) for name in ("", "a..b", ".a", "x" * 64, "a b", "a/b", "a@b", "a\\b", "\udcff"))


def test_a_url_is_taken_apart_with_its_host_and_port() -> None:
    parts, host, port = split_url("HTTP://u@[2001:DB8::1]:80/a?b")
    assert ("http", "2001:db8::1", 80, "/a", "b") == (parts.scheme, host, port, parts.path, parts.query)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        *((f"http://h/{bad}", "must not hold spaces") for bad in (" ", "\n", "\x7f", "\\", "\0", "\udcff")),
        *((bad, "not a url: ") for bad in ("http://[::1", "http://h:x", "http://h:65536")),
    ],
)
def test_a_url_that_cannot_be_taken_apart_is_refused_with_its_reason(url: str, why: str) -> None:
    with pytest.raises(ValidationError, match=f"(?i){why}"):
        split_url(url)


@given(st.text().map(lambda text: f"http://{text}"))
def test_of_no_url_more_comes_than_a_refusal(url: str) -> None:
    try:
        parts, _, port = split_url(url)
    except ValidationError:
        return
    assert "http" == parts.scheme
    assert port is None or 0 <= port <= 65535
