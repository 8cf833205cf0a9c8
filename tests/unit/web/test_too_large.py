"""Requests over a limit: the sender gets to read the 413, 414 or 431, however much it sends, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatcher.coordinator import HEADER_BYTES
from dispatcher.web.base import DISCARDED_BYTES
from tests.support.api import PROBLEM, Reply, Served, served

LIMIT = 2000


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, max_request_bytes=str(LIMIT)) as running:
        yield running


def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_not(small: Served) -> None:
    empty = b'{"url":"http://x/","body":""}'
    body = empty[:-2] + b"x" * (LIMIT - len(empty)) + empty[-2:]
    assert 200 == small.call("POST", "/api/config/request", body=body).status
    assert_too_large(small.call("POST", "/api/config/request", body=body + b" "))
    assert 1 == small.call("GET", "/api/config/request").json["revision"]


@pytest.mark.parametrize("path", ["/api/config/request", "/api/execute", "/api/agents/register"])
@pytest.mark.parametrize("size", [LIMIT + 1, 1_000_000, DISCARDED_BYTES + LIMIT + 1_000_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_sender_that_reads_only_in_the_end_reads_the_413(small: Served, path: str, size: int, framing: str) -> None:
    before = small.configure()
    if framing == "length":
        assert_too_large(small.call("POST", path, body=b"x" * size))
    else:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"x" * size)
        assert_too_large(small.call("POST", path, body=body, headers={"Transfer-Encoding": "chunked"}))
    assert before == small.call("GET", "/api/config/request").json


@pytest.mark.parametrize("length", ["100000000000", "9" * 30, "9" * 5000])
def test_a_length_that_is_far_too_large_is_answered_before_the_body_comes(small: Served, length: str) -> None:
    assert_too_large(small.call("POST", "/api/execute", body=b"{}", headers={"Content-Length": length}))


def test_a_large_body_to_an_unknown_path_gets_its_404(small: Served) -> None:
    assert 404 == small.call("POST", "/nothing", body=b"x" * 3_000_000).status


def test_a_large_body_with_a_wrong_method_gets_its_405(small: Served) -> None:
    assert 405 == small.call("PUT", "/api/execute", body=b"x" * 3_000_000).status


def assert_too_large(reply: Reply) -> None:
    assert (413, PROBLEM, "no-store") == (
        reply.status,
        reply.headers["content-type"],
        reply.headers["cache-control"],
    )
    assert "urn:http-dispatcher:problem:too_large" == reply.json["type"]
    assert str(LIMIT) in reply.json["detail"]


def head_of(size: int, *, line: bytes = b"GET /livez HTTP/1.1") -> bytes:
    """A head of `size` bytes, its last line the long one."""
    begun = line + b"\r\nHost: test\r\nConnection: close\r\nX-Large: "
    return begun + b"x" * (size - len(begun) - 4) + b"\r\n\r\n"


def assert_head_refused(reply: Reply, status: int, name: str) -> None:
    assert (status, PROBLEM, "close") == (reply.status, reply.headers["content-type"], reply.headers["connection"])
    assert f"urn:http-dispatcher:problem:{name}" == reply.json["type"]
    assert str(HEADER_BYTES) in reply.json["detail"]


def test_a_head_at_the_limit_is_taken_and_one_byte_more_is_431(small: Served) -> None:
    assert 200 == small.raw(head_of(HEADER_BYTES)).status
    assert_head_refused(small.raw(head_of(HEADER_BYTES + 1)), 431, "head_too_large")


@pytest.mark.parametrize("more", [0, 1, 10_000_000])
def test_a_sender_that_reads_only_in_the_end_reads_the_431(small: Served, more: int) -> None:
    assert_head_refused(small.raw(head_of(2 * HEADER_BYTES) + b"x" * more), 431, "head_too_large")


def test_a_head_that_never_ends_is_431(small: Served) -> None:
    assert_head_refused(small.raw(head_of(HEADER_BYTES + 5)[:-4]), 431, "head_too_large")


def test_a_first_line_over_the_limit_is_414(small: Served) -> None:
    line = b"GET /" + b"x" * HEADER_BYTES + b" HTTP/1.1"
    assert_head_refused(small.raw(head_of(2 * HEADER_BYTES, line=line)), 414, "uri_too_long")


def test_a_long_first_line_within_the_limit_is_read(small: Served) -> None:
    line = b"GET /" + b"x" * (HEADER_BYTES // 2) + b" HTTP/1.1"
    assert 404 == small.raw(head_of(HEADER_BYTES, line=line)).status
