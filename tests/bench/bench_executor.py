"""How many requests a second the executor makes, beside Tornado's stock curl client and in the same run.

``python -m tests.bench.bench_executor [REQUESTS]`` needs root and nginx. Rounds alternate between the two, over 32
source addresses and kept connections, 64 at a time; the ratio is what counts, since both share the machine's noise.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import trustme
from tornado.curl_httpclient import CurlAsyncHTTPClient

from dispatcher.agent.executor import Executor
from dispatcher.agent.guard import TargetGuard
from tests.support import netns, nginx
from tests.support.executing import execution

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

SOURCES = [f"2001:db8:1::{number:x}" for number in range(1, 33)]
TARGET = "2001:db8:f::1"
WORKERS = 64
ROUNDS = 5


async def _rate(one: Callable[[str], Awaitable[object]], count: int) -> float:
    """Requests a second of `count` requests by `WORKERS` workers, the sources taken in turn."""
    sources: Iterator[str] = itertools.islice(itertools.cycle(SOURCES), count)

    async def work() -> None:
        for source in sources:
            await one(source)

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(WORKERS)))
    return count / (time.perf_counter() - began)


async def _compare(url: str, count: int) -> None:
    executor = Executor(max_concurrency=WORKERS, guard=TargetGuard(allow=[TARGET]))
    stock = CurlAsyncHTTPClient(force_instance=True, max_clients=WORKERS)

    async def ours(source: str) -> None:
        result = await executor.execute(execution(url, source=source))
        assert source == result.source_ip, result.error_detail

    async def theirs(source: str) -> None:
        await stock.fetch(url, network_interface=source)

    rates: dict[str, list[float]] = {"stock": [], "ours": []}
    for _ in range(ROUNDS):
        rates["stock"].append(await _rate(theirs, count))
        rates["ours"].append(await _rate(ours, count))
    executor.close()
    stock.close()
    before, after = (statistics.median(rates[name]) for name in ("stock", "ours"))
    print(f"stock {before:,.0f}/s, ours {after:,.0f}/s, ratio {after / before:.2f}")  # noqa: T201 - a bench talks


def main() -> None:
    """Run the comparison in a network of its own."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    netns.enter_private_network()
    netns.add_addresses("lo", [*SOURCES, TARGET])
    with tempfile.TemporaryDirectory() as directory:
        certificate = trustme.CA().issue_cert(TARGET)
        with nginx.running(Path(directory), TARGET, certificate) as urls:
            asyncio.run(_compare(urls["plain"], count))


if __name__ == "__main__":
    main()
