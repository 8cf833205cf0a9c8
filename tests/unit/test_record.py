"""The record: the shape that was promised, bodies as text or base64, and no secret anywhere."""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.actors.messages import Outcome
from dispatcher.errors import Failure, FailureKind, Party
from dispatcher.record import Record, body_json, dump, dump_everywhere_alike, make_record
from dispatcher.redaction import REDACTED, SECRET_HEADERS, Redactor
from dispatcher.request import RequestSpec
from dispatcher.web.representations import RecordSchema
from dispatcher.wire import native
from dispatcher.wire.messages import Result
from dispatcher.wire.phases import PHASES
from tests.unit.wire import said

REDACTOR = Redactor()
SPEC = RequestSpec("https://target.example/", headers=(("Accept", "*/*"),))
TIMINGS = {
    "queued": 0.1, "dns": 0.0, "connect": 0.3, "tls": 0.0, "send": 0.1, "wait": 1.2, "receive": 0.1, "total": 1.8,
}  # fmt: skip
ANSWER = Result(
    id="0190",
    status=200,
    reason="OK",
    http_version="1.1",
    remote_ip="2001:db8:f::1",
    source_ip="2001:db8:1::5",
    headers=(("Content-Type", "text/plain"), ("X-Twice", "a"), ("X-Twice", "b")),
    body_size=15,
    timings=TIMINGS,
    body=b"fifteen letters",
)


def record_of(result: Result | None, spec: RequestSpec = SPEC, redactor: Redactor = REDACTOR) -> Record:
    failure = result.failure if result is not None else None
    return make_record(
        identifier="0190",
        outcome=Outcome.COMPLETED if failure is None else Outcome.FAILED,
        exit_used=("agent-01", "2001:db8:1::5"),
        request=spec,
        result=result,
        failure=failure,
        started_at=1_767_225_600.0,
        finished_at=1_767_225_600.0018,
        redactor=redactor,
    )


def as_read(record: Record, max_body_bytes: int | None = None) -> Any:
    return json.loads(record.to_json_bytes(max_body_bytes))


def test_the_record_of_an_answer_has_the_shape_that_was_promised() -> None:
    expected = {
        "id": "0190",
        "outcome": "completed",
        "agent_id": "agent-01",
        "source_ip": "2001:db8:1::5",
        "request": {"method": "GET", "url": "https://target.example/", "headers": [["Accept", "*/*"]]},
        "response": {
            "status": 200,
            "reason": "OK",
            "http_version": "1.1",
            "remote_ip": "2001:db8:f::1",
            "headers": [["Content-Type", "text/plain"], ["X-Twice", "a"], ["X-Twice", "b"]],
            "body": {"encoding": "utf-8", "data": "fifteen letters", "size": 15, "truncated": False},
        },
        "timings": TIMINGS,
        "error": None,
        "started_at": "2026-01-01T00:00:00.000Z",
        "finished_at": "2026-01-01T00:00:00.002Z",
    }
    found = as_read(record_of(ANSWER))
    assert expected == found
    assert dump(expected) == dump(found)  # the order of the members too


def test_one_writing_serves_caller_and_history_unless_history_keeps_less() -> None:
    record = record_of(ANSWER)
    assert record.to_json_bytes() is record.to_row(15).record
    assert "fifteen letter" == json.loads(record.to_row(14).record)["response"]["body"]["data"]
    assert "fifteen letters" == as_read(record)["response"]["body"]["data"]
    changed = dataclasses.replace(record, id="0191")
    assert "0191" == as_read(changed)["id"]


def test_a_large_record_is_not_remembered() -> None:
    record = record_of(dataclasses.replace(ANSWER, body=b"x" * 100_000))
    assert record.to_json_bytes() == record.to_json_bytes()
    assert record.to_json_bytes() is not record.to_json_bytes()


def test_the_record_of_a_failure_has_an_error_and_no_response() -> None:
    failed = Result(id="0190", error_kind=FailureKind.DNS, error_detail="no such name", timings=TIMINGS)
    found = as_read(record_of(failed))
    assert found["response"] is None
    assert {"kind": "dns", "detail": "no such name", "attributed_to": "resolver"} == found["error"]
    assert ["kind", "detail", "attributed_to"] == list(found["error"])
    assert TIMINGS == found["timings"]


