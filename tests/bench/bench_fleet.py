"""What agents cost a coordinator that have nothing to do: ``python -m tests.bench.bench_fleet``.

They are the product's own links, many in one process, with one address each. Every one must be connected, and in the
pool, before and after the measurement. A smaller fleet is pinged more often, so that the rate is the same.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING

from tests.bench.processes import cpu_seconds, resident_kib
from tests.bench.table import Row, Size, at_most, main
from tests.support.client import Client
from tests.support.processes import Process, dispatcher_command

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL_FLEET = 5_000
FULL_INTERVAL = 10.0
"""Seconds between two pings of the coordinator to an agent of a full fleet. Agents ping every 10 s by themselves."""

CONNECT_SECONDS = 300.0
LEAST_SECONDS = 6.0
"""How long the processor time is measured at least."""


def check(client: Client, count: int) -> None:
    """All are connected, and their exits are in the pool."""
    stats = client.get("/api/stats")
    assert (count, 0) == (stats["agents"]["connected"], stats["agents"]["lost"])
    assert {"size": count, "available": count} == stats["pool"]


def measure(coordinator: Process, url: str, count: int, interval: float) -> Iterator[Row]:
    """Connect the agents, let them rest, and look at the coordinator."""
    client = Client(url)
    client.get("/api/stats")
    before = resident_kib(coordinator.pid)
    fleet = Process("fleet", [sys.executable, "-m", "tests.support.fleet", url, str(count), "1"])
    try:
        fleet.wait_for_line(f"all {count} connected", seconds=CONNECT_SECONDS)
        threading.Event().wait(interval)  # the first pings
        check(client, count)
        used, began = cpu_seconds(coordinator.pid), time.monotonic()
        threading.Event().wait(max(2 * interval, LEAST_SECONDS))
        used, seconds = cpu_seconds(coordinator.pid) - used, time.monotonic() - began
        after = resident_kib(coordinator.pid)
        check(client, count)
    finally:
        coordinator.kill()
        fleet.kill()
        client.close()
    yield at_most(
        60,
        f"memory of the coordinator for each of {count:,} idle agents",
        (after - before) / count,
        f"{before / 1024:.0f} MiB without, {after / 1024:.0f} MiB with them",
        "KiB",
    )
    yield at_most(
        15,
        f"processor of the coordinator with {count:,} idle agents and pings every {interval:g} s",
        100 * used / seconds,
        f"{used:.2f} s in {seconds:.0f} s",
        "%",
    )


def rows(size: Size) -> Iterator[Row]:
    """Run a coordinator and its agents."""
    count = size.of(0.5)
    interval = FULL_INTERVAL * count / FULL_FLEET
    pings = ["--ping-interval", str(interval), "--ping-timeout", str(interval)]
    with tempfile.TemporaryDirectory() as directory:
        options = ["coordinator", "--port", "0", "--state-dir", directory, *pings]
        coordinator = Process("coordinator", [*dispatcher_command(), *options])
        url = coordinator.wait_for_line("coordinator ready on ").rpartition(" ")[2]
        yield from measure(coordinator, url, count, interval)


if __name__ == "__main__":
    main(rows)
