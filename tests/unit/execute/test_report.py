"""What `execute` says of records, and the status that it ends with."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dispatcher.execute.report import HEAD, Counts, line


def record(kind: str = "", *, outcome: str = "", status: int = 200, **members: Any) -> dict[str, Any]:
    error = {"kind": kind, "detail": "so it was", "attributed_to": "target"} if kind else None
    found = {
        "outcome": outcome or ("failed" if kind else "completed"),
        "agent_id": "agent-01",
        "source_ip": "2001:db8::1",
        "response": None if kind else {"status": status},
        "timings": {"total": 2.345},
        "error": error,
    }
    return found | members


def test_a_record_is_a_line_of_the_table() -> None:
    shown = line(record(sequence=7, status=404), 1)
    assert ["7", "agent-01", "2001:db8::1", "404", "2.3", "ms"] == shown.split()
    for word, head in (("agent-01", "agent"), ("2001:db8::1", "source"), ("404", "status"), ("2.3", "time")):
        assert shown.index(word) == HEAD.index(head)


def test_a_failure_says_what_went_wrong_and_a_record_without_exit_has_dashes() -> None:
    assert line(record("connect"), 1).endswith("connect            2.3 ms  so it was")
    assert ["3", "-", "-", "no_exit"] == line(record("no_exit", agent_id=None, source_ip=None), 3).split()[:4]


def test_what_comes_from_outside_steers_no_terminal() -> None:
    wrong = record("connect")
    wrong["error"]["detail"] = "\x1b[2J"
    assert "\x1b" not in line(wrong, 1)


def counted(*records: dict[str, Any]) -> Counts:
    counts = Counts()
    for each in records:
        counts.add(each)
    return counts


@pytest.mark.parametrize(
    ("records", "wanted", "status"),
    [
        ([record()], 1, 0),
        ([record(status=500)], 1, 0),
        ([record(), record("timeout")], 2, 1),
        ([record(), record("agent_lost", outcome="unknown")], 2, 1),
        ([record()], 2, 1),
        ([], 1, 1),
        ([record(), record("no_exit")], 9, 5),
    ],
)
def test_the_status_says_whether_all_completed(records: list[dict[str, Any]], wanted: int, status: int) -> None:
    assert status == counted(*records).status(wanted)


def test_the_summary_counts_and_says_why_it_ended_early() -> None:
    counts = counted(record(), record(status=404), record("tls"), record("agent_lost", outcome="unknown"))
    told = "4 executions in 2.0 s, 2/s: 2 completed, 1 failed, 1 unknown; 200 x1, 404 x1, agent_lost x1, tls x1"
    assert told == counts.summary(4, 2.0)
    counts.stopped = "interrupted"
    assert f"{told}\n4 of 9 were told of: interrupted" == counts.summary(9, 2.0)
    assert {
        "count": 9,
        "completed": 2,
        "failed": 1,
        "unknown": 1,
        "seconds": 2.0,
        "by_status": {"200": 1, "404": 1},
        "by_error": {"agent_lost": 1, "tls": 1},
        "stopped": "interrupted",
    } == json.loads(counts.summary_json(9, 2.0))["summary"]
