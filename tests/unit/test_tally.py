"""The summary of a batch: what is counted under which name, and in which order it is shown."""

from __future__ import annotations

from dispatcher.actors.messages import Outcome
from dispatcher.errors import Failure, FailureKind
from dispatcher.record import Record
from dispatcher.tally import Tally
from tests.support.records import answered, record


def failed(kind: FailureKind, outcome: Outcome = Outcome.FAILED) -> Record:
    return record(outcome=outcome, failure=Failure.of(kind, "so it was"))


def test_each_execution_counts_under_its_outcome_and_under_its_status_or_its_error() -> None:
    tally = Tally()
    for status in (503, 200, 503):
        tally.add(answered(status=status))
    tally.add(failed(FailureKind.TIMEOUT))
    tally.add(failed(FailureKind.AGENT_LOST, Outcome.UNKNOWN))
    found = tally.as_json(9, "nobody reads")
    assert 0 <= found.pop("seconds") < 60
    expected = {"count": 9, "completed": 3, "failed": 1, "unknown": 1, "stopped": "nobody reads"}
    assert expected | {"by_status": {"200": 1, "503": 2}, "by_error": {"agent_lost": 1, "timeout": 1}} == found
    assert [["200", "503"], ["agent_lost", "timeout"]] == [list(found["by_status"]), list(found["by_error"])]


def test_of_no_execution_every_outcome_is_told_as_none() -> None:
    found = Tally().as_json(1, None)
    del found["seconds"]
    assert {"count": 1, **dict.fromkeys(Outcome, 0), "by_status": {}, "by_error": {}, "stopped": None} == found
