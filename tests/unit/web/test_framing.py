"""Where a request begins and ends, and where its answer does: as RFC 9112 has it, and in one way only."""

from __future__ import annotations

import pytest

from dispatcher.web.framing import MOST_QUERY_FIELDS, is_among
from tests.support.api import PROBLEM, Served, parse_reply
from tests.support.scripted_agent import answers
from tests.unit.web.plain import PATH, conversation

HOST = b"Host: test\r\n"
LIVE = b"GET /livez HTTP/1.1\r\n" + HOST
BEHIND = f"GET {PATH} HTTP/1.1\r\n".encode() + HOST + b"Connection: close\r\n\r\n"
"""What somebody may want to have passed off as a request of its own."""

POST = f"POST {PATH} HTTP/1.1\r\n".encode() + HOST + b"Content-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

MALFORMED = {
    "a length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "two lengths in one": POST + b"Content-Length: 2, 3\r\n\r\n{}",
    "a length with a sign": POST + b"Content-Length: +2\r\n\r\n{}",
    "a length below nought": POST + b"Content-Length: -2\r\n\r\n{}",
    "a length in hexadecimal": POST + b"Content-Length: 0x2\r\n\r\n{}",
    "a length with an underscore": POST + b"Content-Length: 0_2\r\n\r\n{}",
    "a length with a space": POST + b"Content-Length: 2 2\r\n\r\n{}",
    "an empty length": POST + b"Content-Length: \r\n\r\n",
    "a space before the colon": LIVE + b"Content-Length : 3\r\n\r\nabc",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding that is none": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding with a control character": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a coding in HTTP/1.0": CHUNKED.replace(b"1.1", b"1.0") + b"2\r\n{}\r\n0\r\n\r\n",
    "a chunk's size with a sign": CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
    "a chunk's size with a prefix": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk's size with a space": CHUNKED + b"2 \r\n{}\r\n0\r\n\r\n",
    "a chunk's size with an extension": CHUNKED + b"2;a=b\r\n{}\r\n0\r\n\r\n",
    "a chunk's size that ends in LF": CHUNKED + b"2\n{}\r\n0\r\n\r\n",
    "a chunk that ends elsewhere": CHUNKED + b"2\r\n{}xx0\r\n\r\n",
    "a trailer": CHUNKED + b"2\r\n{}\r\n0\r\nX: y\r\n\r\n",
    "more than there is": CHUNKED + b"f" * 16 + b"\r\n{}\r\n0\r\n\r\n",
    "a folded line": LIVE + b"X: a\r\n b\r\n\r\n",
    "a first line that is folded": LIVE.replace(b"Host", b" Host") + b"\r\n",
    "a NUL": LIVE + b"X: a\0b\r\n\r\n",
    "a CR": LIVE + b"X: a\rb\r\n\r\n",
    "a name that is none": LIVE + b"X\xff: a\r\n\r\n",
    "no name": LIVE + b": a\r\n\r\n",
    "no colon": LIVE + b"X\r\n\r\n",
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two hosts": LIVE + HOST + b"\r\n",
    "two hosts and a target with one": LIVE.replace(b"/", b"http://test/", 1) + HOST + b"\r\n",
    "a host that is none": b"GET /livez HTTP/1.1\r\nHost: te st\r\n\r\n",
    "a target without its host": b"GET http:///livez HTTP/1.1\r\n" + HOST + b"\r\n",
    "a host with a user": b"GET http://me@test/livez HTTP/1.1\r\n" + HOST + b"\r\n",
    "no version": b"GET /livez\r\n" + HOST + b"\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another space": b"GET  /livez HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with a space": b"GET /li vez HTTP/1.1\r\n" + HOST + b"\r\n",
    "many fields": LIVE.replace(b"livez", b"livez?" + b"&" * MOST_QUERY_FIELDS) + b"\r\n",
}


@pytest.mark.parametrize("behind", [BEHIND, BEHIND * 10_000], ids=["one", "many"])
@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_told_so_and_nothing_behind_it_is_a_request(
    shared: Served, sent: bytes, behind: bytes
) -> None:
    answer = conversation(shared, sent + behind)
    assert 1 == answer.count(b"HTTP/1.1 ")
    reply = parse_reply(answer, "GET")
    assert (400, PROBLEM, "close") == (reply.status, reply.headers["content-type"], reply.headers["connection"])
    assert "urn:http-dispatcher:problem:malformed_request" == reply.json["type"]
    assert reply.json["detail"].startswith("the request cannot be read: ")
    assert 0 == shared.running.services.executions.in_flight
    assert [] == shared.call("GET", "/api/history").json["items"]


