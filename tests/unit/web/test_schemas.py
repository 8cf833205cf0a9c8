"""What users may send."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from dispatcher.web.schemas import HistoryQuerySchema, RegisterSchema, RequestSchema
from tests.unit.web.wrong_values import GOOD, QUERY_WRONG, REGISTER_WRONG, WRONG

URL = "http://target.test/"


def messages(error: ValidationError) -> dict[str, Any]:
    """Return what is wrong by the names of fields."""
    found: dict[str, Any] = error.normalized_messages()  # type: ignore[no-untyped-call]  # marshmallow leaves it so
    return found


def faults(content: dict[str, Any]) -> list[str]:
    """Return the names of the fields of a request that are wrong."""
    try:
        RequestSchema().load(content)
    except ValidationError as error:
        return sorted(messages(error))
    return []


def load(**fields: Any) -> dict[str, Any]:
    loaded: dict[str, Any] = RequestSchema().load({"url": URL, **fields})
    return loaded


def test_a_request_needs_a_url_only_and_gets_the_contracts_defaults() -> None:
    expected: dict[str, object] = {
        "url": URL,
        "method": "GET",
        "headers": [],
        "body": None,
        "body_base64": None,
        "timeout": 30.0,
        "follow_redirects": False,
        "max_redirects": 5,
        "verify_tls": True,
        "http_version": "auto",
        "max_body_bytes": 10 * 1024 * 1024,
        "retries": 0,
    }
    assert expected == load()
    assert ["url"] == faults({})


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_what_is_right_is_taken(name: str, value: object) -> None:
    assert [] == faults({"url": URL, name: value})


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_what_is_wrong_is_refused_by_the_name_of_its_field(name: str, value: object) -> None:
    assert [name] == faults({"url": URL, name: value})


def test_all_that_is_wrong_is_told_together() -> None:
    assert ["max_redirects", "method", "timeout", "url", "x"] == faults(
        {"method": "", "timeout": "5", "max_redirects": None, "x": 1}
    )


def test_a_body_may_be_given_in_one_form_only() -> None:
    assert ["body_base64"] == faults({"url": URL, "body": "", "body_base64": ""})


@pytest.mark.parametrize("url", ["http://t/", "HTTP://t/"])
def test_http_3_needs_https(url: str) -> None:
    assert ["http_version"] == faults({"url": url, "http_version": "3"})
    assert [] == faults({"url": url.replace(":", "s:", 1), "http_version": "3"})


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "delete"])
def test_what_may_be_sent_twice_may_be_retried(method: str) -> None:
    assert 10 == load(method=method, retries=10)["retries"]


@pytest.mark.parametrize("method", ["POST", "PATCH", "PURGE"])
def test_what_may_not_be_sent_twice_is_retried_only_with_a_key_that_the_target_gets(method: str) -> None:
    assert ["retries"] == faults({"url": URL, "method": method, "retries": 1})
    assert [] == faults({"url": URL, "method": method, "retries": 1, "headers": {"idempotency-key": "k"}})
    assert [] == faults({"url": URL, "method": method, "retries": 0})


def test_a_standard_method_is_written_in_capitals_and_another_is_left_as_it_is() -> None:
    assert ["PATCH", "Purge"] == [load(method=method)["method"] for method in ("patch", "Purge")]


def test_headers_keep_their_order_and_their_repeats() -> None:
    pairs = [["B", "1"], ["a", "2"], ["B", "3"]]
    assert pairs == load(headers=pairs)["headers"]
    assert [["B", "1"], ["a", "2"]] == load(headers={"B": "1", "a": "2"})["headers"]


@given(st.binary(max_size=64))
def test_any_bytes_may_be_a_body_in_base64(body: bytes) -> None:
    text = base64.b64encode(body).decode()
    assert text == load(body_base64=text)["body_base64"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(sorted(RequestSchema().fields)) | st.text(max_size=8)


@given(st.dictionaries(NAMES, JSON, max_size=12))
def test_no_json_object_can_do_more_than_be_refused(content: dict[str, Any]) -> None:
    try:
        loaded = RequestSchema().load(content)
    except ValidationError:
        return
    assert set(RequestSchema().fields) == set(loaded)


@given(st.dictionaries(st.sampled_from(sorted(HistoryQuerySchema().fields)), st.text(), max_size=9))
def test_no_query_can_do_more_than_be_refused(query: dict[str, str]) -> None:
    try:
        loaded = HistoryQuerySchema().load(query)
    except ValidationError:
        return
    assert set(HistoryQuerySchema().fields) == set(loaded)


@pytest.mark.parametrize(("name", "value"), QUERY_WRONG)
def test_a_wrong_query_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        HistoryQuerySchema().load({name: value})
    assert [name] == list(messages(refused.value))


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01z", 1000),
        ("1970-01-01 00:00:00.001Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T01:00:00 01:00", 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2026-01-01T00:00:00.123456789Z", 1767225600123),
    ],
)
def test_a_point_in_time_is_read_to_the_millisecond(text: str, milliseconds: int) -> None:
    assert milliseconds == HistoryQuerySchema().load({"since": text})["since"]


@pytest.mark.parametrize(
    ("given_address", "address"),
    [
        ("[2001:DB8::1]", "2001:db8::1"),
        ("2001:db8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_an_address_is_loaded_in_its_canonical_form(given_address: str, address: str) -> None:
    assert address == HistoryQuerySchema().load({"source_ip": given_address})["source_ip"]


@pytest.mark.parametrize(("name", "value"), REGISTER_WRONG)
def test_a_wrong_registration_is_refused_by_the_name_of_its_field(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        RegisterSchema().load({name: value})
    assert [name] == list(messages(refused.value))


@pytest.mark.parametrize("agent_id", ["a", "A.b_c-1", "9", "x" * 64, "registers", "register.1", None])
def test_an_agent_may_have_such_an_id(agent_id: str | None) -> None:
    assert agent_id == RegisterSchema().load({"agent_id": agent_id})["agent_id"]
