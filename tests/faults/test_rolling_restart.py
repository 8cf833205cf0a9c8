"""A rolling restart of the agents under load: one after the other ends and comes back, and no execution is lost."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

from tests.integration.conftest import SOURCES
from tests.support import invariants

if TYPE_CHECKING:
    from tests.support.client import Answer, Client
    from tests.support.cluster import Cluster
    from tests.support.targets import Echo

AGENTS = {f"agent-{number:02}": SOURCES[number * 4 : number * 4 + 4] for number in range(3)}
OWNERS = {address: agent_id for agent_id, addresses in AGENTS.items() for address in addresses}
CALLERS = 6


class Callers:
    """Clients that execute one after the other, each with a path of its own, for the length of a block."""

    def __init__(self, client: Client, target: Echo) -> None:
        self.answers: list[Answer] = []
        self._client = client
        self._target = target
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(CALLERS)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            self.answers.append(self._client.execute(url=self._target.url(f"/{next(self._numbers)}")))


def test_a_rolling_restart_of_all_agents_under_load_loses_no_execution(cluster: Cluster, target: Echo) -> None:
    cluster.coordinator()
    running = {agent_id: cluster.agent(agent_id, addresses) for agent_id, addresses in AGENTS.items()}
    client = cluster.client
    client.wait_for_exits(len(OWNERS))
    client.configure(target.url("/"))
    with Callers(client, target) as callers:
        for agent_id, addresses in AGENTS.items():
            assert 0 == running[agent_id].end()
            running[agent_id] = cluster.agent(agent_id, addresses)
            client.wait_for_exits(len(OWNERS))
    assert {200} == {answer.status for answer in callers.answers}
    assert set(AGENTS) == {answer.record["agent_id"] for answer in callers.answers}
    records = invariants.check(
        client, cluster.state_dir, answers=callers.answers, requests=target.requests, owners=OWNERS
    )
    assert len(callers.answers) == len(records) == len(target.requests)
