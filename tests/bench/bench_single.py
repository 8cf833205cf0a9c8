"""What one `GET /api/execute` costs through a coordinator and an agent: ``python -m tests.bench.bench_single``.

Requests a second of 64 clients beside a bare Tornado handler, and one client's median beside a direct fetch by
Tornado's curl client. Needs root and nginx. The sources must come exactly in turn, as the target saw them, and every
record must be in history.
"""

from __future__ import annotations

import asyncio
import collections
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import trustme
from tornado.curl_httpclient import CurlAsyncHTTPClient

from tests.bench.bench_executor import SOURCES, TARGET
from tests.bench.clients import get
from tests.bench.table import Row, Size, at_least, at_most, main, medians
from tests.support import netns, nginx
from tests.support.cluster import Cluster, running_cluster
from tests.support.processes import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS = 64
PATH = "/api/execute"


class Executing:
    """Single executions; counts what they should have left behind."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.recorded = 0

    async def rate(self, count: int) -> float:
        answers = await get(self._cluster.port, PATH, count, CLIENTS)
        self._look_at(answers.bodies, count)
        return count / answers.seconds

    async def median(self, count: int) -> float:
        """Return milliseconds."""
        answers = await get(self._cluster.port, PATH, count, 1)
        self._look_at(answers.bodies, count)
        return statistics.median(answers.times) * 1000

    def _look_at(self, bodies: list[bytes], count: int) -> None:
        records = [json.loads(body) for body in bodies]
        seen = [record["response"]["body"]["data"].split()[0] for record in records]
        assert [record["source_ip"] for record in records] == seen
        turns = collections.Counter(seen)
        assert len(turns) == len(SOURCES)
        assert max(turns.values()) - min(turns.values()) <= 1
        self.recorded += count

    def check_history(self) -> None:
        """Every reply implies a record."""
        assert self.recorded == self._cluster.client.get("/api/stats")["executions"]["completed"]


async def direct(url: str, count: int) -> float:
    """Return the median of a fetch without us, in milliseconds."""
    client = CurlAsyncHTTPClient(force_instance=True)
    times = []
    for number in range(count):
        began = time.perf_counter()
        await client.fetch(url, network_interface=SOURCES[number % len(SOURCES)])
        times.append((time.perf_counter() - began) * 1000)
    client.close()
    return statistics.median(times)


async def compare(cluster: Cluster, bare_port: int, target: str, size: Size) -> list[Row]:
    """Measure both rows."""
    executing = Executing(cluster)
    # Both a multiple of the sources, so that these take turns exactly.
    many, few = size.of(0.2) // 32 * 32, size.of(0.02) // 32 * 32 + 32

    async def bare() -> float:
        return many / (await get(bare_port, "/", many, CLIENTS)).seconds

    rates = await medians(size.rounds, {"ours": lambda: executing.rate(many), "bare": bare})
    times = await medians(size.rounds, {"ours": lambda: executing.median(few), "direct": lambda: direct(target, few)})
    executing.check_history()
    return [
        at_least(
            0.5,
            f"single executions, {CLIENTS} clients, against a bare Tornado handler",
            rates["ours"] / rates["bare"],
            f"{rates['ours']:,.0f}/s against {rates['bare']:,.0f}/s",
        ),
        at_most(
            3.0,
            "single execution, one client, median, against one `CurlAsyncHTTPClient` fetch",
            times["ours"] / times["direct"],
            f"{times['ours']:.2f} ms against {times['direct']:.2f} ms",
        ),
    ]


def rows(size: Size) -> Iterator[Row]:
    """Compare in a network of our own."""
    netns.enter_private_network()
    netns.add_addresses("lo", [*SOURCES, TARGET])
    with (
        tempfile.TemporaryDirectory() as directory,
        nginx.running(Path(directory), TARGET, trustme.CA().issue_cert(TARGET)) as urls,
        running_cluster(Path(directory), warns_of_stalls=False) as cluster,
    ):
        bare = Process("bare", [sys.executable, "-m", "tests.bench.bare_handler"])
        port = int(bare.wait_for_line("listening on ").split()[-1])
        cluster.coordinator()
        cluster.agent("agent-01", SOURCES)
        cluster.client.configure(url=urls["plain"])
        yield from asyncio.run(compare(cluster, port, urls["plain"], size))
        bare.kill()


if __name__ == "__main__":
    main(rows)
