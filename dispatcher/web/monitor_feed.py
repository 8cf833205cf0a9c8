"""What monitors are told: a snapshot, then what changed. Step 10 of a request's way. Runs on the event loop.

Nothing is pushed as it happens: a tick collects what changed since the one before, so the cost does not grow with the
rate of executions, and nobody pays while no monitor looks. A monitor that has not taken the last change by the next
tick gets no more of them, but a new snapshot once it reads again: a slow monitor slows nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from dispatcher.actors.errors import StoreError
from dispatcher.actors.loop_actor import ask
from dispatcher.actors.messages import DescribePool, ReadHistory
from dispatcher.record import dump
from dispatcher.web.agents import agent_json, describe_agents
from dispatcher.web.pool import exit_json, pool_json
from dispatcher.web.stats import stats_json

if TYPE_CHECKING:
    from dispatcher.actors.messages import ExitStatus
    from dispatcher.record import Record
    from dispatcher.web.services import Services

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.2
"""How often monitors hear of changes; they are to redraw within 250 ms of one."""

EXECUTIONS_A_TICK = 200
"""Records in one change, the newest; `skipped` counts those left out, which history has."""

SNAPSHOT_EXECUTIONS = 100
"""Records in a snapshot."""

Json = dict[str, Any]


class Monitor(Protocol):
    """One connected monitor."""

    is_busy: bool
    needs_snapshot: bool

    def send(self, content: bytes) -> None:
        """Begin to send; `is_busy` until the monitor has taken it."""


class MonitorFeed:
    """Tells every monitor what changed."""

    def __init__(self) -> None:
        """Start without monitors; `run` does the telling."""
        self._monitors: set[Monitor] = set()
        self._wanted = asyncio.Event()
        self._records: deque[Record] = deque(maxlen=EXECUTIONS_A_TICK)
        self._finished = 0
        self._state = _State()

    def add(self, monitor: Monitor) -> None:
        """Begin to tell a monitor."""
        self._monitors.add(monitor)
        self._wanted.set()

    def discard(self, monitor: Monitor) -> None:
        """Stop telling a monitor."""
        self._monitors.discard(monitor)

    def finished(self, record: Record) -> None:
        """An execution's record was committed."""
        if self._monitors:
            self._records.append(record)
            self._finished += 1

    async def run(self, services: Services) -> None:
        """Tell for ever."""
        while True:
            await self._wanted.wait()
            while self._monitors:
                try:
                    await self._tick(services)
                except (StoreError, TimeoutError) as error:
                    logger.warning("monitors were told nothing: %s", error)
                await asyncio.sleep(TICK_SECONDS)
            self._wanted.clear()
            self._state = _State()

    async def _tick(self, services: Services) -> None:
        records, skipped = list(self._records), self._finished - len(self._records)
        self._records.clear()
        self._finished = 0
        change = await self._state.advance(services)
        if records:
            change["executions"] = [_record_json(record) for record in records]
            change["skipped"] = skipped
        encoded = dump({"type": "change", **change}) if change else None
        snapshot: bytes | None = None
        for monitor in list(self._monitors):
            if monitor.is_busy:
                monitor.needs_snapshot = monitor.needs_snapshot or bool(change)
            elif monitor.needs_snapshot:
                snapshot = snapshot or await self._snapshot(services)
                monitor.needs_snapshot = False
                monitor.send(snapshot)
            elif encoded is not None:
                monitor.send(encoded)

    async def _snapshot(self, services: Services) -> bytes:
        page = await ask(services.history_reader, ReadHistory(limit=SNAPSHOT_EXECUTIONS))
        head = dump({"type": "snapshot", **self._state.whole()})
        return head[:-1] + b',"executions":[' + b",".join(page.records) + b"]}"


class _State:
    """What monitors have been told: agents, exits, numbers and the configured request."""

    def __init__(self) -> None:
        self._agents: dict[str, Json] = {}
        self._exits: dict[tuple[str, str], ExitStatus] = {}
        self._pool: Json = {}
        self._stats: Json = {}
        self._request: Json | None = None

    def whole(self) -> Json:
        """Return all of it."""
        return {
            "agents": list(self._agents.values()),
            "pool": {**self._pool, "exits": [exit_json(status) for status in self._exits.values()]},
            "stats": self._stats,
            "request": self._request,
        }

    async def advance(self, services: Services) -> Json:
        """Look at everything anew and return the members that differ from before."""
        change: Json = {}
        stats = await stats_json(services)
        if {**stats, "uptime_seconds": 0} != {**self._stats, "uptime_seconds": 0}:
            change["stats"] = self._stats = stats
        stored = services.configured.stored
        request = None if stored is None else {**stored.request, "revision": stored.revision}
        if request != self._request:
            change["request"] = self._request = request
        agents = {agent.agent_id: agent_json(agent) for agent in await describe_agents(services.registry)}
        if agents != self._agents:
            change["agents"] = _difference(agents, self._agents)
            self._agents = agents
        pool = await self._advance_pool(services)
        return {**change, "pool": pool} if pool else change

    async def _advance_pool(self, services: Services) -> Json:
        status = await ask(services.pool, DescribePool())
        counts = pool_json(status)
        exits = {(known.agent_id, known.address): known for known in status.exits}
        if exits == self._exits and counts == self._pool:
            return {}
        # In rotation order, so that a monitor that moves what was leased to the back has the order too.
        changed = [exit_json(known) for key, known in exits.items() if self._exits.get(key) != known]
        gone = [list(key) for key in self._exits if key not in exits]
        self._exits, self._pool = exits, counts
        return {**counts, "changed": changed, "gone": gone}


def _difference(now: dict[str, Json], before: dict[str, Json]) -> Json:
    return {
        "changed": [content for key, content in now.items() if before.get(key) != content],
        "gone": [key for key in before if key not in now],
    }


def _record_json(record: Record) -> Json:
    body = None
    if record.result is not None and record.failure is None:
        body = {"encoding": "utf-8", "data": "", "size": record.result.body_size, "truncated": True}
    return record.as_json(body)
