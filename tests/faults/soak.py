"""The long run: random faults at a running pool, and at the end the history is held to its invariants.

``python3 build.py soak [--minutes N] [--seed S]`` runs it. The faults and their order follow from the seed, which is
printed; how they meet the executions does not. It needs what the fault tests need: a network namespace.
"""

# ruff: noqa: T201  (what it prints is its result)

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import itertools
import json
import random
import signal
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.integration.conftest import SOURCES, TARGET
from tests.support import altered, invariants, netns, one_file
from tests.support.client import Client
from tests.support.cluster import Cluster, running_cluster, serving
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.processes import eventually
from tests.support.targets import Echo

if TYPE_CHECKING:
    from collections.abc import Callable

EXITS = SOURCES[:12]
AGENTS = {f"agent-{number:02}": EXITS[number * 4 : number * 4 + 4] for number in range(3)}
OWNERS = {address: agent_id for agent_id, addresses in AGENTS.items() for address in addresses}

MOST_EXECUTIONS = 40_000
MOST_PER_SECOND = 60.0
"""What the checks at the end can hold in memory, however long it runs."""

CLIENTS = 8
CHANGED = (
    "dispatcher.agent.link:PING_SECONDS=1",
    "dispatcher.actors.database:BUSY_TIMEOUT_SECONDS=1",
)
SETTLE_SECONDS = 60.0
LONGEST_SECONDS = 40.0
"""Of a stop, in a run that is ten times as long."""

PATHS = ("/{}", "/{}", "/bytes/2000?{}", "/fault/reset?{}", "/fault/hang?{}", "/fault/close-early?{}")


