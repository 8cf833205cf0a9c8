"""`POST /api/execute`: what its body overrides, for one execution alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.wire.messages import Execute
from tests.support.api import Served, served
from tests.support.scripted_agent import ScriptedAgent
from tests.unit.web.test_schemas import JSON, NAMES

PATH = "/api/execute"


def history(api: Served) -> list[Any]:
    items: list[Any] = api.call("GET", "/api/history").json["items"]
    return items


BASE: dict[str, Any] = {
    "url": "http://base.test/",
    "method": "POST",
    "headers": {"X-Base": "1"},
    "body": "base",
    "timeout": 20.0,
    "follow_redirects": True,
    "max_redirects": 3,
    "verify_tls": False,
    "http_version": "1.1",
    "max_body_bytes": 1000,
}


def seen(api: Served, agent: ScriptedAgent, overrides: Any) -> Execute:
    """Execute with `overrides` and return what the agent was told to do."""
    assert 200 == api.call("POST", PATH, overrides).status
    told: Execute = api.run(agent.hear(Execute))
    return told


@pytest.mark.parametrize(
    ("overrides", "attribute", "value"),
    [
        ({"url": "http://other.test/"}, "url", "http://other.test/"),
        ({"method": "put"}, "method", "PUT"),
        ({"headers": {"X-Other": "2"}}, "headers", (("X-Other", "2"),)),
        ({"headers": []}, "headers", ()),
        ({"body": "other"}, "body", b"other"),
        ({"body": ""}, "has_body", True),
        ({"body": None}, "has_body", False),
        ({"body_base64": "AP8="}, "body", b"\x00\xff"),
        ({"follow_redirects": False}, "follow_redirects", False),
        ({"max_redirects": 7}, "max_redirects", 7),
        ({"verify_tls": True}, "verify_tls", True),
        ({"http_version": "2"}, "http_version", "2"),
        ({"max_body_bytes": 77}, "max_body_bytes", 77),
    ],
)
def test_an_override_counts_for_one_execution_alone(
    api: Served, overrides: dict[str, Any], attribute: str, value: object
) -> None:
    agent = api.agent(configured=False)
    stored = api.configure(**BASE)
    base = seen(api, agent, {})
    assert value != getattr(base, attribute) or attribute == "has_body"
    overridden = seen(api, agent, overrides)
    assert value == getattr(overridden, attribute)
    untouched = set(Execute.__dataclass_fields__) - {"id", "source", "timeout", "body", "has_body", attribute}
    assert {name: getattr(base, name) for name in untouched} == {name: getattr(overridden, name) for name in untouched}
    assert base.body == seen(api, agent, {}).body
    assert stored == api.call("GET", "/api/config/request").json


def test_a_body_overrides_one_in_base64_and_the_other_way_round(api: Served) -> None:
    agent = api.agent(configured=False)
    api.configure(body_base64="AP8=")
    assert [b"x", b"\x00\xff"] == [seen(api, agent, content).body for content in ({"body": "x"}, {})]


def test_a_timeout_overrides_and_what_waiting_took_is_gone_from_it(api: Served) -> None:
    agent = api.agent()
    left = seen(api, agent, {"timeout": 5}).timeout
    assert 4 < left <= 5


def test_the_whole_is_checked_once_more_with_its_overrides(api: Served) -> None:
    api.agent(configured=False)
    api.configure("https://base.test/", http_version="3")
    reply = api.call("POST", PATH, {"url": "http://base.test/"})
    assert (422, ["/http_version"]) == (reply.status, reply.pointers)
    assert [] == history(api)


@pytest.mark.parametrize(
    ("overrides", "pointers"),
    [
        ({"timeout": "5"}, ["/timeout"]),
        ({"revision": 1}, ["/revision"]),
        ({"method": None}, ["/method"]),
        ({"url": ""}, ["/url"]),
        ({"body": "x", "body_base64": "AA=="}, ["/body_base64"]),
        ({"a/b": 1, "m~n": 2}, ["/a~1b", "/m~0n"]),
    ],
)
def test_a_wrong_override_executes_nothing(api: Served, overrides: dict[str, Any], pointers: list[str]) -> None:
    api.agent()
    reply = api.call("POST", PATH, overrides)
    assert (422, pointers) == (reply.status, reply.pointers)
    assert [] == history(api)


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A coordinator with an agent, for all examples of a property."""
    with served(tmp_path_factory.mktemp("state")) as running:
        running.agent()
        yield running


@settings(max_examples=150, deadline=None)
@given(overrides=st.dictionaries(NAMES, JSON, max_size=10))
def test_no_json_object_can_break_it(answering: Served, overrides: dict[str, Any]) -> None:
    before = answering.call("GET", "/api/config/request").body
    reply = answering.call("POST", PATH, body=json.dumps(overrides).encode())
    assert reply.status in (200, 400, 422, 504)
    assert before == answering.call("GET", "/api/config/request").body
