"""What the short way takes: what is plain, right and there as a whole, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dispatcher.web.short_way import SMALL_BYTES
from tests.support.api import Served, raw_request, served
from tests.unit.web.plain import LAST, PATH, conversation, one


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (f"{PATH}?a=1", {}, 200),
        (PATH, {"Origin": "http://evil.test"}, 403),
        (PATH, {"Sec-Fetch-Site": "cross-site"}, 403),
        (PATH, {"Idempotency-Key": '"1"'}, 400),
        (PATH, {"Content-Length": "0"}, 200),
        (PATH, {"Authorization": "Bearer wrong"}, 401),
        (PATH, {"Host": "evil.test"}, 421),
        (PATH, {"Host": "test,test"}, 400),
        (PATH, {"Host": "t est"}, 400),
        (PATH, {"Cookie": "a=b"}, 200),
    ],
)
def test_what_is_not_plain_goes_the_long_way(
    api: Served, long_way: list[str], path: str, headers: dict[str, str], status: int
) -> None:
    api.agent()
    assert 200 == api.raw(raw_request("GET", PATH)).status
    assert [] == long_way
    assert status == api.raw(raw_request("GET", path, headers=headers)).status
    assert [path] * ("Idempotency-Key" in headers or status == 200) == long_way


def test_where_other_sites_are_allowed_every_request_goes_the_long_way(tmp_path: Path, long_way: list[str]) -> None:
    with served(tmp_path, allow_origin=["http://friend.test"]) as api:
        api.agent()
        assert "Origin" == api.raw(raw_request("GET", PATH)).headers["vary"]
        assert [PATH] == long_way


@pytest.mark.parametrize("cut", [1, 30, len(one("POST", b"{}")) - 1])
def test_what_comes_in_pieces_goes_the_long_way(api: Served, long_way: list[str], cut: int) -> None:
    api.agent()
    whole = one("POST", b"{}")
    assert 3 == conversation(api, one(), whole[:cut], whole[cut:] + LAST).count(b"HTTP/1.1 200 OK\r\n")
    assert [PATH] == long_way


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"count": 1}, 200),
        ({"url": "no URL"}, 422),
        ({"unknown": 1}, 422),
        ([], 422),
        ({"headers": [["a", "b"]] * 3000}, 422),
        ({"body": "x" * 4096}, 200),
        ({"body": "x" * 70_000}, 200),
    ],
)
def test_a_post_that_is_a_batch_or_not_right_goes_the_long_way(
    api: Served, long_way: list[str], asked: Any, status: int
) -> None:
    api.agent()
    assert status == api.call("POST", PATH, asked).status
    assert [PATH] == long_way


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({"Content-Encoding": "gzip"}, b"{}", 415),
        ({"Idempotency-Key": '"1"'}, b"{}", 200),
        ({}, b"{", 400),
        ({}, b'{"url": 1, "url": 2}', 400),
        ({"Content-Length": "2,2"}, b"{}", 200),
        ({"Expect": "100-continue"}, b"{}", 200),
    ],
)
def test_a_post_that_is_not_plain_goes_the_long_way(
    api: Served, long_way: list[str], headers: dict[str, str], body: bytes, status: int
) -> None:
    api.agent()
    answer = api.raw(raw_request("POST", PATH, body, {"Content-Type": "application/json"} | headers), method="POST")
    # Python's reader passes over what is said before an answer.
    assert status == answer.status
    assert [PATH] == long_way


def test_a_body_over_the_limit_goes_the_long_way(tmp_path: Path, long_way: list[str]) -> None:
    with served(tmp_path, max_request_bytes=1024) as api:
        api.agent()
        assert 413 == api.call("POST", PATH, {"body": "x" * 1024}).status
        assert [PATH] == long_way


def test_beside_a_large_body_that_is_configured_a_post_goes_the_long_way(api: Served, long_way: list[str]) -> None:
    api.agent(configured=False)
    api.configure(method="POST", body="x" * SMALL_BYTES)
    assert 200 == api.call("POST", PATH, {"timeout": 5.0}).status
    assert [PATH] == long_way
    assert 200 == api.call("POST", PATH).status
    assert [PATH] == long_way


def test_where_nothing_is_configured_a_post_with_a_url_needs_no_more(api: Served, long_way: list[str]) -> None:
    api.agent(configured=False)
    assert 409 == api.call("POST", PATH).status
    assert [PATH] == long_way
    assert 200 == api.call("POST", PATH, {"url": "http://target.test/"}).status
    assert [PATH] == long_way


def test_a_head_ends_where_it_does_on_the_long_way(api: Served, long_way: list[str]) -> None:
    api.agent()
    start = f"GET {PATH} HTTP/1.1\r\nHost: test\r\nConnection: close".encode()
    for end in (b"\r\n\r\n", b"\r\n\n", b"\n\nAccept: a\r\n\r\n"):
        assert 200 == api.raw(start + end).status
    assert [] == long_way
    assert 400 == api.raw(start + b"\r\n folded: no\rname\r\n\r\n").status
