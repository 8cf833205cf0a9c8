"""Browsers: pages of other sites, names that are not ours, and what `--allow-origin` and `--allow-host` let in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from dispatcher.web.app import REST_ROUTES
from tests.support.api import Reply, Served, raw_request, served
from tests.support.scripted_agent import WAIT

FRIEND = "https://ops.example"


@pytest.fixture(scope="module")
def open_to(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A coordinator that a page of `FRIEND` may use."""
    with served(tmp_path_factory.mktemp("state"), allow_origin=[FRIEND], allow_host=["test", "Gateway.Example"]) as api:
        yield api


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://other.test"},
    {"Origin": "http://evil.test"},
    {"Origin": "null"},
    {"Origin": "http://test:81"},
    {"Origin": f"{FRIEND}.evil.test"},
    {"Origin": f"{FRIEND}:444"},
    {"Origin": "http://ops.example"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("path", [pattern for pattern, _ in REST_ROUTES if "(" not in pattern])
def test_a_page_of_another_site_is_refused_whatever_it_asks(
    open_to: Served, path: str, headers: dict[str, str]
) -> None:
    reply = open_to.call("GET", path, headers=headers)
    assert (403, "urn:http-dispatcher:problem:cross_origin") == (reply.status, reply.json["type"])
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://test"}, {}])
def test_our_own_page_and_no_page_at_all_may_ask(open_to: Served, headers: dict[str, str]) -> None:
    reply = open_to.call("GET", "/api/stats", headers=headers)
    assert (200, "Origin") == (reply.status, reply.headers["vary"])
    assert "access-control-allow-origin" not in reply.headers


def test_a_page_of_an_allowed_origin_may_ask_and_read_the_answer_and_the_problems(open_to: Served) -> None:
    headers = {"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"}
    for method, path, status in (
        ("GET", "/api/stats", 200),
        ("GET", "/api/history/x", 404),
        ("POST", "/api/config/request", 415),
        ("PUT", "/api/stats", 405),
    ):
        reply = open_to.call(method, path, headers=headers)
        assert (status, FRIEND, "Origin") == (
            reply.status,
            reply.headers["access-control-allow-origin"],
            reply.headers["vary"],
        )
        assert "access-control-allow-credentials" not in reply.headers


def preflight(api: Served, origin: str, path: str = "/api/config/request") -> Reply:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Sec-Fetch-Site": "cross-site"}
    return api.raw(raw_request("OPTIONS", path, headers=headers), method="OPTIONS")


def test_a_browser_is_told_what_an_allowed_page_may_send(open_to: Served) -> None:
    reply = preflight(open_to, FRIEND)
    assert (204, b"") == (reply.status, reply.body)
    assert FRIEND == reply.headers["access-control-allow-origin"]
    assert "GET, HEAD, POST" == reply.headers["access-control-allow-methods"]
    assert {"Authorization", "Content-Type"} <= set(reply.headers["access-control-allow-headers"].split(", "))


def test_a_browser_is_told_so_without_a_token_since_it_sends_none(tmp_path: Path) -> None:
    with served(tmp_path, allow_origin=[FRIEND], require_token=True) as api:
        assert 204 == preflight(api, FRIEND).status
        reply = api.call("GET", "/api/stats", headers={"Origin": FRIEND})
        assert (401, FRIEND) == (reply.status, reply.headers["access-control-allow-origin"])


def test_no_other_page_is_told_anything(open_to: Served) -> None:
    assert 403 == preflight(open_to, "https://evil.test").status


@pytest.mark.parametrize(("origin", "expected"), [(FRIEND, 101), ("https://evil.test", 403), ("", 101)])
def test_a_websocket_opens_for_allowed_pages_only(open_to: Served, origin: str, expected: int) -> None:
    async def test() -> int:
        url = f"ws{open_to.running.url.removeprefix('http')}/ws/monitor"
        request = HTTPRequest(url, headers={"Origin": origin} if origin else {})
        try:
            async with asyncio.timeout(WAIT):
                (await websocket_connect(request)).close()
        except HTTPClientError as error:
            return error.code
        return 101

    assert expected == open_to.run(test())


OURS = ["localhost", "LOCALHOST:80", "localhost.", "127.0.0.1:8000", "127.1.2.3", "[::1]:8000", "gateway.example"]
NOT_OURS = [
    "evil.test",
    "evil.test:8000",
    "localhost.evil.test",
    "127.0.0.1.evil.test",
    "192.0.2.1",
    "[2001:db8::1]",
    "0.0.0.0",
    "::1",
    "1",
    "x" * 1000,
]


@pytest.mark.parametrize("host", OURS)
def test_a_coordinator_on_a_loopback_address_answers_under_its_own_names(open_to: Served, host: str) -> None:
    assert 200 == open_to.raw(raw_request("GET", "/api/stats", host=host)).status


@pytest.mark.parametrize("host", NOT_OURS)
@pytest.mark.parametrize("path", ["/api/stats", "/livez", "/nothing", "/ws/monitor"])
def test_and_under_no_other_so_that_no_page_gets_in_by_rebinding_its_name(
    open_to: Served, host: str, path: str
) -> None:
    reply = open_to.raw(raw_request("GET", path, host=host))
    assert (421, "urn:http-dispatcher:problem:wrong_host") == (reply.status, reply.json["type"])
    assert "--allow-host" in reply.json["detail"]


def test_rebinding_executes_nothing(open_to: Served) -> None:
    headers = {"Origin": "http://evil.test", "Sec-Fetch-Site": "same-origin"}
    reply = open_to.raw(raw_request("POST", "/api/execute", headers=headers, host="evil.test"))
    assert 421 == reply.status
    assert [] == open_to.call("GET", "/api/history").json["items"]


def test_a_coordinator_that_others_reach_answers_under_any_name(tmp_path: Path) -> None:
    with served(tmp_path, host="0.0.0.0", insecure_no_auth=True) as api:
        assert 200 == api.raw(raw_request("GET", "/api/stats", host="gateway.test")).status
