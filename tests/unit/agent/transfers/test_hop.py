"""What may be sent, and what a redirect makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from dispatcher.agent.targets.target import ExecutionError
from dispatcher.agent.transfers.hop import MAX_SHARED_CHARS, FirstHops, canonical_sources, first_hop, next_hop
from dispatcher.agent.transfers.response import Response
from dispatcher.errors import FailureKind
from dispatcher.wire.messages import HttpVersion
from dispatcher.wire.sharing import Likewise
from tests.support.executing import execution

URL = "http://a.test/start"
SECRETS = (
    ("Authorization", "a"),
    ("Proxy-Authorization", "p"),
    ("cookie", "c"),
    ("X-API-Key", "x"),
    ("Host", "h"),
    ("X-Key", "k"),
)


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "GE T"},
        {"method": "GET\r\nX: y"},
        {"method": "CONNECT"},
        {"method": "HEAD", "body": b"x"},
        {"headers": (("Na me", "v"),)},
        {"headers": (("Name:", "v"),)},
        {"headers": (("", "v"),)},
        {"headers": (("Name", "v\r\nX: y"),)},
        {"headers": (("Name", "v\0"),)},
        {"headers": (("Name", "v\n"),)},
        {"headers": (("Name", "\u20ac"),)},
        {"headers": (("Content-Length", "9"),), "body": b"x"},
        {"headers": (("content-length", "1"),)},
        {"http_version": HttpVersion.HTTP_3},
    ],
)
def test_what_cannot_be_sent_as_it_is_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ExecutionError) as caught:
        first_hop(execution(URL, **wrong))
    assert FailureKind.INTERNAL == caught.value.failure.kind


@pytest.mark.parametrize("source", ["eth0", "192.0.2.1", "", "::1 ", "localhost"])
def test_a_source_that_is_no_ipv6_address_is_named(source: str) -> None:
    with pytest.raises(ExecutionError) as caught:
        canonical_sources[source]
    assert FailureKind.SOURCE_ADDRESS == caught.value.failure.kind


def test_executions_that_ask_for_the_same_share_one_hop() -> None:
    asked = {"method": "PUT", "body": b"b", "headers": (("A", "a"),)}
    hop = first_hop(execution(URL, **asked))
    assert hop.is_shared
    assert hop is first_hop(execution(URL, source="2001:db8::9", timeout=1.0, **asked))


@pytest.mark.parametrize(
    "other",
    [
        {"method": "POST"},
        {"body": b"c"},
        {"headers": (("A", "b"),)},
        {"http_version": HttpVersion.HTTP_2},
        {"verify_tls": False},
        {"max_body_bytes": 1},
        {"follow_redirects": True},
    ],
)
def test_a_hop_is_not_shared_by_what_differs_in_anything(other: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"method": "PUT", "body": b"b", "headers": (("A", "a"),)}
    assert first_hop(execution(URL, **asked)) is not first_hop(execution(URL, **(asked | other)))


def test_what_is_large_or_redirected_is_shared_with_nobody() -> None:
    assert not first_hop(execution(URL, body=b"x" * (MAX_SHARED_CHARS + 1))).is_shared
    assert not first_hop(execution(URL, headers=(("A", "x" * MAX_SHARED_CHARS),))).is_shared
    for status in (302, 303):
        hop = first_hop(execution(URL, method="PUT", follow_redirects=True))
        following = next_hop(hop, Response(status, "", (("Location", "/x"),)))
        assert following is not None
        assert (True, False) == (hop.is_shared, following.is_shared)


def test_an_empty_body_is_a_body_only_where_it_was_given() -> None:
    assert first_hop(execution(URL)).body is None
    assert b"" == first_hop(execution(URL, body=b"")).body


@pytest.mark.parametrize(
    ("status", "method", "becomes"),
    [
        (301, "POST", "GET"), (302, "POST", "GET"), (303, "POST", "GET"), (307, "POST", "POST"), (308, "POST", "POST"),
        (301, "PUT", "PUT"), (302, "DELETE", "DELETE"), (303, "PUT", "GET"), (303, "HEAD", "HEAD"),
        (302, "HEAD", "HEAD"), (303, "GET", "GET"), (302, "PATCH", "PATCH"),
    ],
)  # fmt: skip
def test_a_redirect_changes_the_method_as_its_status_says(status: int, method: str, becomes: str) -> None:
    body = None if method in ("GET", "HEAD") else b"body"
    headers = (("Content-Type", "t"), ("X-Kept", "k"))
    hop = first_hop(execution(URL, method=method, body=body, headers=headers, follow_redirects=True))
    following = next_hop(hop, Response(status, "", (("location", "/next"),)))
    assert following is not None
    assert becomes == following.method
    if becomes == method:
        assert (body, headers) == (following.body, following.headers)
    else:
        assert (None, (("X-Kept", "k"),)) == (following.body, following.headers)


@pytest.mark.parametrize("place", ["http://b.test/", "https://a.test/", "http://a.test:8080/", "http://sub.a.test/"])
def test_what_belongs_to_an_origin_does_not_leave_it(place: str) -> None:
    hop = first_hop(execution("http://me:pw@a.test/", headers=SECRETS, follow_redirects=True))
    following = next_hop(hop, Response(302, "", (("Location", place),)))
    assert following is not None
    assert (("X-Key", "k"),) == following.headers
    assert "me" not in following.target.url


def test_what_the_coordinator_calls_secret_does_not_leave_its_origin_either() -> None:
    hop = first_hop(execution(URL, headers=(*SECRETS, ("X-Kept", "kept")), follow_redirects=True))
    elsewhere = next_hop(hop, Response(302, "", (("Location", "http://b.test/"),)), frozenset({"x-key"}))
    assert elsewhere is not None
    assert (("X-Kept", "kept"),) == elsewhere.headers
    at_home = next_hop(hop, Response(302, "", (("Location", "/x"),)), frozenset({"x-key"}))
    assert at_home is not None
    assert hop.headers == at_home.headers


def test_within_its_origin_a_redirect_keeps_credentials() -> None:
    hop = first_hop(execution(URL, headers=SECRETS, follow_redirects=True))
    following = next_hop(hop, Response(302, "", (("Location", "http://A.test:80/x"),)))
    assert following is not None
    assert SECRETS == following.headers


@pytest.mark.parametrize(
    ("follow", "response"),
    [
        (False, Response(302, "", (("Location", "/x"),))),
        (True, Response(302, "", ())),
        (True, Response(302, "", (("Location", ""),))),
        (True, Response(200, "", (("Location", "/x"),))),
        (True, Response(304, "", (("Location", "/x"),))),
        (True, Response(300, "", (("Location", "/x"),))),
    ],
)
def test_what_does_not_redirect_is_final(follow: bool, response: Response) -> None:
    assert next_hop(first_hop(execution(URL, follow_redirects=follow)), response) is None


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        ("ftp://a.test/", FailureKind.HTTP_PROTOCOL),
        ("file:///etc/passwd", FailureKind.HTTP_PROTOCOL),
        ("http://[::g]/", FailureKind.HTTP_PROTOCOL),
        ("http://192.0.2.1/", FailureKind.TARGET_HAS_NO_IPV6),
    ],
)
def test_a_redirect_to_where_nothing_can_be_asked_is_the_targets_failure(location: str, kind: FailureKind) -> None:
    hop = first_hop(execution(URL, follow_redirects=True))
    with pytest.raises(ExecutionError) as caught:
        next_hop(hop, Response(302, "", (("Location", location),)))
    assert kind == caught.value.failure.kind


def test_a_location_in_utf_8_is_understood() -> None:
    hop = first_hop(execution(URL, follow_redirects=True))
    for text in ("/\u00e9".encode().decode("latin-1"), "/\u00e9"):
        following = next_hop(hop, Response(302, "", (("Location", text),)))
        assert following is not None
        assert "http://a.test/%C3%A9" == following.target.url


def test_the_hop_of_executions_that_say_that_they_ask_for_the_same_is_the_same() -> None:
    hops = FirstHops()
    first, other = execution("http://a.test/1"), execution("http://a.test/2")
    again = Likewise("x2", "::2", 1.0, first)
    assert "http://a.test/1" == hops.of(first).target.url
    assert hops.of(first) is hops.of(again)
    assert "http://a.test/2" == hops.of(other).target.url
    assert "http://a.test/1" == hops.of(again).target.url


def test_a_hop_that_cannot_be_made_fails_each_time_and_leaves_the_others_theirs() -> None:
    hops = FirstHops()
    good, bad = execution("http://a.test/"), execution("ftp://a.test/")
    hops.of(good)
    for asked in (bad, Likewise("x2", "::2", 1.0, bad)):
        with pytest.raises(ExecutionError, match="scheme"):
            hops.of(asked)
    assert "http://a.test/" == hops.of(good).target.url


def test_a_large_hop_is_not_kept() -> None:
    hops = FirstHops()
    large = execution("http://a.test/", method="POST", body=b"x" * (MAX_SHARED_CHARS + 1))
    assert hops.of(large) is not hops.of(large)
