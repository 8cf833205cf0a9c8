"""A wall clock that is set, forward and back: durations, order, deadlines and links do not follow it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.integration.conftest import SOURCES
from tests.support import altered, invariants
from tests.support.cluster import Cluster, running_cluster, wait_for_requests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.targets import Echo

HOUR, YEAR = 3600, 365 * 86400
EXITS = SOURCES[:4]


class Clocked(NamedTuple):
    """A coordinator and an agent whose wall clock is wrong by as many seconds as `file` says."""

    cluster: Cluster
    file: Path

    def set(self, offset: float) -> None:
        """Set the clock."""
        aside = self.file.with_suffix(".new")
        aside.write_text(str(offset))
        aside.rename(self.file)


@pytest.fixture
def clocked(tmp_path: Path, target: Echo) -> Iterator[Clocked]:
    file = tmp_path / "offset"
    file.write_text("0")
    with running_cluster(tmp_path, altered.command(f"clock={file}")) as cluster:
        cluster.coordinator("--ping-interval", "1", "--ping-timeout", "1")
        cluster.agent("agent-01", EXITS)
        cluster.client.wait_for_exits(len(EXITS))
        cluster.client.configure(target.url("/"))
        yield Clocked(cluster, file)


def seconds(record: dict[str, Any]) -> float:
    """From the start of an execution to its end, as the record says."""
    begun, ended = (datetime.fromisoformat(record[name]) for name in ("started_at", "finished_at"))
    return (ended - begun).total_seconds()


def test_a_clock_that_jumps_changes_neither_order_nor_durations_nor_links(clocked: Clocked, target: Echo) -> None:
    client = clocked.cluster.client
    answers = []
    for number, offset in enumerate((0, HOUR, -HOUR, YEAR, -YEAR, 0)):
        clocked.set(offset)
        answers += [client.execute(url=target.url(f"/{number}/{more}")) for more in range(3)]
        assert 0 < client.get("/api/stats")["uptime_seconds"] < 60
        assert 503 != client.call("GET", "/readyz").status
    records = invariants.check(
        client, clocked.cluster.state_dir, answers=answers, requests=target.requests, steady=EXITS
    )
    assert [answer.record["id"] for answer in answers] == [record["id"] for record in records]
    assert sorted(record["id"] for record in records) == [record["id"] for record in records]
    assert [] == [record for record in records if not 0 <= seconds(record) < 10]
    agent = clocked.cluster.processes[1]
    assert 1 == sum("connected to " in line for line in agent.lines)


def test_pages_and_times_of_the_history_hold_over_a_jump(clocked: Clocked, target: Echo) -> None:
    client = clocked.cluster.client
    made: dict[int, list[str]] = {}
    for offset in (0, YEAR, -YEAR):
        clocked.set(offset)
        made[offset] = [client.execute(url=target.url(f"/{offset}/{more}")).record["id"] for more in range(4)]
    page = client.get("/api/history?limit=5")
    rest = client.get(f"/api/history?limit=500&cursor={page['next']}")
    shown = [record["id"] for record in (*page["items"], *rest["items"])]
    assert [*made[0], *made[YEAR], *made[-YEAR]] == shown[::-1]
    year = datetime.fromisoformat(client.get(f"/api/history/{made[0][0]}")["started_at"]).year
    late = client.get(f"/api/history?since={year + 1}-01-01T00:00:00Z")["items"] if made else []
    assert set(made[YEAR]) == {record["id"] for record in late}


@pytest.mark.parametrize("offset", [HOUR, -HOUR])
def test_a_jump_while_an_execution_runs_moves_neither_its_deadline_nor_its_duration(
    clocked: Clocked, target: Echo, offset: int
) -> None:
    begun = clocked.cluster.client.begin(url=target.url("/fault/hang"), timeout=1)
    wait_for_requests(target, 1)
    clocked.set(offset)
    answer = begun.result(30)
    assert (504, "failed", "timeout", "target") == answer.failure
    assert 1 <= seconds(answer.record) < 10
    # The agent measures, and is given what is left of the second.
    assert 900 <= answer.record["timings"]["total"] < 10_000