def test_the_record_of_what_no_agent_got_is_complete() -> None:
    record = make_record(
        identifier="0190",
        outcome=Outcome.FAILED,
        exit_used=None,
        request=SPEC,
        result=None,
        failure=Failure.of(FailureKind.NO_EXIT, "none"),
        started_at=0.0,
        finished_at=0.0,
        redactor=REDACTOR,
    )
    found = as_read(record)
    assert (None, None, None) == (found["agent_id"], found["source_ip"], found["response"])
    assert dict.fromkeys(PHASES, 0.0) == found["timings"]
    assert {} == RecordSchema().validate(found)


results = st.one_of(
    said.results(
        status=st.integers(100, 999), error_kind=st.none(), body=st.binary(max_size=50) | st.text().map(str.encode)
    ),
    said.results(status=st.none(), error_kind=st.sampled_from(FailureKind)),
    said.results(status=st.just(204), error_kind=st.none(), timings=st.just({})),
)


@given(result=results, limit=st.none() | st.integers(0, 60))
@settings(deadline=None)
def test_the_record_of_any_result_is_valid_and_can_be_read(result: Result, limit: int | None) -> None:
    found = as_read(record_of(result), limit)
    assert {} == RecordSchema().validate(found)


@given(result=results)
@settings(deadline=None)
def test_the_row_of_any_result_agrees_with_its_record(result: Result) -> None:
    record = record_of(result)
    row, found = record.to_row(10), as_read(record, 10)
    assert found == json.loads(row.record)
    assert (found["id"], found["outcome"], found["agent_id"], found["source_ip"]) == (
        row.id,
        str(row.outcome),
        row.agent_id,
        row.source_ip,
    )
    assert (found["response"] or {}).get("status") == row.status
    assert (found["error"] or {}).get("kind") == row.error_kind
    assert 1_767_225_600_002 == row.finished_at_ms


@given(microseconds=st.integers(0, 36_000_000_000))
def test_a_phase_is_told_to_the_microsecond(microseconds: int) -> None:
    phases = {"wait": microseconds / 1000, "queued": microseconds / 7000}
    found = as_read(record_of(dataclasses.replace(ANSWER, timings=phases)))["timings"]
    assert round(microseconds / 1000, 3) == found["wait"]
    assert round(found["queued"], 3) == found["queued"]
    assert pytest.approx(microseconds / 7000, abs=0.000501) == found["queued"]
    assert 0.0 == found["total"]


# JSON

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from((*FailureKind, *Outcome)),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(content=anything)
def test_json_is_read_as_the_same_whatever_wrote_it(content: object) -> None:
    def read(data: bytes) -> str:
        return repr(json.loads(data, object_pairs_hook=list))

    assert read(dump_everywhere_alike(content)) == read(dump(content))


class Name(str):
    __slots__ = ()


@pytest.mark.parametrize("content", [Name("x"), {Name("x"): 1}, {Party.AGENT: 1}, {1: 2}, {"x": [Name("y")]}], ids=repr)
def test_what_msgspec_does_not_know_is_written_by_python(content: object) -> None:
    assert dump_everywhere_alike(content) == dump(content)


def test_without_msgspec_python_writes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    quickly = record_of(ANSWER).to_json_bytes()
    monkeypatch.setattr(native, "encode", None)
    assert quickly == record_of(ANSWER).to_json_bytes()


# Bodies


def test_a_body_of_text_is_text() -> None:
    body = "grüße, 世界, \x00 and \U0001f600".encode()
    expected = {"encoding": "utf-8", "data": body.decode(), "size": len(body), "truncated": False}
    assert expected == body_json(body, size=len(body), is_cut=False)


@pytest.mark.parametrize("body", [b"\xff", b"abc\x80", "ä".encode("latin-1"), "ä".encode()[:1], b"\xed\xa0\x80"])
def test_a_body_that_is_no_text_is_base64(body: bytes) -> None:
    found = body_json(body, size=len(body), is_cut=False)
    assert ("base64", body) == (found["encoding"], base64.b64decode(found["data"]))


@pytest.mark.parametrize("kept", range(10))
def test_a_text_that_is_cut_within_a_character_stays_text_without_it(kept: int) -> None:
    body = "aä世\U0001f600".encode()
    found = body_json(body[:kept], size=len(body), is_cut=True)
    assert ("utf-8", len(body), True) == (found["encoding"], found["size"], found["truncated"])
    assert "aä世\U0001f600".startswith(found["data"])
    assert len(body[:kept]) - len(found["data"].encode()) < 4


@given(body=st.binary(max_size=30), cut=st.booleans())
def test_a_body_comes_back_byte_for_byte_unless_it_was_cut(body: bytes, cut: bool) -> None:
    found = body_json(body, size=99, is_cut=cut)
    if found["encoding"] == "base64":
        assert body == base64.b64decode(found["data"])
    else:
        assert body.startswith(found["data"].encode())
        assert cut or body == found["data"].encode()


