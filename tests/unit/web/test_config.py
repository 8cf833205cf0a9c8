"""`/api/config/request`: stored, read back, kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.api import Served, served
from tests.support.broken_store import REASON, unwritable_config
from tests.unit.web.test_schemas import JSON, NAMES

PATH = "/api/config/request"
WHOLE = {
    "url": "https://target.test/x",
    "method": "POST",
    "headers": [["X-A", "1"], ["X-A", "2"]],
    "body": "\u0000 \u00e4 \U0001f600",
    "body_base64": None,
    "timeout": 1.5,
    "follow_redirects": True,
    "max_redirects": 0,
    "verify_tls": False,
    "http_version": "2",
    "max_body_bytes": 1,
    "retries": 0,
}


def test_nothing_is_configured_at_first(api: Served) -> None:
    reply = api.call("GET", PATH)
    assert (404, "urn:http-dispatcher:problem:not_configured") == (reply.status, reply.json["type"])


def test_the_whole_configuration_comes_back_with_its_revision(api: Served) -> None:
    reply = api.call("POST", PATH, WHOLE)
    assert (200, [*WHOLE, "revision"]) == (reply.status, list(reply.json))
    assert WHOLE | {"revision": 1} == reply.json
    assert reply.body == api.call("GET", PATH).body


def test_a_configuration_replaces_the_one_before_as_a_whole(api: Served) -> None:
    api.call("POST", PATH, WHOLE)
    replaced = api.call("POST", PATH, {"url": "http://other.test/"}).json
    assert (2, "GET", [], None) == (replaced["revision"], replaced["method"], replaced["headers"], replaced["body"])


def test_a_configuration_survives_a_restart_and_its_revision_goes_on(tmp_path: Path) -> None:
    with served(tmp_path) as first:
        first.call("POST", PATH, WHOLE)
        stored = first.call("POST", PATH, WHOLE).json
    with served(tmp_path) as second:
        assert stored == second.call("GET", PATH).json
        assert 3 == second.configure()["revision"]


def test_nothing_is_lost_by_what_is_refused(shared: Served) -> None:
    before = shared.configure()
    for content in ({"url": "x"}, {}, WHOLE | {"timeout": "1"}, {"url": "http://x/", "unknown": 1}):
        assert 422 == shared.call("POST", PATH, content).status
    assert before == shared.call("GET", PATH).json


def test_what_cannot_be_stored_gets_503_and_the_configuration_stays(api: Served, tmp_path: Path) -> None:
    before = api.configure()
    with unwritable_config(tmp_path):
        reply = api.call("POST", PATH, WHOLE)
        assert (503, "1") == (reply.status, reply.headers["retry-after"])
        assert REASON in reply.json["detail"]
        assert before == api.call("GET", PATH).json
    assert 2 == api.configure()["revision"]


@pytest.mark.parametrize(
    ("content", "pointers"),
    [
        ({}, ["/url"]),
        ({"url": "http://x/", "headers": {"a/b~": "x", "ok": 5}}, ["/headers/a~1b~0", "/headers/ok"]),
        ({"url": "http://x/", "headers": [["a", "b"], ["a"], 5]}, ["/headers/1", "/headers/2"]),
        ({"url": "http://x/", "a/b~c": 1, "_schema": 1, "": 1}, ["/", "/_schema", "/a~1b~0c"]),
        ({"url": "http://x/", "headers": {"_schema": 5}}, ["/headers/_schema"]),
        ({"url": "http://x/", "\ud800": 5}, ["/\ud800"]),
    ],
)
def test_every_fault_has_its_pointer(shared: Served, content: dict[str, Any], pointers: list[str]) -> None:
    reply = shared.call("POST", PATH, content)
    assert (422, pointers) == (reply.status, sorted(reply.pointers))


def test_a_body_of_fifteen_megabytes_is_kept_as_it_is(api: Served) -> None:
    body = "\u00e4\n" * 4_000_000
    assert 200 == api.call("POST", PATH, body=json.dumps(WHOLE | {"body": body}, ensure_ascii=False).encode()).status
    assert body == api.call("GET", PATH).json["body"]


@settings(max_examples=150, deadline=None)
@given(content=st.dictionaries(NAMES, JSON, max_size=12))
def test_no_json_object_can_break_it(shared: Served, content: dict[str, Any]) -> None:
    before = shared.call("GET", PATH)
    reply = shared.call("POST", PATH, body=json.dumps(content).encode())
    assert reply.status in (200, 400, 422)
    if reply.status != 200:
        assert before.body == shared.call("GET", PATH).body


@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=200))
def test_no_bytes_can_break_it(shared: Served, body: bytes) -> None:
    reply = shared.call("POST", PATH, body=body, headers={"Content-Type": "application/json"})
    assert reply.status in (200, 400, 422)
