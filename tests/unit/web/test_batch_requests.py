"""What may be asked of a batch, and what is said of what may not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dispatcher.wire.messages import Execute
from tests.support.api import Served, served
from tests.support.scripted_agent import ScriptedAgent, ok

PATH = "/api/execute"
SENT: list[Execute] = []


def answer(agent: ScriptedAgent, execute: Execute) -> None:
    SENT.append(execute)
    agent.send(ok(execute))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("state")) as running:
        running.agent(answer=answer)
        running.configure(body="stored", method="POST", headers={"X-A": "1"})
        SENT.clear()
        yield running


def sent() -> list[Execute]:
    found = SENT.copy()
    SENT.clear()
    return found


WRONG: list[tuple[Any, list[str]]] = [
    ({"count": 0}, ["/count"]),
    ({"count": 1_000_001}, ["/count"]),
    ({"count": "5"}, ["/count"]),
    ({"count": 1.5}, ["/count"]),
    ({"count": True}, ["/count"]),
    ({"count": None}, ["/count"]),
    ({"count": 2, "concurrency": 0}, ["/concurrency"]),
    ({"count": 2, "concurrency": 1_000_001}, ["/concurrency"]),
    ({"concurrency": 2}, ["/concurrency"]),
    ({"count": 2, "requests": [{}]}, ["/requests"]),
    ({"requests": []}, ["/requests"]),
    ({"requests": {}}, ["/requests"]),
    ({"requests": [{}, 5]}, ["/requests/1"]),
    ({"requests": [{}, {"url": "b"}, {"timeout": 0}]}, ["/requests/1/url", "/requests/2/timeout"]),
    ({"requests": [{"count": 2}]}, ["/requests/0/count"]),
    ({"requests": [{"retries": 1}]}, ["/requests/0/retries"]),
    (
        {"requests": [{"max_redirects": 1}, {"max_redirects": True}, {"max_redirects": 1.0}]},
        ["/requests/1/max_redirects", "/requests/2/max_redirects"],
    ),
    ({"requests": [{"verify_tls": True}, {"verify_tls": 1}]}, ["/requests/1/verify_tls"]),
    ({"requests": [{"timeout": 1}, {"timeout": 1, "url": "b"}]}, ["/requests/1/url"]),
    ({"requests": [{"timeout": 1}, {"timeout": 1, "url": None}]}, ["/requests/1/url"]),
    ({"requests": [{}], "timeout": -1}, ["/timeout"]),
    ({"count": 2, "methode": "GET"}, ["/methode"]),
    ({"count": 2, "url": "ftp://x/"}, ["/url"]),
]


@pytest.mark.parametrize(("content", "pointers"), WRONG, ids=lambda value: json.dumps(value)[:40])
def test_what_is_not_valid_is_named_and_nothing_is_sent(api: Served, content: Any, pointers: list[str]) -> None:
    reply = api.call("POST", PATH, content)
    assert (422, pointers) == (reply.status, reply.pointers)
    assert [] == sent()


def test_an_idempotency_key_is_refused_with_a_batch_in_a_sentence(api: Served) -> None:
    for content in ({"count": 2}, {"requests": [{}]}):
        reply = api.call("POST", PATH, content, headers={"Idempotency-Key": "a-key"})
        assert (422, "urn:http-dispatcher:problem:idempotency_key_of_batch") == (reply.status, reply.json["type"])
        assert "one execution" in reply.json["detail"]
    assert [] == sent()
    assert 200 == api.call("POST", PATH, headers={"Idempotency-Key": "a-key"}).status
    sent()


def test_a_count_has_what_the_body_overrides(api: Served) -> None:
    assert 200 == api.call("POST", PATH, {"count": 3, "method": "PUT", "url": "http://other.test/"}).status
    assert [("PUT", "http://other.test/", b"stored")] * 3 == [(each.method, each.url, each.body) for each in sent()]


def test_each_of_the_requests_overrides_the_rest_of_the_body(api: Served) -> None:
    listed = [
        {},
        {"method": "DELETE", "headers": {"X-B": "2"}},
        {"body": "own"},
        {"body_base64": "b3du"},
        {"body": None},
        {"url": "http://own.test/", "timeout": 3},
    ]
    reply = api.call("POST", PATH, {"requests": listed, "url": "http://all.test/", "timeout": 5, "concurrency": 1})
    assert [1, 2, 3, 4, 5, 6] == [line["sequence"] for line in reply.lines[:-1]]
    found = sent()
    assert ["http://all.test/"] * 5 + ["http://own.test/"] == [each.url for each in found]
    assert ["POST", "DELETE", "POST", "POST", "POST", "POST"] == [each.method for each in found]
    assert [b"stored", b"stored", b"own", b"own", b"", b"stored"] == [each.body for each in found]
    assert [True, True, True, True, False, True] == [each.has_body for each in found]
    assert (("X-A", "1"),) == found[0].headers
    assert (("X-B", "2"),) == found[1].headers
    assert 3 < found[0].timeout <= 5
    assert found[5].timeout <= 3


def test_requests_that_share_the_configured_body_share_its_bytes(api: Served) -> None:
    api.call("POST", PATH, {"requests": [{}] * 3})
    assert 1 == len({each.body for each in sent()})


def test_where_nothing_is_configured_each_needs_a_url(tmp_path: Path) -> None:
    with served(tmp_path) as bare:
        for content in ({"count": 2}, {"requests": [{"url": "http://a.test/"}, {}]}):
            reply = bare.call("POST", PATH, content)
            assert (409, "urn:http-dispatcher:problem:not_configured") == (reply.status, reply.json["type"])
        bare.agent(answer=answer, configured=False)
        reply = bare.call("POST", PATH, {"requests": [{"url": "http://a.test/"}, {"url": "https://b.test/"}]})
        assert {"http://a.test/", "https://b.test/"} == {each.url for each in sent()}
        assert 2 == reply.lines[-1]["summary"]["completed"]


LONG = 2600
"""Requests that together have more values than are read at once."""


def test_a_long_list_is_executed_as_a_short_one_is(api: Served) -> None:
    listed: list[dict[str, Any]] = [{"url": f"http://target.test/{number}"} for number in range(LONG)]
    listed[5] = {"method": "DELETE", "body": "own"}
    listed[6] = {"url": "http://target.test/6", "body": None}
    reply = api.call("POST", PATH, {"timeout": 5, "requests": listed, "url": "http://all.test/", "concurrency": 1})
    assert list(range(1, LONG + 1)) == [line["sequence"] for line in reply.lines[:-1]]
    assert LONG == reply.lines[-1]["summary"]["completed"]
    found = sent()
    assert [each.get("url", "http://all.test/") for each in listed] == [each.url for each in found]
    assert [("DELETE", b"own"), ("POST", b""), ("POST", b"stored")] == [(each.method, each.body) for each in found[5:8]]
    assert all(each.timeout <= 5 for each in found)


def test_of_a_long_list_the_first_hundred_that_are_wrong_are_named_and_nothing_is_sent(api: Served) -> None:
    for wrong, member in (({"url": "b"}, "/url"), ({"timeout": 0}, "/timeout"), (5, ""), ({"count": 2}, "/count")):
        reply = api.call("POST", PATH, {"requests": [{}] * (LONG - 1) + [wrong]})
        assert (422, [f"/requests/{LONG - 1}{member}"]) == (reply.status, reply.pointers)
    reply = api.call("POST", PATH, {"requests": [{"url": "x"}] * LONG})
    assert (422, 100) == (reply.status, len(reply.pointers))
    assert [] == sent()


@pytest.mark.parametrize(
    ("beside", "pointers"),
    [
        ({"concurrency": 0}, ["/concurrency"]),
        ({"count": 2}, ["/requests"]),
        ({"timeout": -1}, ["/timeout"]),
        ({"methode": "GET"}, ["/methode"]),
    ],
)
def test_what_is_beside_a_long_list_is_checked(api: Served, beside: dict[str, Any], pointers: list[str]) -> None:
    reply = api.call("POST", PATH, {"requests": [{}] * LONG, **beside})
    assert (422, pointers) == (reply.status, reply.pointers)
    assert [] == sent()


def test_a_long_list_has_no_idempotency_key_and_no_other_media_type(api: Served) -> None:
    content = {"requests": [{}] * LONG}
    reply = api.call("POST", PATH, content, headers={"Idempotency-Key": "a-long-key"})
    assert (422, "urn:http-dispatcher:problem:idempotency_key_of_batch") == (reply.status, reply.json["type"])
    assert 415 == api.call("POST", PATH, content, headers={"Content-Type": "text/plain"}).status
    assert [] == sent()


def test_the_urls_of_a_long_list_are_checked_against_what_is_beside_them(api: Served) -> None:
    listed = [{"url": "https://a.test/"}] * LONG + [{"url": "http://a.test/"}]
    reply = api.call("POST", PATH, {"requests": listed, "url": "https://all.test/", "http_version": "3"})
    assert (422, [f"/requests/{LONG}/http_version"]) == (reply.status, reply.pointers)


def test_a_long_list_without_any_url_is_409(tmp_path: Path) -> None:
    with served(tmp_path) as bare:
        reply = bare.call("POST", PATH, {"requests": [{"url": "http://a.test/"}] * LONG + [{}]})
        assert (409, "urn:http-dispatcher:problem:not_configured") == (reply.status, reply.json["type"])