@pytest.mark.parametrize(
    ("limit", "data", "truncated"),
    [(None, "fifteen letters", False), (15, "fifteen letters", False), (14, "fifteen letter", True), (0, "", True)],
)
def test_a_body_over_the_limit_is_cut_and_says_so_and_keeps_its_size(
    limit: int | None,
    data: str,
    truncated: bool,
) -> None:
    body = as_read(record_of(ANSWER), limit)["response"]["body"]
    assert (data, 15, truncated) == (body["data"], body["size"], body["truncated"])


def test_a_body_that_the_agent_cut_stays_cut() -> None:
    cut = dataclasses.replace(ANSWER, body=b"fif", truncated=True)
    expected = {"encoding": "utf-8", "data": "fif", "size": 15, "truncated": True}
    assert expected == as_read(record_of(cut))["response"]["body"]


def test_an_empty_body_is_an_empty_text() -> None:
    empty = dataclasses.replace(ANSWER, body=b"", body_size=0)
    expected = {"encoding": "utf-8", "data": "", "size": 0, "truncated": False}
    assert expected == as_read(record_of(empty), 0)["response"]["body"]


def test_a_failure_has_no_body_even_where_the_agent_sent_one() -> None:
    assert b"" == record_of(Result("x", error_kind=FailureKind.RESET, body=b"half")).body


@given(text=st.text(st.sampled_from('\ud800\udfff\\"ä\x00u\U0001f600')))
def test_any_text_survives_as_json_even_lone_surrogates(text: str) -> None:
    expected = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    assert expected == json.loads(dump(text))


# Secrets

SECRET = "0pen-sesame"


def secret_spec(url: str = f"https://user:{SECRET}@target.example/") -> RequestSpec:
    return RequestSpec(url, headers=tuple((name.title(), f"Bearer {SECRET}") for name in (*SECRET_HEADERS, "x-mine")))


def secret_answer() -> Result:
    lines = tuple((name, SECRET) for name in ("Set-Cookie", "set-cookie", "X-MINE", "Authorization"))
    return dataclasses.replace(ANSWER, headers=(*lines, ("Location", f"http://u:{SECRET}@h/")))


def secret_failure() -> Result:
    detail = f"netloc 'user:{SECRET}@h' and Bearer {SECRET} and https://user:{SECRET}@target.example/"
    return Result(id="0190", error_kind=FailureKind.INTERNAL, error_detail=detail, error_party=Party.AGENT)


@pytest.mark.parametrize("result", [secret_answer(), secret_failure(), None], ids=["answer", "failure", "none"])
@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{SECRET}@target.example/",
        f"https://{SECRET}@target.example:8443?q",
        f"https://a:{SECRET}@b:{SECRET}@target.example/",
        f"https://user:{SECRET}\\@target.example/",
        f"https://user:{SECRET}@[2001:db8::1]/#x",
    ],
)
def test_no_secret_is_anywhere_in_a_record(url: str, result: Result | None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    record = record_of(result, secret_spec(url), Redactor(["X-Mine"]))
    assert SECRET not in record.to_row(1000).record.decode()
    assert SECRET not in record.to_json_bytes().decode()
    assert SECRET not in repr(record)
    assert SECRET not in caplog.text
    assert REDACTED in repr(record)


@pytest.mark.parametrize("body", [b"fifteen letters", b"fif"])
def test_only_the_secret_is_missing_of_an_answer_that_has_one(body: bytes) -> None:
    open_lines = dataclasses.replace(ANSWER, body=body, truncated=len(body) < 15)
    with_secret = dataclasses.replace(open_lines, headers=(*ANSWER.headers, ("Set-Cookie", SECRET)))
    expected, found = as_read(record_of(open_lines)), as_read(record_of(with_secret))
    assert ["Set-Cookie", REDACTED] == found["response"]["headers"].pop()
    assert expected == found
    assert record_of(open_lines).to_row(99)[:8] == record_of(with_secret).to_row(99)[:8]


def test_the_reason_of_an_answer_is_not_told() -> None:
    assert SECRET not in repr(record_of(dataclasses.replace(ANSWER, error_detail=SECRET)))


def test_a_header_that_is_not_named_is_kept() -> None:
    record = record_of(ANSWER, RequestSpec("http://x/", headers=(("X-Mine", "mine"),)))
    assert [["X-Mine", "mine"]] == record.request["headers"]
