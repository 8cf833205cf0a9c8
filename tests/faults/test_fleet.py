"""A fleet that comes back at once: after a coordinator restart 2,000 agents are connected again.

The agents are simulated, but their registering, their links and their back-off are the product's own, and each has a
key whose hash the restarted coordinator has to know.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from dispatcher.wire.messages import Welcome
from tests.bench.processes import resident_kib
from tests.support.cluster import running_cluster
from tests.support.processes import Process, dispatcher_command, eventually
from tests.support.scripted_agent import ScriptedAgent, never_answers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

AGENTS = 2000
EXITS = 3
BACK_SECONDS = 60.0
STALL_SECONDS = 0.25
"""What is promised for so many at once; where the machine has time for us no turn is over 50 ms."""

FEW_FILES = ("sh", "-c", 'ulimit -S -n 1024; exec "$@"', "sh")
"""What a shell gives a process on most machines: too few for 2,000 links, so the coordinator has to ask for more."""


def test_after_a_coordinator_restart_two_thousand_agents_are_back_within_a_minute(
    tmp_path: Path,
) -> None:
    with running_cluster(tmp_path, [*FEW_FILES, *dispatcher_command()]) as cluster:
        coordinator = cluster.coordinator()
        coordinator.stall_limit = STALL_SECONDS
        fleet = Process("fleet", [sys.executable, "-m", "tests.support.fleet", cluster.url, str(AGENTS), str(EXITS)])
        cluster.processes.append(fleet)
        fleet.wait_for_line(f"all {AGENTS} connected", seconds=BACK_SECONDS)
        cluster.client.wait_for_exits(AGENTS * EXITS)

        coordinator.kill()
        coordinator = cluster.coordinator(port=cluster.port)
        coordinator.stall_limit = STALL_SECONDS
        said = fleet.wait_for_line(f"all {AGENTS} connected", times=2, seconds=BACK_SECONDS)
        assert float(said.split()[-2]) < BACK_SECONDS
        cluster.client.wait_for_exits(AGENTS * EXITS)
        assert AGENTS == len(cluster.client.agents())
        coordinator.expect("WARNING dispatcher.actors.agent_connection: agent simulated-")
        assert 0 == fleet.end()
        assert "0 refused" == fleet.out[-1]


COMING_BACK = 100
ROUNDS = 21
"""2,100 links in all: 45 MB, if each of them left what it takes while it is open."""

GROWTH_KIB = 4 * 1024
"""Of the last 2,000 links: 2 KiB each, a tenth of an open one."""


def test_links_that_end_leave_nothing_behind_however_many_there_are(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as cluster:
        coordinator = cluster.coordinator()
        coordinator.expect("WARNING dispatcher.actors.agent_connection: agent agent-")
        sizes: list[float] = []

        def connected() -> int:
            return int(cluster.client.get("/api/stats")["agents"]["connected"])

        async def come_and_go() -> None:
            first = ScriptedAgent(never_answers)
            url = (await first.register(cluster.url))["websocket_url"]
            sessions = [first.session]
            for _ in range(COMING_BACK - 1):
                other = ScriptedAgent(never_answers)
                await other.register(cluster.url)
                sessions.append(other.session)
            for _ in range(ROUNDS):
                await open_and_close(url, sessions)
                await asyncio.to_thread(eventually, lambda: connected() == 0, "all links are closed")
                sizes.append(resident_kib(coordinator.pid))

        asyncio.run(come_and_go())
        assert GROWTH_KIB > sizes[-1] - sizes[0], sizes


async def open_and_close(url: str, sessions: Sequence[str]) -> None:
    """Have an agent of each session welcomed, all at once, and hang up."""
    agents = []
    for session in sessions:
        agent = ScriptedAgent(never_answers)
        await agent.connect(url)
        agent.say_hello(session=session)
        agents.append(agent)
    for agent in agents:
        await agent.hear(Welcome)
    for agent in agents:
        await agent.close()
