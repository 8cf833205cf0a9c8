"""The JSON object of a body. How handlers tell what is wrong with one is in `test_base.py`."""

from __future__ import annotations

import pytest

from dispatcher.web import json_body
from dispatcher.web.json_weight import MAX_VALUES, JsonWeight
from dispatcher.web.problems import Problem

JSON = "application/json"


def status(body: bytes, content_type: str = JSON, encoding: str = "identity", weight: JsonWeight | None = None) -> int:
    """The status of the answer to a body that cannot be read."""
    with pytest.raises(Problem) as raised:
        json_body.read(body, content_type, encoding, weight)
    return raised.value.status


def test_an_object_is_read() -> None:
    assert {"a": [1, "\N{EURO SIGN}"]} == json_body.read('{"a": [1, "€"]}'.encode(), JSON)


@pytest.mark.parametrize("content_type", ["application/JSON", "application/json; charset=utf-8"])
def test_a_type_may_be_written_in_any_way(content_type: str) -> None:
    assert {} == json_body.read(b"{}", content_type)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json; charset=latin-1"])
def test_what_is_not_json_in_utf_8_is_not_looked_at(content_type: str) -> None:
    assert 415 == status(b"{", content_type)


def test_an_encoding_is_not_undone() -> None:
    assert 415 == status(b"{", JSON, "gzip")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a": 1, "a": 2}', b'{"a": NaN}', b"[" * 4000])
def test_what_is_malformed_is_said_to_be(body: bytes) -> None:
    assert 400 == status(body)


def test_a_list_is_no_object() -> None:
    assert 422 == status(b"[]")


def test_too_many_values_are_not_read_whoever_counted_them() -> None:
    heavy = b"[" + b"0," * MAX_VALUES
    counted = JsonWeight()
    counted.add(heavy)
    assert (422, 422) == (status(heavy), status(b"{}", weight=counted))
