"""The least that one execution could take: ``python -m tests.bench.bench_floor``. Needs root and nginx.

The processes and threads of one execution with nothing in them: a client, a coordinator that hands bytes on, an agent
that fetches with a kept handle bound to the next source, a commit on a thread of its own, and the answer. What
`bench_single` has above this is our own work. Not in the table: there is nothing of the product in it.
"""

from __future__ import annotations

import asyncio
import itertools
import queue
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pycurl
import trustme

from tests.bench.bench_executor import SOURCES, TARGET
from tests.bench.bench_single import direct
from tests.support import netns, nginx
from tests.support.processes import Process

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS, COUNT = 5, 640
ASKED, RESULT, RECORD = b"GET /api/execute HTTP/1.1\r\nHost: localhost\r\n\r\n", bytes(300), bytes(800)


class Wire(asyncio.Protocol):
    """Calls `heard` with its transport when bytes come."""

    def __init__(self, heard: Callable[[asyncio.Transport], None]) -> None:
        self._heard = heard

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, _data: bytes) -> None:
        self._heard(self.transport)


def commit_all(path: Path, waiting: queue.SimpleQueue[Callable[[], object]]) -> None:
    """Commit a record for each that waits, then call it."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "CREATE TABLE record (record BLOB)"):
        connection.execute(statement)
    while True:
        committed = waiting.get()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO record VALUES (?)", (RECORD,))
        connection.execute("COMMIT")
        committed()


async def coordinate(path: Path) -> None:
    """Take a client's bytes to the agent, and answer it when the result has come and a record is committed."""
    loop = asyncio.get_running_loop()
    records: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
    threading.Thread(target=commit_all, args=(path, records), daemon=True).start()
    agents: list[Wire] = []
    clients: list[asyncio.Transport] = []

    def ask(client: asyncio.Transport) -> None:
        clients.append(client)
        agents[0].transport.write(ASKED)

    def record(_agent: asyncio.Transport) -> None:
        client = clients.pop()
        records.put(lambda: loop.call_soon_threadsafe(client.write, RECORD))

    def welcome() -> Wire:
        agents.append(Wire(record))
        return agents[-1]

    ports = [
        (await loop.create_server(made, "127.0.0.1", 0)).sockets[0].getsockname()[1]
        for made in (welcome, lambda: Wire(ask))
    ]
    sys.stdout.write(f"listening on {ports[0]} {ports[1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


async def act(port: int, url: str) -> None:
    """Fetch once for whatever comes, from each source in turn."""
    handles = [pycurl.Curl() for _ in SOURCES]
    for handle, source in zip(handles, SOURCES, strict=True):
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.INTERFACE, f"host!{source}")
        handle.setopt(pycurl.WRITEFUNCTION, len)
        handle.setopt(pycurl.PROXY, "")
    turn = itertools.cycle(handles)

    def fetch(coordinator: asyncio.Transport) -> None:
        next(turn).perform()
        coordinator.write(RESULT)

    await asyncio.get_running_loop().create_connection(lambda: Wire(fetch), "127.0.0.1", port)
    sys.stdout.write("connected\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


async def median(port: int) -> float:
    """Return milliseconds of one client's executions."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    moments = [time.perf_counter()]

    def ask_again(coordinator: asyncio.Transport) -> None:
        moments.append(time.perf_counter())
        if len(moments) > COUNT:
            done.set_result(None)
            coordinator.close()
        else:
            coordinator.write(ASKED)

    transport, _ = await loop.create_connection(lambda: Wire(ask_again), "127.0.0.1", port)
    transport.write(ASKED)
    await done
    return statistics.median(after - before for before, after in itertools.pairwise(moments)) * 1000


async def compare(port: int, url: str) -> None:
    """Print both, in turns."""
    for _ in range(ROUNDS):
        chain, fetch = await median(port), await direct(url, COUNT)
        sys.stdout.write(f"{chain:.2f} ms against {fetch:.2f} ms of a direct fetch: {chain / fetch:.2f} x\n")


def main() -> None:
    """Run one of the three."""
    match sys.argv[1:]:
        case ["coordinate", path]:
            asyncio.run(coordinate(Path(path)))
        case ["act", port, url]:
            asyncio.run(act(int(port), url))
        case _:
            compare_all()


def compare_all() -> None:
    """Measure in a network of our own."""
    netns.enter_private_network()
    netns.add_addresses("lo", [*SOURCES, TARGET])
    me = [sys.executable, "-m", "tests.bench.bench_floor"]
    with (
        tempfile.TemporaryDirectory() as directory,
        nginx.running(Path(directory), TARGET, trustme.CA().issue_cert(TARGET)) as urls,
    ):
        coordinator = Process("coordinator", [*me, "coordinate", f"{directory}/history"])
        for_agents, for_clients = coordinator.wait_for_line("listening on ").split()[-2:]
        agent = Process("agent", [*me, "act", for_agents, urls["plain"]])
        agent.wait_for_line("connected")
        asyncio.run(compare(int(for_clients), urls["plain"]))
        agent.kill()
        coordinator.kill()


if __name__ == "__main__":
    main()
