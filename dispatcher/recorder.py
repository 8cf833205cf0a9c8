"""Commits records, step 9 of a request's way, and knows whether the store can be written. Runs on the event loop.

All records of one turn of the loop are one message to the history and wait for one answer: asking for each would cost
the loop more than the disk does. What would surprise: a record that could not be committed is not given up. Its caller
was told so, but it is committed before anything else once the store is well again, and only then does the store count
as well: a disk with room for a probe but not for a record would take executions and lose the record of each.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pykka

from dispatcher.actors.errors import StoreError
from dispatcher.actors.loop_actor import ASK_TIMEOUT_SECONDS, LATE_SECONDS, ask, ask_then
from dispatcher.actors.messages import AppendRecords, CheckStore
from dispatcher.afterwards import TURN_SECONDS, Afterwards
from dispatcher.deadlines import Deadlines
from dispatcher.meters import Commits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dispatcher.actors.messages import RecordRow
    from dispatcher.record import Record

logger = logging.getLogger(__name__)

FRESH_SECONDS = 1.0
"""How long a commit says that the store is well. After a pause it is tried before anything is sent (about 0.2 ms)."""

MOST_TOGETHER = 256
"""How many records one message takes: a commit of them takes some milliseconds, and whoever is first waits for all."""


class UnrecordedError(Exception):
    """The execution ended, but its record could not be committed."""

    def __init__(self, record: Record, reason: str) -> None:
        """Carry the record that is not in the history."""
        super().__init__(f"the execution ended as {record.outcome}, but its record could not be kept: {reason}")
        self.record = record


OnKept = Callable[[UnrecordedError | None], None]
"""Is told that a record is in the history (None), or that it is not."""


class _Group:
    """Records that are committed together, and who is told of each. `is_told` once somebody is."""

    __slots__ = ("begun", "is_overdue", "is_told", "rows", "whom")

    def __init__(self) -> None:
        self.rows: list[RecordRow] = []
        self.whom: list[tuple[Record, OnKept]] = []
        self.begun = 0.0
        self.is_overdue = False
        self.is_told = False


class Recorder:
    """Commits records to `history`, with `body_bytes` of each body.

    `problem` is why the store cannot be written, None where it can; `commits` counts and times what is committed.
    Records that wait for the store are bounded: they are of executions that were in flight when it failed, because none
    begins before they are committed.
    """

    def __init__(self, history: pykka.ActorRef[Any], body_bytes: int) -> None:
        """Take the store for well until a record says otherwise."""
        self._history = history
        self._body_bytes = body_bytes
        self._late: deque[RecordRow] = deque()
        self._gathering: _Group | None = None
        self._afterwards = Afterwards.here()
        self._overdue: Deadlines[_Group] = Deadlines(self._give_up)
        self._check: asyncio.Task[str | None] | None = None
        self._well_at = time.monotonic()
        self.problem: str | None = None
        self.commits = Commits()

    @property
    def is_in_doubt(self) -> bool:
        """Whether the store is to be tried before an execution begins that it has to keep."""
        return self.problem is not None or time.monotonic() - self._well_at > FRESH_SECONDS

    def keep(self, record: Record, on_kept: OnKept) -> None:
        """Commit a record together with all others of this turn of the loop, and tell `on_kept`, in their order.

        It is told of an `UnrecordedError` where the record is not in the history yet; it will be if the store is well
        again in time.
        """
        row = record.to_row(self._body_bytes)
        group = self._gathering
        if group is None:
            group = self._gathering = _Group()
            self._afterwards.call(self._commit)
        group.rows.append(row)
        group.whom.append((record, on_kept))
        self.commits.waiting += 1
        if len(group.rows) == MOST_TOGETHER:
            self._commit()

    def _commit(self) -> None:
        """Commit what has gathered, if anything has since the last time."""
        group, self._gathering = self._gathering, None
        if group is None:
            return
        group.begun = time.monotonic()
        self._overdue.set(group, group.begun + ASK_TIMEOUT_SECONDS)
        ask_then(self._history, AppendRecords(tuple(group.rows)), functools.partial(self._take_answer, group))

    def _give_up(self, group: _Group) -> None:
        if group.is_overdue:
            self._take_answer(group, None, TimeoutError())
        else:
            group.is_overdue = True
            self._overdue.set(group, time.monotonic() + LATE_SECONDS)

    def _take_answer(self, group: _Group, unkept: frozenset[str] | None, error: Exception | None) -> None:
        if group.is_told:
            return  # the answer comes after all, to records that are late by now: they are known then
        group.is_told = True
        self._overdue.forget(group)
        reason = "its id is that of another record"
        if unkept is None:  # whatever it is, no record is lost over it
            self._late.extend(group.rows)
            unkept = frozenset(row.id for row in group.rows)
            self.problem = reason = _reason(error)
        else:
            self._well_at = time.monotonic()
            self.commits.seconds.add(self._well_at - group.begun, len(group.rows))
        self.commits.waiting -= len(group.rows)
        self.commits.failed += len(unkept)
        if unkept:  # once for all, since nobody may be left to be told
            logger.error("records that could not be kept: %d (%s)", len(unkept), reason)
        self._tell(iter(group.whom), unkept, reason)

    def _tell(self, told: Iterator[tuple[Record, OnKept]], unkept: frozenset[str], reason: str) -> None:
        """Call what follows each record; where that takes long, the loop turns in between."""
        turn_ends = time.monotonic() + TURN_SECONDS
        for record, on_kept in told:
            try:
                on_kept(UnrecordedError(record, reason) if record.id in unkept else None)
            except Exception:
                logger.exception("what follows the commit of %s failed", record.id)
            if time.monotonic() > turn_ends:
                asyncio.get_running_loop().call_soon(self._tell, told, unkept, reason)
                return

    async def check(self) -> str | None:
        """Try whether the store can be written, and remember the answer; all who ask at once share one try."""
        if self._check is None:
            self._check = asyncio.get_running_loop().create_task(self._try())
            self._check.add_done_callback(self._forget)
        return await asyncio.shield(self._check)

    async def commit_late(self) -> None:
        """Try once more to commit what could not be committed, if there is anything."""
        if self._late:
            await self.check()

    def _forget(self, _: asyncio.Task[str | None]) -> None:
        self._check = None

    async def _try(self) -> str | None:
        try:
            # First whether anything can be written at all: that costs less than failing over each record.
            self.problem = await ask(self._history, CheckStore())
            if self.problem is None:
                await self._commit_late()
                self._well_at = time.monotonic()
        except (StoreError, TimeoutError, pykka.ActorDeadError) as error:
            self.problem = _reason(error)
        return self.problem

    async def _commit_late(self) -> None:
        count = 0
        while self._late:
            # One that was committed although that could not be told is known, and there once all the same.
            await ask(self._history, AppendRecords((self._late[0],)))
            self._late.popleft()
            count += 1
        if count:
            logger.info("%d records that could not be kept before are in the history now", count)


def _reason(error: Exception | None) -> str:
    if isinstance(error, StoreError):
        return str(error)
    return f"the history does not answer ({type(error).__name__})"
