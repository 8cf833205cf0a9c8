"""A fleet that comes back at once: after a coordinator restart 2,000 agents are connected again.

The agents are simulated, but their registering, their links and their back-off are the product's own, and each has a
key whose hash the restarted coordinator has to know.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.support.cluster import running_cluster
from tests.support.processes import Process, dispatcher_command

if TYPE_CHECKING:
    from pathlib import Path

AGENTS = 2000
EXITS = 3
BACK_SECONDS = 60.0
STALL_WORK_MS = 500.0
"""Full garbage collections over all these agents, 100 to 320 ms each; other turns were below 100 ms."""

FEW_FILES = ("sh", "-c", 'ulimit -S -n 1024; exec "$@"', "sh")
"""What a shell gives a process on most machines: too few for 2,000 links, so the coordinator has to ask for more."""


def test_after_a_coordinator_restart_two_thousand_agents_are_back_within_a_minute(
    tmp_path: Path,
) -> None:
    with running_cluster(tmp_path, [*FEW_FILES, *dispatcher_command()]) as cluster:
        coordinator = cluster.coordinator()
        coordinator.stall_work_ms = STALL_WORK_MS
        fleet = Process("fleet", [sys.executable, "-m", "tests.support.fleet", cluster.url, str(AGENTS), str(EXITS)])
        cluster.processes.append(fleet)
        fleet.wait_for_line(f"all {AGENTS} connected", seconds=BACK_SECONDS)
        cluster.client.wait_for_exits(AGENTS * EXITS)

        coordinator.kill()
        coordinator = cluster.coordinator(port=cluster.port)
        coordinator.stall_work_ms = STALL_WORK_MS
        said = fleet.wait_for_line(f"all {AGENTS} connected", times=2, seconds=BACK_SECONDS)
        assert float(said.split()[-2]) < BACK_SECONDS
        cluster.client.wait_for_exits(AGENTS * EXITS)
        assert AGENTS == len(cluster.client.agents())
        coordinator.expect("WARNING dispatcher.actors.agent_connection: agent simulated-")
        assert 0 == fleet.end()
        assert "0 refused" == fleet.out[-1]