def test_what_is_malformed_is_answered_in_its_turn(api: Served) -> None:
    api.agent()
    answer = conversation(api, BEHIND.replace(b"close", b"keep-alive") + LIVE + b"\r\n" + LIVE + b"X\r\n\r\n" + BEHIND)
    assert [b"200", b"200", b"400"] == [each[:3] for each in answer.split(b"HTTP/1.1 ")[1:]]


def test_what_is_said_of_a_malformed_request_is_short(shared: Served) -> None:
    reply = shared.raw(LIVE + b"X: " + b"\1" * 10_000 + b"\r\n\r\n")
    assert (400, 200) == (reply.status, len(reply.json["detail"]))


@pytest.mark.parametrize("path", [PATH.encode(), b"/livez"])
@pytest.mark.parametrize(
    "said", [b"close", b"CLOSE", b"close, te", b"keep-alive ,\tClose", b"keep-alive\r\nConnection: close"]
)
def test_a_connection_ends_where_close_is_among_what_is_said_of_it(api: Served, path: bytes, said: bytes) -> None:
    api.agent()
    asked = b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"Connection: " + said + b"\r\n\r\n"
    answer = conversation(api, asked + BEHIND)
    assert (1, 1) == (answer.count(b"HTTP/1.1 200 OK\r\n"), answer.count(b"\r\nConnection: close\r\n"))


@pytest.mark.parametrize(
    ("version", "said", "is_kept"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: te, closed\r\n", True),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: te\r\n", False),
        (b"1.0", b"Connection: Keep-Alive\r\n", True),
        (b"1.0", b"Connection: te, keep-alive\r\n", True),
        (b"1.0", b"Connection: keep-alive, close\r\n", False),
    ],
)
def test_a_connection_is_kept_where_its_version_and_what_is_said_of_it_want_so(
    api: Served, version: bytes, said: bytes, is_kept: bool
) -> None:
    asked = LIVE.replace(b"1.1", version) + said + b"\r\n"
    answer = conversation(api, asked + BEHIND)
    assert [b"200", b"409"][: 1 + is_kept] == [each[:3] for each in answer.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("asked", [b"", b'{"count": 2}'], ids=["one", "a batch"])
@pytest.mark.parametrize("said", [b"", b"Connection: keep-alive\r\n"])
def test_what_has_no_length_ends_with_its_connection_in_http_1_0(api: Served, asked: bytes, said: bytes) -> None:
    api.agent(answer=answers(body=b"x" * 1_000_000))
    head = POST.replace(b"1.1", b"1.0") + said + b"Content-Length: %d\r\n\r\n" % len(asked)
    answer = conversation(api, head + asked + BEHIND)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert not {b"content-length", b"transfer-encoding", b"connection"} & {
        line.partition(b":")[0].lower() for line in head.split(b"\r\n")
    }
    assert b"HTTP/1.1 " not in body
    assert body.rstrip().endswith(b"}}" if asked else b"}")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("http://test/livez", "/livez"),
        ("HTTPS://test:8000/livez?a=1", "/livez"),
        ("http://test", "/"),
        ("http://test?/livez", "/"),
    ],
)
def test_a_target_may_say_where_it_is(shared: Served, target: str, path: str) -> None:
    reply = shared.raw(f"GET {target} HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n".encode())
    if path == "/livez":
        assert (200, {"status": "ok"}) == (reply.status, reply.json)
    else:
        assert (404, f"there is nothing at {path}") == (reply.status, reply.json["detail"])


def test_where_a_target_says_that_it_is_elsewhere_it_is_not_here(shared: Served) -> None:
    reply = shared.raw(b"GET http://evil.test/livez HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert (421, "urn:http-dispatcher:problem:wrong_host") == (reply.status, reply.json["type"])


@pytest.mark.parametrize("expected", [b"100-continue", b"100-Continue"])
def test_who_waits_to_be_told_to_go_on_is_told(api: Served, expected: bytes) -> None:
    api.agent()
    head = POST + b"Connection: close\r\nContent-Length: 2\r\nExpect: " + expected + b"\r\n\r\n"
    answer = conversation(api, head, b"{}")
    assert [b"100", b"200"] == [each[:3] for each in answer.split(b"HTTP/1.1 ")[1:]]


def test_in_http_1_0_nobody_is_told_to_go_on(api: Served) -> None:
    api.agent()
    head = POST.replace(b"1.1", b"1.0") + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    assert conversation(api, head, b"{}").startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("said", "is_so"), [("close", True), (" Close\t, te", True), ("te,close", True), ("", False), ("closed", False)]
)
def test_an_option_is_among_what_a_connection_header_lists(said: str, is_so: bool) -> None:
    assert is_so is is_among("close", said)
