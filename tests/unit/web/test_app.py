"""The route table: what is there, what is not, and who may ask."""

from __future__ import annotations

import itertools

import pytest

from dispatcher.web.app import REST_ROUTES
from tests.support.api import Served

METHODS = ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "FOO")

ALLOWED = {
    "/api/agents/register": "POST",
    "/api/agents": "GET",
    "/api/agents/agent-01": "DELETE",
    "/api/config/request": "GET, POST",
    "/api/execute": "GET, POST",
    "/api/pool/status": "GET",
    "/api/stats": "GET",
    "/api/history": "GET",
    "/api/history/1": "GET",
    "/api/openapi.json": "GET",
    "/livez": "GET",
    "/readyz": "GET",
    "/dispatcher.pyz": "GET",
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
