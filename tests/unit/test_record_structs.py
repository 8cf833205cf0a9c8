"""What C writes of a record is what `Record.as_json` holds: the same members, in the same order, in the same bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.actors.messages import Outcome
from dispatcher.errors import Failure, FailureKind, Party
from dispatcher.record import Attempt, Record, dump, make_record
from dispatcher.redaction import Redactor
from dispatcher.request import RequestSpec
from dispatcher.wire import native
from dispatcher.wire.messages import Result
from tests.support.records import answered
from tests.unit.wire import said

exits = st.none() | st.tuples(said.identifiers, said.addresses)
results = st.one_of(
    said.results(error_kind=st.none(), status=st.integers(100, 999)),
    said.results(error_kind=st.none(), status=st.integers(100, 999), body=st.text().map(str.encode)),
    said.results(error_kind=st.none(), status=st.just(200), timings=st.just({})),
    said.results(error_kind=st.sampled_from(FailureKind)),
)
attempts = st.builds(Attempt, exits, st.sampled_from(Outcome), results, st.floats(0, 4e9))
failures = st.builds(Failure, st.sampled_from(FailureKind), said.texts(99), st.sampled_from(Party))


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Make a record of any shape: answered, failed, of several attempts, of what no agent got."""
    result: Result | None = draw(st.none() | results)
    return make_record(
        identifier=draw(said.identifiers),
        outcome=draw(st.sampled_from(Outcome)),
        exit_used=draw(exits),
        request=RequestSpec(draw(said.texts(99)), draw(said.texts(9)), draw(said.header_lines)),
        result=result,
        failure=draw(failures) if result is None else result.failure,
        started_at=draw(st.floats(0, 4e9)),
        finished_at=draw(st.floats(0, 4e9)),
        redactor=Redactor(),
        attempts=draw(st.lists(attempts, max_size=3)),
    )


@given(record=records(), limit=st.integers(0, 99))
@settings(deadline=None)
def test_a_record_is_written_as_the_dict_that_it_is(record: Record, limit: int) -> None:
    assert dump(record.with_body(limit)) == record.to_json_bytes(limit)


@given(record=records())
@settings(deadline=None)
def test_a_record_is_read_as_the_same_whatever_wrote_it(record: Record) -> None:
    quickly = record._write(99)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "encode", None)
        assert json.loads(record._write(99), object_pairs_hook=repr) == json.loads(quickly, object_pairs_hook=repr)


def test_no_dict_is_made_for_an_ordinary_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Record, "as_json")
    assert b"x" == json.loads(answered(body=b"x").to_json_bytes())["response"]["body"]["data"].encode()
