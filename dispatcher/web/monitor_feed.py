"""What monitors are told: a snapshot, then what changed. Step 10 of a request's way. Runs on the event loop.

Nothing is pushed as it happens: a tick collects what changed since the one before, so the cost does not grow with the
rate of executions, and nobody pays while no monitor looks. A monitor that has not taken the last change by the next
tick gets no more of them, but a new snapshot once it reads again: a slow monitor slows nobody.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

import pykka

from dispatcher.actors.errors import StoreError
from dispatcher.actors.loop_actor import ask
from dispatcher.actors.messages import HistoryFilter, ReadHistory
from dispatcher.record import dump
from dispatcher.web import cursors
from dispatcher.web.monitor_changes import Told, encoded_list, encoded_object
from dispatcher.web.monitor_summary import kept_summaries, record_summary
from dispatcher.web.own_time import OwnTime

if TYPE_CHECKING:
    from dispatcher.record import Record
    from dispatcher.redaction import Redactor
    from dispatcher.web.rate import Rate
    from dispatcher.web.services import Services

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.15
"""How often monitors hear of changes: a little less often than they may draw, so that a change is drawn as it comes
and within 250 ms of its happening."""

REST_FACTOR = 4
"""A tick is followed by a rest so many times as long as it held the loop: the feed takes a fifth of it at most."""

EXECUTIONS_A_TICK = 500
"""Records in one change, the newest: room for 1,000 a second where ticks come late. `skipped` counts those left out,
which history has."""

SNAPSHOT_EXECUTIONS = 100
"""Records in a snapshot; `older` is the cursor with which `/api/history` goes on."""

_EXPECTED = (StoreError, TimeoutError, pykka.ActorDeadError)


class Monitor(Protocol):
    """One connected monitor."""

    is_busy: bool
    needs_snapshot: bool

    def send(self, content: bytes) -> None:
        """Begin to send; `is_busy` until the monitor has taken it."""


class MonitorFeed:
    """Tells every monitor what changed."""

    def __init__(self, rate: Rate, redactor: Redactor, *, shows_body: bool = True) -> None:
        """Start without monitors; `run` does the telling. `redactor` keeps the secrets of the configured request.

        Its body is told only with `shows_body`, since it may be a secret as a whole and all monitors hear the same.
        """
        self._shows_body = shows_body
        self._monitors: set[Monitor] = set()
        self._wanted = asyncio.Event()
        self._records: deque[Record] = deque(maxlen=EXECUTIONS_A_TICK)
        self._finished = 0
        self._redactor = redactor
        self._rate = rate
        self._told = Told(self._redactor, self._rate, shows_body=self._shows_body)

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
                begun, tick = time.monotonic(), OwnTime(self._tick(services))
                try:
                    await tick
                except _EXPECTED as error:
                    logger.warning("monitors were told nothing: %s", error)
                except Exception:
                    logger.exception("the monitors' feed failed; it goes on with the next tick")
                await asyncio.sleep(rest(time.monotonic() - begun, tick.seconds))
            self._forget()

    def _forget(self) -> None:
        self._wanted.clear()
        self._records.clear()
        self._finished = 0
        self._told = Told(self._redactor, self._rate, shows_body=self._shows_body)

    async def _tick(self, services: Services) -> None:
        change = await self._told.advance(services)
        # Taken only now: what finished while the actors were asked need not wait for the next tick.
        records, skipped = list(self._records), self._finished - len(self._records)
        self._records.clear()
        self._finished = 0
        if records:
            change["executions"] = await encoded_list(records, record_summary)
            change["skipped"] = dump(skipped)
        await self._tell(services, encoded_object({"type": b'"change"', **change}) if change else None)

    async def _tell(self, services: Services, change: bytes | None) -> None:
        snapshot: bytes | None = None
        for monitor in list(self._monitors):
            if monitor.is_busy:
                monitor.needs_snapshot = monitor.needs_snapshot or change is not None
            elif monitor.needs_snapshot:
                snapshot = snapshot or await self._snapshot(services)
                monitor.needs_snapshot = False
                monitor.send(snapshot)
            elif change is not None:
                monitor.send(change)

    async def _snapshot(self, services: Services) -> bytes:
        parts = await self._told.whole()
        try:
            page = await ask(services.history_reader, ReadHistory(limit=SNAPSHOT_EXECUTIONS))
        except _EXPECTED as error:
            logger.warning("monitors were told no history: %s", error)
            return encoded_object({"type": b'"snapshot"', **parts, "executions": b"[]", "older": b"null"})
        # On another thread, because bodies are read past: 100 records may be 6 MB of JSON.
        records = await asyncio.to_thread(kept_summaries, page.records)
        older = b"null" if page.next_cursor is None else dump(cursors.encode(page.next_cursor, HistoryFilter()))
        executions = b"[" + b",".join(records) + b"]"
        return encoded_object({"type": b'"snapshot"', **parts, "executions": executions, "older": older})


def rest(took: float, own: float) -> float:
    """Return the pause in seconds after a tick that took so long, `own` of it on the loop and not waiting."""
    return max(TICK_SECONDS - took, REST_FACTOR * own)
