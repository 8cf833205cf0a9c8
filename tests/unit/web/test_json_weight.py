"""Counting values in JSON that comes in pieces."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.web.json_weight import MAX_VALUES, JsonWeight
from tests.support.api import Served
from tests.unit.web.test_schemas import JSON


def weigh(body: bytes, size: int = 64 * 1024) -> JsonWeight:
    weight = JsonWeight()
    for start in range(0, len(body), size):
        weight.add(body[start : start + size])
    return weight


def values(content: Any) -> int:
    """Count as the module says, but over what JSON means instead of over its bytes."""
    inner = list(content.values()) if isinstance(content, dict) else content if isinstance(content, list) else None
    if inner is None:
        return 0
    return 1 + max(len(inner) - 1, 0) + sum(map(values, inner))


STRINGS = st.text(alphabet=',"\\[]{}\n\u00e4x')


@given(st.lists(JSON | STRINGS) | st.dictionaries(STRINGS, STRINGS), st.integers(1, 9), st.booleans())
def test_values_are_counted_wherever_the_pieces_end(content: Any, size: int, ascii_only: bool) -> None:
    body = json.dumps(content, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert values(content) == weigh(body, size)._values


def test_commas_in_a_long_text_count_nothing() -> None:
    assert not weigh(json.dumps({"body": ',"[{' * 1_000_000}).encode()).is_over


@pytest.mark.parametrize("count", [MAX_VALUES - 1, MAX_VALUES])
def test_the_limit_is_a_limit(count: int) -> None:
    assert (count == MAX_VALUES) == weigh(json.dumps([1] * (count + 1)).encode()).is_over


HEAVY = {
    "names": b"{" + b",".join(b'"%d":1' % number for number in range(1_000_000)) + b"}",
    "lists": b'{"url":"http://x/","headers":[' + b",".join([b'["a","b"]'] * 1_400_000) + b"]}",
    "depth": b"[" * 15_000_000,
    "escapes": b'{"' + b'\\"' * 7_000_000,
}


@pytest.mark.parametrize("kind", HEAVY)
@pytest.mark.parametrize("path", ["/api/config/request", "/api/execute", "/api/agents/register"])
def test_a_body_of_millions_of_values_is_refused_without_holding_the_loop(api: Served, path: str, kind: str) -> None:
    before = api.configure()
    worked = time.thread_time()
    reply = api.call("POST", path, body=HEAVY[kind])
    assert reply.status == (400 if kind == "escapes" else 422)
    assert 1.0 > time.thread_time() - worked
    assert before == api.call("GET", "/api/config/request").json


def test_the_most_headers_that_are_allowed_are_not_too_many_values(api: Served) -> None:
    pairs = [[f"X-{number}", "x"] for number in range(1024)]
    assert pairs == api.configure(headers=pairs)["headers"]


def test_the_most_addresses_that_are_allowed_are_not_too_many_values(api: Served) -> None:
    addresses = [f"2001:db8::{number:x}" for number in range(1, 1001)]
    assert 201 == api.call("POST", "/api/agents/register", {"addresses": addresses}).status
