"""The route table: what is there, what is not, and who may ask."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from dispatcher.web.app import REST_ROUTES
from tests.support.api import Served, raw_request
from tests.support.scripted_agent import WAIT

METHODS = ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "FOO")

ALLOWED = {
    "/api/agents/register": "POST",
    "/api/agents": "GET, HEAD",
    "/api/agents/agent-01": "DELETE",
    "/api/config/request": "GET, HEAD, POST",
    "/api/execute": "GET, POST",
    "/api/pool/status": "GET, HEAD",
    "/api/stats": "GET, HEAD",
    "/api/history": "GET, HEAD",
    "/api/history/1": "GET, HEAD",
    "/api/openapi.json": "GET, HEAD",
    "/livez": "GET, HEAD",
    "/readyz": "GET, HEAD",
    "/metrics": "GET, HEAD",
    "/dispatcher.pyz": "GET, HEAD",
}
WRONG = [
    (method, path) for method, path in itertools.product(METHODS, ALLOWED) if method not in ALLOWED[path].split(", ")
]


@pytest.mark.parametrize(("method", "path"), WRONG)
def test_a_wrong_method_gets_405_with_the_methods_that_are_allowed(shared: Served, method: str, path: str) -> None:
    reply = shared.call(method, path)
    assert (405, ALLOWED[path]) == (reply.status, reply.headers["allow"])
    if method == "HEAD":
        assert b"" == reply.body
    else:
        assert "method_not_allowed" in reply.json["type"]


def test_every_route_is_tried_with_wrong_methods() -> None:
    assert len(ALLOWED) == len(REST_ROUTES)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/",
        "/api/agents/",
        "/api/agents/a/b",
        "/api/history/",
        "/api/history/a/b",
        "//api/history",
        "/api//history",
        "/api/%68istory",
        "/api/nothing%FF",
        "/api/history%00",
        "/API/history",
        "/livez/",
        "/ws",
        "/%2e%2e/etc/passwd",
        "/../etc/passwd",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "FOO"])
def test_an_unknown_path_gets_404_whatever_the_method(shared: Served, method: str, path: str) -> None:
    reply = shared.call(method, path)
    assert (404, "Not Found") == (reply.status, reply.json["title"])
    assert "allow" not in reply.headers


@pytest.mark.parametrize(
    "part", ["%FF", "%ED%A0%80", "%00", "a%2Fb", "%0A%1b%5B31m", "%", "%ZZ", "..", "%C3%A4", "x" * 5000]
)
def test_an_odd_name_in_a_path_names_nothing(shared: Served, part: str) -> None:
    assert 404 == shared.call("DELETE", f"/api/agents/{part}").status
    assert 404 == shared.call("GET", f"/api/history/{part}").status


CROSS_SITE = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://other.test"},
    {"Origin": "http://evil.test"},
    {"Origin": "null"},
    {"Origin": "http://test:81"},
]
SAME_SITE = [{"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://test"}, {}]


@pytest.mark.parametrize("headers", CROSS_SITE)
def test_a_browser_may_not_change_anything_for_a_page_of_another_site(api: Served, headers: dict[str, str]) -> None:
    api.agent()
    before = api.configure()
    for method, path, content in (
        ("POST", "/api/config/request", {"url": "http://evil.test/"}),
        ("POST", "/api/execute", {}),
        ("POST", "/api/agents/register", {}),
        ("DELETE", "/api/agents/agent-01", None),
    ):
        assert 403 == api.call(method, path, content, headers=headers).status
    assert before == api.call("GET", "/api/config/request").json
    assert 1 == len(api.call("GET", "/api/agents").json["agents"])
    assert [] == api.call("GET", "/api/history").json["items"]


@pytest.mark.parametrize("headers", SAME_SITE)
def test_a_page_of_the_same_site_may(api: Served, headers: dict[str, str]) -> None:
    api.agent()
    assert 200 == api.call("POST", "/api/config/request", {"url": "http://target.test/"}, headers=headers).status
    assert 200 == api.call("POST", "/api/execute", {}, headers=headers).status
    assert 200 == api.call("GET", "/api/execute", headers=headers).status


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_an_image_on_a_page_of_another_site_executes_nothing(api: Served, site: str) -> None:
    api.agent()
    assert 403 == api.call("GET", "/api/execute", headers={"Sec-Fetch-Site": site}).status
    assert [] == api.call("GET", "/api/history").json["items"]


@pytest.mark.parametrize("path", [path for path, methods in ALLOWED.items() if "GET" in methods])
def test_no_answer_may_be_stored_by_a_cache(shared: Served, path: str) -> None:
    reply = shared.call("GET", path)
    assert "no-store" == reply.headers["cache-control"]
    assert "etag" not in reply.headers


async def all_that_comes(port: int, requests: bytes) -> bytes:
    """Send requests on one connection and return all answers as they came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(requests)
    answers = await asyncio.wait_for(reader.read(), WAIT)
    writer.close()
    return answers


SAFE = [path for path, methods in ALLOWED.items() if "HEAD" in methods]


@pytest.mark.parametrize("path", [*SAFE, "/api/history?limit=1", "/api/history?limit=0"])
def test_head_answers_as_get_without_the_body_and_leaves_the_connection_in_order(shared: Served, path: str) -> None:
    expected = shared.call("GET", path)
    reply = shared.call("HEAD", path)
    assert (expected.status, b"") == (reply.status, reply.body)
    assert expected.headers["content-type"] == reply.headers["content-type"]
    if "content-length" in reply.headers and path not in ("/api/stats", "/metrics"):  # whose figures grow meanwhile
        assert expected.headers["content-length"] == reply.headers["content-length"]
    head = raw_request("HEAD", path, headers={"Connection": "keep-alive"})
    both = shared.run(all_that_comes(shared.running.port, head + raw_request("GET", "/livez")))
    _, first, second = both.split(b"HTTP/1.1 ")
    assert first.endswith(b"\r\n\r\n")
    assert second.startswith(b"200 OK")


def test_head_never_executes(api: Served) -> None:
    api.agent()
    reply = api.call("HEAD", "/api/execute")
    assert (405, "GET, POST") == (reply.status, reply.headers["allow"])
    assert [] == api.call("GET", "/api/history").json["items"]


def test_head_of_what_is_not_there_gets_404(shared: Served) -> None:
    assert [404, 404] == [shared.call("HEAD", path).status for path in ("/api/nothing", "/api/history/nothing")]
