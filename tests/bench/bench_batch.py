"""A batch through a coordinator and one agent, beside aiohttp through a rotating proxy.

``python -m tests.bench.bench_batch`` needs root, nginx, HAProxy and Squid.
All go to the same nginx from the same 32 addresses. Every record must be
delivered once, be in history, name the address that the target saw, and the addresses must come exactly in turn.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trustme

from tests.bench import peers
from tests.bench.batches import batch
from tests.bench.bench_executor import SOURCES, TARGET
from tests.bench.table import Row, Size, at_least, main, medians
from tests.support import netns, nginx
from tests.support.cluster import Cluster, running_cluster

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

CONNECTIONS = 32
PAGE = 500
HISTORY = ("--history-max-records", "2000000")


class Batches:
    """Batches of ours; knows what history must have."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._recorded = 0
        self._last: set[str] = set()

    async def rate(self, count: int) -> float:
        """Return executions a second, each of them recorded."""
        answer = await batch(self._cluster.port, {"count": count})
        assert (count, None) == (answer.summary["completed"], answer.summary["stopped"]), answer.summary
        self._look_at([json.loads(line) for line in answer.records], count)
        return count / answer.seconds

    def _look_at(self, records: list[dict[str, Any]], count: int) -> None:
        records.sort(key=lambda record: record["sequence"])
        assert list(range(1, count + 1)) == [record["sequence"] for record in records]
        used = [record["source_ip"] for record in records]
        assert used == [record["response"]["body"]["data"].split()[0] for record in records]
        for start in range(count - len(SOURCES) + 1):
            assert len(SOURCES) == len(set(used[start : start + len(SOURCES)])), f"not in turn from {start} on"
        self._last = {record["id"] for record in records}
        self._recorded += count

    def check_history(self) -> None:
        """Every record is there: all are counted, and those of the last batch are the newest."""
        client = self._cluster.client
        assert self._recorded == client.get("/api/stats")["executions"]["completed"]
        found: set[str] = set()
        cursor = ""
        while len(found) < len(self._last):
            page = client.get(f"/api/history?limit={PAGE}{cursor}")
            found |= {item["id"] for item in page["items"]}
            cursor = f"&cursor={page['next']}"
        assert self._last <= found


class Peers:
    """The others: what is there of them, and of what is not, why."""

    def __init__(self, stack: ExitStack, target: str) -> None:
        self.missing: dict[str, str] = {}
        self._clients: dict[str, peers.AioHttp] = {}
        for name, start in (("HAProxy", peers.haproxy), ("Squid", peers.squid)):
            try:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                way = stack.enter_context(start(folder, target, SOURCES))
                self._clients[name] = peers.AioHttp(way, CONNECTIONS)
                stack.callback(self._clients[name].close)
            except peers.MissingError as error:
                self.missing[name] = str(error)

    def contenders(self, count: int) -> dict[str, Callable[[], Awaitable[float]]]:
        """Return each one that is there, to be measured with so many requests."""

        def measuring(client: peers.AioHttp) -> Callable[[], Awaitable[float]]:
            async def measure() -> float:
                return client.rate(count, len(SOURCES))

            return measure

        return {name: measuring(client) for name, client in self._clients.items()}


async def compare(cluster: Cluster, others: Peers, size: Size) -> list[Row]:
    """Measure both rows."""
    batches, count = Batches(cluster), size.of(2)
    found = await medians(size.rounds, {"ours": lambda: batches.rate(count), **others.contenders(count)})
    batches.check_history()
    rows = []
    for name, limit in (("HAProxy", 1.3), ("Squid", 1.8)):
        what = f"batch of {count:,}, against aiohttp with {CONNECTIONS} connections through {name}"
        if name in others.missing:
            rows.append(at_least(limit, what, None, others.missing[name]))
        else:
            detail = f"{found['ours']:,.0f}/s against {found[name]:,.0f}/s"
            rows.append(at_least(limit, what, found["ours"] / found[name], detail))
    return rows


def rows(size: Size) -> Iterator[Row]:
    """Compare in a network of our own."""
    peers.prepare()
    netns.enter_private_network()
    netns.add_addresses("lo", [*SOURCES, TARGET])
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        certificate = trustme.CA().issue_cert(TARGET)
        urls = stack.enter_context(nginx.running(Path(directory), TARGET, certificate))
        cluster = stack.enter_context(running_cluster(Path(directory), warns_of_stalls=False))
        cluster.coordinator(*HISTORY)
        cluster.agent("agent-01", SOURCES)
        cluster.client.configure(url=urls["plain"])
        yield from asyncio.run(compare(cluster, Peers(stack, urls["plain"]), size))


if __name__ == "__main__":
    main(rows)
