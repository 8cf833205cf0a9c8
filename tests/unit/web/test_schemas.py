"""What users may send."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from dispatcher.web.schemas import HistoryQuerySchema, RegisterSchema, RequestSchema
from dispatcher.wire import limits

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
    }
    assert expected == load()
    assert ["url"] == faults({})


GOOD = [
    ("url", "https://[2001:db8::1]:8443/a?b=c#d"),
    ("url", "HTTP://TARGET.TEST"),
    ("url", "http://ä.test/"),
    ("url", "http://t/" + "x" * (limits.MAX_URL_CHARS - 9)),
    ("method", "PURGE"),
    ("method", "get"),
    ("headers", {}),
    ("headers", {"X": ""}),
    ("headers", [["Set-Cookie", "a"], ["Set-Cookie", "b"]]),
    ("headers", {"X": "\u00e4\t"}),
    ("body", ""),
    ("body", "\u0000\U0001f600"),
    ("body", None),
    ("body_base64", ""),
    ("body_base64", "AP8="),
    ("timeout", 1),
    ("timeout", 0.001),
    ("timeout", 3600),
    ("follow_redirects", True),
    ("max_redirects", 0),
    ("max_redirects", 100),
    ("verify_tls", False),
    ("http_version", "2"),
    ("max_body_bytes", 0),
    ("max_body_bytes", 256 * 1024 * 1024),
]


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_what_is_right_is_taken(name: str, value: object) -> None:
    assert [] == faults({"url": URL, name: value})


WRONG_VALUES: dict[str, list[object]] = {
    "url": [
        *(
            None,
            5,
            True,
            [],
            {},
            "",
            "target.test",
            "ftp://t/",
            "http://",
            "http:///x",
        ),
        *(
            "http://t:0/",
            "http://t:65536/",
            "http://t:x/",
            "http://[::1/",
            "http://[::g]/",
        ),
        *(
            "http://t/ x",
            "http://t/\n",
            " http://t/",
            "http://t/\x7f",
            "http://t\\@u/",
        ),
        *(
            "http://t/" + "x" * limits.MAX_URL_CHARS,
            "http://\ud800/",
            "//t/",
        ),
    ],
    "method": [
        *(
            None,
            5,
            "",
            "A B",
            "GET\r\n",
            "CONNECT",
            "connect",
            "X" * 33,
            "G\u00c4T",
        ),
    ],
    "headers": [
        *(
            None,
            5,
            "X: y",
            True,
            [5],
            [["a"]],
            [["a", "b", "c"]],
            [["a", 5]],
            {"a": 5},
        ),
        *(
            {"": "x"},
            {"a b": "x"},
            {"a:": "x"},
            {"a": "x\r\ny"},
            {"a": "\x00"},
        ),
        *(
            {"a": "\u20ac"},
            {"a": None},
            {"Content-Length": "5"},
            {"te": "x"},
        ),
        *(
            [["a", "b"]] * 1025,
            {"a": "x" * limits.MAX_HEADER_BYTES},
        ),
    ],
    "body": [
        *(
            5,
            True,
            [],
            {},
            "\ud800",
        ),
    ],
    "body_base64": [
        *(
            5,
            "x",
            "AP8",
            "AP8=\n",
            "A P8=",
            "\u00e4",
            "AP8=AP8=",
        ),
    ],
    "timeout": [
        *(
            None,
            0,
            -1,
            3600.1,
            "5",
            True,
            [],
            10**400,
            float("inf"),
        ),
    ],
    "follow_redirects": [
        *(
            None,
            0,
            1,
            "true",
            "yes",
            [],
        ),
    ],
    "max_redirects": [
        *(
            None,
            -1,
            101,
            1.5,
            1.0,
            "5",
            True,
            10**400,
        ),
    ],
    "verify_tls": [
        *(
            None,
            0,
            "false",
        ),
    ],
    "http_version": [
        *(
            None,
            2,
            1.1,
            "",
            "1.0",
            "AUTO",
            "h2",
        ),
    ],
    "max_body_bytes": [
        *(
            None,
            -1,
            256 * 1024 * 1024 + 1,
            "1",
            True,
            0.0,
        ),
    ],
}
UNKNOWN = ("URL", "revision", "unknown", "", "_schema", "__class__")
WRONG = [(name, value) for name, values in WRONG_VALUES.items() for value in values]
WRONG += [(name, 1) for name in UNKNOWN]


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


QUERY_WRONG_VALUES: dict[str, list[str]] = {
    "limit": [
        *(
            "",
            "0",
            "501",
            "-1",
            "1.0",
            "1_0",
            "x",
            " 5",
            "\u0663",
            "9" * 40,
        ),
    ],
    "cursor": [
        *(
            "",
            "-1",
            "A",
            "z" * 13,
            "1 ",
            "1\n",
            "\u0663",
        ),
    ],
    "agent_id": [
        *(
            "",
            "x" * 65,
        ),
    ],
    "source_ip": [
        *(
            "",
            "1.2.3.4",
            "::g",
            "[::1",
            "::1]",
            "fe80::1%",
            "fe80::1%a b",
            "x",
        ),
    ],
    "outcome": [
        *(
            "",
            "COMPLETED",
            "done",
        ),
    ],
    "status": [
        *(
            "",
            "99",
            "1000",
            "2xx",
            "2_00",
        ),
    ],
    "error": [
        *(
            "",
            "TIMEOUT",
            "no",
        ),
    ],
    "since": [
        *(
            "",
            "5",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-13-01T00:00:00Z",
        ),
    ],
    "until": [
        *(
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
            "2026-W01-1T00:00Z",
        ),
    ],
    "unknown": [
        *(
            "",
            "1",
        ),
    ],
}
QUERY_WRONG = [(name, value) for name, values in QUERY_WRONG_VALUES.items() for value in values]


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


REGISTER_WRONG_VALUES: dict[str, list[object]] = {
    "agent_id": [
        *(
            "",
            "-a",
            "a b",
            "a\n",
            "a/b",
            "x" * 65,
            5,
            True,
            "register",
            "\u00e4",
        ),
    ],
    "hostname": [
        *(
            None,
            5,
            "x" * 256,
            "\ud800",
        ),
    ],
    "version": [
        *(
            None,
            5,
            "x" * 65,
            "\ud800",
        ),
    ],
    "addresses": [
        *(
            None,
            "::1",
            {},
            [None],
            ["1.2.3.4"],
            [5],
            ["::1"] * 1001,
        ),
    ],
}
REGISTER_WRONG = [(name, value) for name, values in REGISTER_WRONG_VALUES.items() for value in values]
REGISTER_WRONG += [("unknown", 1)]


@pytest.mark.parametrize(("name", "value"), REGISTER_WRONG)
def test_a_wrong_registration_is_refused_by_the_name_of_its_field(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        RegisterSchema().load({name: value})
    assert [name] == list(messages(refused.value))


@pytest.mark.parametrize("agent_id", ["a", "A.b_c-1", "9", "x" * 64, "registers", "register.1", None])
def test_an_agent_may_have_such_an_id(agent_id: str | None) -> None:
    assert agent_id == RegisterSchema().load({"agent_id": agent_id})["agent_id"]
