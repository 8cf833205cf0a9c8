"""`/api/stats`: the numbers against a plain count, over a restart, and the rate by a clock that a test turns."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from dispatcher import __version__
from dispatcher.errors import FailureKind
from dispatcher.wire.messages import Execute, Result
from tests.support.api import Served, served
from tests.support.broken_store import unwritable_history
from tests.support.scripted_agent import ScriptedAgent, ok

PATH = "/api/stats"
NAMES = [
    "uptime_seconds",
    "version",
    "agents",
    "pool",
    "executions",
    "by_status",
    "by_error",
    "latency_ms",
    "rate_per_second",
]


class Script:
    """Answers each execution with the next of these: a status with its milliseconds, or a failure."""

    def __init__(self, *answers: tuple[int, float] | FailureKind) -> None:
        self._answers = iter(answers)

    def __call__(self, agent: ScriptedAgent, execute: Execute) -> None:
        match next(self._answers):
            case (int(status), float(total)):
                agent.send(ok(execute, status=status, timings={"total": total}))
            case FailureKind() as kind:
                agent.send(Result(id=execute.id, error_kind=kind, error_detail="so it was"))


ANSWERS: list[tuple[int, float] | FailureKind] = [
    (200, 1.0),
    (200, 2.0),
    (404, 4.0),
    FailureKind.DNS,
    (200, 100.0),
    FailureKind.TIMEOUT,
    FailureKind.DNS,
]


def test_a_new_coordinator_has_nothing_but_its_version(api: Served) -> None:
    found = api.call("GET", PATH).json
    assert NAMES == list(found)
    assert __version__ == found["version"]
    assert ["total", "completed", "failed", "unknown", "in_flight", "queued"] == list(found["executions"])
    assert {"p50": None, "p90": None, "p99": None, "max": None} == found["latency_ms"]
    assert ({}, {}, 0.0) == (found["by_status"], found["by_error"], found["rate_per_second"])
    assert {"size": 0, "available": 0} == found["pool"]
    assert 0 <= found["uptime_seconds"] < 60


def test_the_numbers_are_those_of_a_plain_count_and_survive_a_restart(tmp_path: Path) -> None:
    statuses = Counter(str(answer[0]) for answer in ANSWERS if isinstance(answer, tuple))
    errors = Counter(str(answer) for answer in ANSWERS if isinstance(answer, FailureKind))
    executions = {"total": 7, "completed": 4, "failed": 3, "unknown": 0, "in_flight": 0, "queued": 0}
    with served(tmp_path) as first:
        first.agent(answer=Script(*ANSWERS))
        for _ in ANSWERS:
            first.call("GET", "/api/execute")
        found = first.call("GET", PATH).json
    assert (executions, dict(statuses), dict(errors)) == (found["executions"], found["by_status"], found["by_error"])
    assert 100.0 == found["latency_ms"]["max"]
    assert 2.0 == pytest.approx(found["latency_ms"]["p50"], rel=0.1)
    assert 100.0 == pytest.approx(found["latency_ms"]["p99"], rel=0.1)
    assert 0 < found["rate_per_second"] <= 7
    with served(tmp_path) as second:
        again = second.call("GET", PATH).json
        same = ("executions", "by_status", "by_error", "latency_ms")
        assert {name: found[name] for name in same} == {name: again[name] for name in same}
        assert 0.0 == again["rate_per_second"]


def test_an_execution_that_is_lost_counts_as_unknown(api: Served) -> None:
    api.agent(answer=lambda agent, _: agent.hang_up())
    api.call("GET", "/api/execute")
    found = api.call("GET", PATH).json
    assert (1, 1) == (found["executions"]["total"], found["executions"]["unknown"])
    assert {"agent_lost": 1} == found["by_error"]
    assert {"registered": 0, "connected": 0, "draining": 0, "lost": 1} == found["agents"]


def test_agents_and_pool_are_counted(api: Served) -> None:
    api.agent("2001:db8::1", "2001:db8::2", agent_id="one")
    api.agent("2001:db8::3", agent_id="two")
    api.call("POST", "/api/agents/register", {"agent_id": "three"})
    found = api.call("GET", PATH).json
    assert {"registered": 1, "connected": 2, "draining": 0, "lost": 0} == found["agents"]
    assert {"size": 3, "available": 3} == found["pool"]


def test_what_was_not_recorded_is_not_counted(api: Served, tmp_path: Path) -> None:
    api.agent()
    with unwritable_history(tmp_path):
        assert 503 == api.call("GET", "/api/execute").status
    found = api.call("GET", PATH).json
    assert (0, 0.0) == (found["executions"]["total"], found["rate_per_second"])
