"""Reading JSON and writing answers: every way in which a body or a query can be wrong."""

from __future__ import annotations

import asyncio
import json

import pytest

from dispatcher.actors.loop_actor import stop_actor
from dispatcher.web.base import BaseHandler
from tests.support.api import PROBLEM, Served, raw_request

POSTS = ("/api/config/request", "/api/execute", "/api/agents/register")
GOOD = b'{"url":"http://target.test/"}'

NOT_JSON = {
    "truncated": b'{"url": "http://x',
    "a word": b"url",
    "two values": b"{} {}",
    "a trailing comma": b'{"url": "http://x/",}',
    "single quotes": b"{'url': 'http://x/'}",
    "NaN": b'{"timeout": NaN}',
    "infinity": b'{"timeout": -Infinity}',
    "a byte order mark": b'\xef\xbb\xbf{"url": "http://x/"}',
    "UTF-16": '{"url": "http://x/"}'.encode("utf-16"),
    "invalid UTF-8": b'{"url": "http://x/\xff"}',
    "an overlong NUL": b'{"url": "\xc0\x80"}',
    "a control character": b'{"url": "http://x/\n"}',
    "nested too deep": b"[" * 4000,
    "objects nested too deep": b'{"a":' * 4000,
    "a number of 5000 digits": b'{"max_redirects": ' + b"9" * 5000 + b"}",
    "a name twice": b'{"url": "http://x/", "url": "http://y/"}',
    "a name twice inside": b'{"url": "http://x/", "headers": {"A": "1", "A": "2"}}',
    "spaces": b"   ",
    "a NUL": b"\x00",
    "gzip": b"\x1f\x8b\x08\x00",
}


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("fault", NOT_JSON)
def test_what_is_no_json_gets_400_and_loses_nothing(shared: Served, path: str, fault: str) -> None:
    before = shared.configure()
    reply = shared.call("POST", path, body=NOT_JSON[fault])
    assert (400, PROBLEM) == (reply.status, reply.headers["content-type"])
    assert "malformed_json" in reply.json["type"]
    assert 300 > len(reply.json["detail"])
    assert before == shared.call("GET", "/api/config/request").json


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("body", [b"[]", b"null", b"true", b"5", b'"text"', b'[{"url": "http://x/"}]'])
def test_json_that_is_no_object_gets_422_for_the_whole_body(shared: Served, path: str, body: bytes) -> None:
    before = shared.configure()
    reply = shared.call("POST", path, body=body)
    assert (422, [""]) == (reply.status, reply.pointers)
    assert before == shared.call("GET", "/api/config/request").json


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "application/json, text/plain",
        "json",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
        ";",
        "\xff",
    ],
)
def test_another_media_type_gets_415_and_is_told_the_right_one(shared: Served, path: str, media_type: str) -> None:
    reply = shared.call("POST", path, body=GOOD, headers={"Content-Type": media_type})
    assert (415, "application/json") == (reply.status, reply.headers["accept"])


def test_a_body_without_a_media_type_gets_415(shared: Served) -> None:
    reply = shared.raw(raw_request("POST", "/api/config/request", GOOD))
    assert 415 == reply.status


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "APPLICATION/JSON",
        "application/json;charset=utf-8",
        'application/json; charset="UTF-8"',
        "application/json ; charset=utf8",
        "application/json; profile=x; charset=utf-8",
        "application/json; profile=x",
    ],
)
def test_json_in_utf_8_may_be_said_in_many_ways(shared: Served, media_type: str) -> None:
    assert 200 == shared.call("POST", POSTS[0], body=GOOD, headers={"Content-Type": media_type}).status


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
def test_a_compressed_body_gets_415(shared: Served, encoding: str) -> None:
    reply = shared.call("POST", POSTS[0], body=GOOD, headers={"Content-Encoding": encoding})
    assert (415, "identity") == (reply.status, reply.headers["accept-encoding"])


def test_a_body_in_chunks_is_read(shared: Served) -> None:
    body = b"".join(b"1\r\n%c\r\n" % byte for byte in GOOD) + b"0\r\n\r\n"
    assert 200 == shared.call("POST", POSTS[0], body=body, headers={"Transfer-Encoding": "chunked"}).status


@pytest.mark.parametrize("length", ["-1", "+5", "1e3", "5, 6", "\xb2", "x", "0x10"])
def test_a_content_length_that_is_no_number_gets_400(shared: Served, length: str) -> None:
    assert 400 == shared.raw(raw_request("POST", POSTS[0], GOOD, {"Content-Length": length})).status


@pytest.mark.parametrize("tag", ["*", '"x"'])
@pytest.mark.parametrize("path", ["/api/execute", "/livez"])
def test_a_condition_never_empties_an_answer(api: Served, path: str, tag: str) -> None:
    api.agent()
    reply = api.call("GET", path, headers={"If-None-Match": tag})
    assert 200 == reply.status
    assert reply.json


def test_a_range_never_cuts_an_answer(shared: Served) -> None:
    assert {"status": "ok"} == shared.call("GET", "/livez", headers={"Range": "bytes=0-1"}).json


def test_what_nobody_foresaw_gets_500_and_is_logged(api: Served, caplog: pytest.LogCaptureFixture) -> None:
    api.run(stop_actor(api.running.services.registry))
    reply = api.raw(raw_request("GET", "/api/agents"))
    assert (500, PROBLEM) == (reply.status, reply.headers["content-type"])
    assert "urn:http-dispatcher:problem:internal" == reply.json["type"]
    assert "dead" not in reply.json["detail"].lower()
    assert ["GET /api/agents failed"] == [
        record.getMessage() for record in caplog.records if record.levelname == "ERROR"
    ]


def test_problems_have_the_members_of_rfc_9457(shared: Served) -> None:
    problem = json.loads(shared.call("GET", "/nothing").body)
    assert ["type", "title", "status", "detail"] == list(problem)
    assert ("urn:http-dispatcher:problem:not_found", "Not Found", 404) == tuple(problem.values())[:3]


def test_a_flush_lets_the_loop_turn_where_there_is_nothing_to_wait_for() -> None:
    class ReadsFast:
        async def flush(self) -> None:
            """Everything was taken at once."""

    async def test() -> list[str]:
        turned: list[str] = []
        asyncio.get_running_loop().call_soon(turned.append, "turned")
        await BaseHandler.flush_in_turns(ReadsFast())  # type: ignore[arg-type]  # all that it needs of a handler
        return turned

    assert ["turned"] == asyncio.run(test())
