"""URLs: what is refused before anything is sent, and what libcurl gets for the rest."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.agent.targets.target import ExecutionError, Target, parse_target
from dispatcher.errors import FailureKind


def kind_of(url: str) -> FailureKind:
    with pytest.raises(ExecutionError) as caught:
        parse_target(url)
    return caught.value.failure.kind


@pytest.mark.parametrize(
    "host",
    [
        "192.0.2.1", "192.0.2.1.", "127.1", "1", "0", "3221225985", "0xc0000201", "0xC0.0.2.1", "0300.0.2.01",
        "017700000001", "[192.0.2.1]", "[::ffff:192.0.2.1]", "[::FFFF:c000:201]", "user:secret@192.0.2.1",
    ],
)  # fmt: skip
def test_an_ipv4_literal_in_any_form_is_a_target_without_ipv6(host: str) -> None:
    assert FailureKind.TARGET_HAS_NO_IPV6 == kind_of(f"http://{host}/")
    assert FailureKind.TARGET_HAS_NO_IPV6 == kind_of(f"https://{host}:8443")


@pytest.mark.parametrize(
    "host", ["1.example", "256.256.256.256.test", "0x.test", "a1", "1-2", "[::1]", "[2001:db8::1]"]
)
def test_a_name_that_only_looks_like_one_is_no_ipv4_literal(host: str) -> None:
    assert host.strip("[]") == parse_target(f"http://{host}/").host


@pytest.mark.parametrize(
    "url",
    [
        "", "/path", "example.test", "ftp://example.test/", "file:///etc/passwd", "http://", "http:///path", "http://:80/",
        "http://a b/", "http://a.test:0/", "http://a.test:65536/", "http://a.test:http/", "http://a\\@b.test/",
        "http://[::1", "http://[::g]/", "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://a.test/\r\nX: y",
        "http://a.test/\0", "http://a.test/\ud800", "http://\udfff.test/", "http://a.test/?\udc80", "http://a.test\n/",
        "http://\u00df.test/", "http://\u03c2.test/", "http://a..\u00fc.test/",
        "http://a<b.test/", "http://a%00.test/",
    ],
)  # fmt: skip
def test_what_is_no_url_of_ours_is_refused(url: str) -> None:
    assert FailureKind.INTERNAL == kind_of(url)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://example.test", "http://example.test/"),
        ("HTTP://EXAMPLE.test:80/A", "http://example.test/A"),
        ("https://example.test:443/?", "https://example.test/"),
        ("https://example.test:80/?a=b", "https://example.test:80/?a=b"),
        ("http://[2001:DB8:0::1]:8080/", "http://[2001:db8::1]:8080/"),
        ("http://a.test/x y/\u00e9?q=\u00e9&p=%2f#top", "http://a.test/x%20y/%C3%A9?q=%C3%A9&p=%2f"),
        ("http://a.test/a/../b/./c//d", "http://a.test/a/../b/./c//d"),
        ("http://a.test/%zz%41", "http://a.test/%zz%41"),
        ("http://user:se%40cret@a.test/", "http://user:se%40cret@a.test/"),
        ("http://b\u00fccher.test/", "http://xn--bcher-kva.test/"),
        ("http://a.test./", "http://a.test./"),
        ("  http://a.test/  ", "http://a.test/"),
        ("http://a.test?q", "http://a.test/?q"),
    ],
)
def test_a_url_is_sent_as_browsers_would_but_for_its_dots(url: str, sent: str) -> None:
    assert sent == parse_target(url).url


def test_what_people_read_of_a_target_holds_nothing_secret() -> None:
    target = parse_target("http://user:secret@a.test/token?key=1")
    assert "a.test:80" == target.place
    assert "[::1]:8443" == parse_target("https://[::1]:8443/").place


@given(st.text(max_size=60))
def test_any_text_is_a_target_or_a_named_failure(text: str) -> None:
    for url in (text, f"http://{text}/", f"http://a.test/{text}", f"http://[{text}]/"):
        with contextlib.suppress(ExecutionError):
            target = parse_target(url)
            assert target.url.isascii()
            assert target.url == parse_target(target.url).url


BASE = Target("http://user:secret@a.test/dir/page", "http", "a.test", 80, "user:secret")


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("other", "http://user:secret@a.test/dir/other"),
        ("/top?x", "http://user:secret@a.test/top?x"),
        ("http://a.test/abs", "http://user:secret@a.test/abs"),
        ("http://you@a.test/abs", "http://you@a.test/abs"),
        ("https://a.test/", "https://a.test/"),
        ("http://a.test:81/", "http://a.test:81/"),
        ("//b.test/", "http://b.test/"),
    ],
)
def test_a_redirect_keeps_the_userinfo_within_its_origin_only(location: str, url: str) -> None:
    assert url == parse_target(location, base=BASE).url
