"""What monitors are shown of records and of the configured request: no bodies, and headers up to a bound."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dispatcher.record import Record
from dispatcher.redaction import REDACTED, Redactor
from dispatcher.web.monitor_summary import BODY_CHARS, HEADER_CHARS, kept_summaries, record_summary, request_summary
from tests.support.records import answered


def record(*headers: tuple[str, str]) -> Record:
    """An execution that was answered with a body and these headers."""
    return answered(body=b"secret", headers=headers)


def shown(one: Record) -> Any:
    """What a monitor reads of a record."""
    return json.loads(json.dumps(record_summary(one)))


def test_a_record_is_shown_without_its_body_fresh_or_from_history() -> None:
    fresh = shown(record(("a", "b")))
    assert {"encoding": "utf-8", "data": "", "size": 6, "truncated": True} == fresh["response"]["body"]
    assert [fresh] == [json.loads(kept) for kept in kept_summaries([record(("a", "b")).to_json_bytes()])]


def test_headers_are_shown_up_to_the_bound() -> None:
    pair = ("n", "v" * (HEADER_CHARS // 4 - 1))
    assert [list(pair)] * 4 == shown(record(*[pair] * 4))["response"]["headers"]
    assert [list(pair)] * 4 == shown(record(*[pair] * 5))["response"]["headers"]


@pytest.mark.parametrize(("shows_body", "start"), [(True, "x" * BODY_CHARS), (False, REDACTED)])
def test_of_the_configured_body_its_start_is_shown_or_nothing(shows_body: bool, start: str) -> None:
    stored = {"url": "http://u:p@t/", "headers": [["Authorization", "s"]], "body": "x" * 5000, "body_base64": None}
    summary = request_summary(stored, 7, Redactor(), shows_body=shows_body)
    assert (start, 5000, 7) == (summary["body"], summary["body_size"], summary["revision"])
    assert [["Authorization", REDACTED]] == summary["headers"]
    assert "p@" not in summary["url"]
