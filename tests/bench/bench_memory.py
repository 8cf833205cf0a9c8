"""What both processes hold: at rest, and after a long batch. ``python -m tests.bench.bench_memory``.

Needs root and nginx. Every record of the batch must be in history.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import trustme

from tests.bench.batches import batch
from tests.bench.bench_batch import HISTORY
from tests.bench.bench_executor import SOURCES, TARGET
from tests.bench.processes import resident_kib
from tests.bench.table import Row, Size, at_most, main
from tests.support import netns, nginx
from tests.support.cluster import Cluster, running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.processes import Process

WARM = 2_000
"""Executions before the batch that is looked at: connections, caches and code are there then."""

_MEGABYTE = 1e6 / 1024
"""In KiB."""


def execute(cluster: Cluster, count: int) -> None:
    """Execute a batch; all of it must be done."""
    summary = asyncio.run(batch(cluster.port, {"count": count}, keeps_all=False)).summary
    assert (count, None) == (summary["completed"], summary["stopped"]), summary


def grow(cluster: Cluster, processes: dict[str, Process], count: int) -> Iterator[Row]:
    """Look at both processes before and after a batch."""
    execute(cluster, WARM)
    before = {name: resident_kib(process.pid) for name, process in processes.items()}
    execute(cluster, count)
    assert WARM + count == cluster.client.get("/api/stats")["executions"]["completed"]
    for name, process in processes.items():
        after = resident_kib(process.pid)
        yield at_most(
            20,
            f"growth of the {name} over a batch of {count:,}",
            (after - before[name]) / _MEGABYTE,
            f"{before[name] / _MEGABYTE:.0f} MB before, {after / _MEGABYTE:.0f} MB after",
            "MB",
        )


def rows(size: Size) -> Iterator[Row]:
    """Look in a network of our own."""
    netns.enter_private_network()
    netns.add_addresses("lo", [*SOURCES, TARGET])
    with (
        tempfile.TemporaryDirectory() as directory,
        nginx.running(Path(directory), TARGET, trustme.CA().issue_cert(TARGET)) as urls,
        running_cluster(Path(directory), warns_of_stalls=False) as cluster,
    ):
        coordinator = cluster.coordinator(*HISTORY)
        agent = cluster.agent("agent-01", SOURCES)
        cluster.client.configure(url=urls["plain"])
        rest = resident_kib(agent.pid) / _MEGABYTE
        yield at_most(60, f"agent at rest, {len(SOURCES)} addresses", rest, "resident", "MB")
        yield from grow(cluster, {"coordinator": coordinator, "agent": agent}, size.count * 20)


if __name__ == "__main__":
    main(rows)