class Load:
    """Clients that execute without a pause but for the pace, and remember what they were answered."""

    def __init__(self, url: str, target: Echo, seed: int, per_second: float) -> None:
        self.answered: dict[str, str] = {}
        """A digest of each record that was answered, by its id."""
        self.outcomes: Counter[str] = Counter()
        self._client = Client(url)
        self._target = target
        self._pause = CLIENTS / per_second
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(seed + number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._client.close()

    def _run(self, seed: int) -> None:
        draw = random.Random(seed)
        while not self._stop.wait(draw.uniform(0, 2 * self._pause)):
            path = draw.choice(PATHS).format(next(self._numbers))
            try:
                answer = self._client.execute(url=self._target.url(path), timeout=2)
            except (OSError, http.client.HTTPException):
                self.outcomes["no reply"] += 1
                continue
            content = answer.json
            record = content if answer.status == 200 else content.get("execution")
            self.outcomes[record["outcome"] if record else content["type"].rpartition(":")[2]] += 1
            # A record that could not be kept is one that may be missing.
            if record is not None and not str(content.get("type", "")).endswith("unrecorded"):
                self.answered[record["id"]] = digest(record)


def digest(record: dict[str, Any]) -> str:
    """Tell two records apart."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


class Soak:
    """The pool under test, and what is done to it. Every fault is over when its method returns."""

    def __init__(self, cluster: Cluster, draw: random.Random, longest: float) -> None:
        self.cluster = cluster
        self.longest = longest
        self.draw = draw
        self.proxies: dict[str, FaultProxy] = {}
        self.faults: Counter[str] = Counter()
        self._pace = threading.Event()

    def start(self) -> None:
        """Start the coordinator and the agents, each behind a proxy."""
        self._coordinator()
        for agent_id in AGENTS:
            self.proxies[agent_id] = FaultProxy("127.0.0.1", self.cluster.port).__enter__()
            self._agent(agent_id)
        self.settle()

    def close(self) -> None:
        """End the proxies."""
        for proxy in self.proxies.values():
            proxy.__exit__()

    def settle(self) -> None:
        """Wait until every exit can be leased and executions are taken."""
        client = self.cluster.client
        client.wait_for_exits(len(EXITS), seconds=SETTLE_SECONDS)
        eventually(lambda: client.call("GET", "/readyz").status == 200, "readiness", seconds=SETTLE_SECONDS)

    def commit(self) -> None:
        """Commit one fault, and let the pool go on for a moment."""
        known: list[Callable[[], None]] = [
            self.kill_agent,
            self.kill_coordinator,
            self.stop_a_process,
            self.break_a_link,
            self.reset_a_link,
            self.take_an_address,
            self.lock_the_history,
            self.take_the_history,
        ]
        fault = self.draw.choice(known)
        self.faults[fault.__name__] += 1
        fault()
        self.pause(0.2, 1.5)

    def pause(self, low: float, high: float) -> None:
        """Let time pass, which is what faults are made of."""
        self._pace.wait(self.draw.uniform(low, high))

    def kill_agent(self) -> None:
        agent_id = self.draw.choice(sorted(AGENTS))
        self._running(agent_id).kill()
        self._agent(agent_id)

    def kill_coordinator(self) -> None:
        self._running("coordinator").kill()
        self._coordinator(self.cluster.port)

    def stop_a_process(self) -> None:
        process = self._running(self.draw.choice(["coordinator", *AGENTS]))
        process.signal(signal.SIGSTOP)
        self.pause(0.1, self.draw.choice((1.0, 4.0, self.longest)))
        process.signal(signal.SIGCONT)

    def break_a_link(self) -> None:
        proxy = self.proxies[self.draw.choice(sorted(AGENTS))]
        faults = (
            Fault(delay=0.02),
            Fault(piece=1),
            Fault(reads=False),
            Fault(delivers=False),
            Fault(cut_after=self.draw.randrange(1, 20_000)),
            Fault(passes=False),
        )
        proxy.commit(self.draw.choice(faults))
        self.pause(0.2, 4.0)
        proxy.heal()

    def reset_a_link(self) -> None:
        self.proxies[self.draw.choice(sorted(AGENTS))].reset()

    def take_an_address(self) -> None:
        address = self.draw.choice(EXITS)
        netns.remove_address("lo", address)
        self.pause(0.1, 1.0)
        netns.add_addresses("lo", [address])

    def lock_the_history(self) -> None:
        file = self.cluster.state_dir / "history.sqlite3"
        with contextlib.closing(sqlite3.connect(file, isolation_level=None, timeout=30)) as other:
            other.execute("BEGIN IMMEDIATE")
            self.pause(0.2, 3.0)
            other.execute("ROLLBACK")

    def take_the_history(self) -> None:
        file = self.cluster.state_dir / "history.sqlite3"
        aside = file.rename(file.with_name("aside"))
        self.pause(0.2, 1.0)
        aside.rename(file)

    def _running(self, name: str) -> Any:
        return next(process for process in reversed(self.cluster.processes) if process.name == name)

    def _coordinator(self, port: int = 0) -> None:
        pings = ("--ping-interval", "1", "--ping-timeout", "1", "--grace", "2")
        limits = ("--history-max-records", str(100 * MOST_EXECUTIONS))
        self.cluster.coordinator(*pings, *limits, port=port).expect("WARNING", "ERROR dispatcher.recorder: ")

    def _agent(self, agent_id: str) -> None:
        options = ("--reconnect-max", "1", "--drain-timeout", "3")
        process = self.cluster.begin_agent(agent_id, AGENTS[agent_id], *options, url=self.proxies[agent_id].url)
        process.expect("WARNING")


def run(seconds: float, seed: int, folder: Path, *, most_faults: int | None = None) -> None:
    """Run for so long or for so many faults, and raise `AssertionError` where something did not hold."""
    per_second = min(MOST_PER_SECOND, MOST_EXECUTIONS / seconds)
    with serving(Echo(TARGET)) as target, running_cluster(folder, altered.command(*CHANGED)) as cluster:
        soak = Soak(cluster, random.Random(seed), min(LONGEST_SECONDS, seconds / 10))
        try:
            soak.start()
            cluster.client.configure(target.url("/"))
            ends_at = time.monotonic() + seconds
            with Load(cluster.url, target, seed, per_second) as load:
                while time.monotonic() < ends_at and soak.faults.total() != most_faults:
                    soak.commit()
            soak.settle()
            judge(cluster, target, load)
        finally:
            soak.close()
        print(f"faults: {dict(sorted(soak.faults.items()))}")
        print(f"executions: {dict(sorted(load.outcomes.items()))}; the target saw {len(target.requests)} requests")


def judge(cluster: Cluster, target: Echo, load: Load) -> None:
    """Hold the history to its invariants, and the pool, which is steady now, to its rotation."""
    client = cluster.client
    records = invariants.check(client, cluster.state_dir, requests=target.requests, owners=OWNERS | {None: None})
    kept = {record["id"]: digest(record) for record in records}
    assert {} == {name: found for name, found in load.answered.items() if kept.get(name) != found}
    turns = [client.execute(url=target.url(f"/steady/{n}")).echo["peer"] for n in range(3 * len(EXITS))]
    assert sorted(EXITS) == sorted(turns[: len(EXITS)])
    assert turns[: len(EXITS)] * 3 == turns


def main() -> None:
    """Run in a network of its own."""
    parser = argparse.ArgumentParser(prog="build.py soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of the faults")
    chosen = parser.parse_args()
    print(f"soak: {chosen.minutes:g} minutes, seed {chosen.seed}; tried: {one_file.description()}", flush=True)
    netns.enter_private_network()
    netns.add_addresses("lo", (*EXITS, TARGET))
    with tempfile.TemporaryDirectory() as folder:
        run(chosen.minutes * 60, chosen.seed, Path(folder))
    print(f"all invariants hold (seed {chosen.seed})")


if __name__ == "__main__":
    main()
