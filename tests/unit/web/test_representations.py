"""What the API answers with: the code that writes records holds to the schemas that describe them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import RAISE

from dispatcher.actors.messages import Outcome
from dispatcher.errors import Failure, FailureKind, Party
from dispatcher.record import make_record
from dispatcher.redaction import Redactor
from dispatcher.request import RequestSpec
from dispatcher.web import openapi
from dispatcher.web.app import REST_ROUTES
from dispatcher.web.representations import RecordSchema
from dispatcher.wire.messages import Result
from dispatcher.wire.phases import PHASES
from tests.support.api import Document

DOCUMENT = Document(openapi.describe(REST_ROUTES, "1.2.3"))
TEXT = st.text(max_size=20)
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple)


@st.composite
def results(draw: st.DrawFn) -> Result:
    body = draw(st.binary(max_size=20) | TEXT.map(lambda text: text.encode("utf-8", "replace")))
    return Result(
        id="1",
        status=draw(st.integers(100, 999)),
        reason=draw(TEXT),
        http_version=draw(st.sampled_from(["1.0", "1.1", "2", "3"])),
        remote_ip="2001:db8::2",
        headers=draw(PAIRS),
        body_size=len(body),
        truncated=draw(st.booleans()),
        timings=draw(st.dictionaries(st.sampled_from(PHASES), st.floats(0, 1e6))),
        body=body,
    )


FAILURES = st.builds(Failure, st.sampled_from(FailureKind), TEXT, st.sampled_from(Party))


@given(
    outcome=st.sampled_from(Outcome),
    exit_used=st.none() | st.just(("agent-01", "2001:db8::1")),
    headers=PAIRS,
    result=st.none() | results(),
    failure=st.none() | FAILURES,
    started_at=st.floats(0, 4e9),
    took=st.floats(0, 3600),
)
def test_any_record_has_the_shape_that_is_promised(
    *,
    outcome: Outcome,
    exit_used: tuple[str, str] | None,
    headers: tuple[tuple[str, str], ...],
    result: Result | None,
    failure: Failure | None,
    started_at: float,
    took: float,
) -> None:
    record = make_record(
        identifier="1",
        outcome=outcome,
        exit_used=exit_used,
        request=RequestSpec("http://t/", headers=headers),
        result=result,
        failure=failure,
        started_at=started_at,
        finished_at=started_at + took,
        redactor=Redactor(),
    )
    content: dict[str, Any] = json.loads(record.to_json_bytes())
    assert {} == RecordSchema(unknown=RAISE).validate(content)
    DOCUMENT.validate_as("Record", content)


@pytest.mark.parametrize("member", ["id", "outcome", "timings", "error"])
def test_a_record_without_a_member_is_none(member: str) -> None:
    content = {name: None for name in RecordSchema().fields if name != member}
    assert member in RecordSchema().validate(content)
