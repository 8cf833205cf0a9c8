"""Commits records, step 9 of a request's way, and knows whether the store can be written. Runs on the event loop.

What would surprise: a record that could not be committed is not given up. Its caller was told so, but it is committed
before anything else once the store is well again, and only then does the store count as well: a disk with room for a
probe but not for a record would take executions and lose the record of each.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import pykka

from dispatcher.actors.errors import RecordKnownError, StoreError
from dispatcher.actors.loop_actor import ask
from dispatcher.actors.messages import AppendRecord, CheckStore
from dispatcher.meters import Commits

if TYPE_CHECKING:
    from dispatcher.actors.messages import RecordRow
    from dispatcher.record import Record

logger = logging.getLogger(__name__)

FRESH_SECONDS = 1.0
"""How long a commit says that the store is well. After a pause it is tried before anything is sent (about 0.2 ms)."""


class UnrecordedError(Exception):
    """The execution ended, but its record could not be committed."""

    def __init__(self, record: Record, reason: str) -> None:
        """Carry the record that is not in the history."""
        super().__init__(f"the execution ended as {record.outcome}, but its record could not be kept: {reason}")
        self.record = record


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
        self._check: asyncio.Task[str | None] | None = None
        self._well_at = time.monotonic()
        self.problem: str | None = None
        self.commits = Commits()

    @property
    def is_in_doubt(self) -> bool:
        """Whether the store is to be tried before an execution begins that it has to keep."""
        return self.problem is not None or time.monotonic() - self._well_at > FRESH_SECONDS

    async def commit(self, record: Record) -> None:
        """Commit a record.

        Raises:
            UnrecordedError: it is not in the history yet; it will be if the store is well again in time.
        """
        row = record.to_row(self._body_bytes)
        begun = time.monotonic()
        self.commits.waiting += 1
        try:
            await ask(self._history, AppendRecord(row))
        except Exception as error:
            self._late.append(row)
            self.problem = _reason(error)
            self.commits.failed += 1
            raise UnrecordedError(record, self.problem) from error
        finally:
            self.commits.waiting -= 1
        self._well_at = time.monotonic()
        self.commits.seconds.add(self._well_at - begun)

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
            try:
                await ask(self._history, AppendRecord(self._late[0]))
            except RecordKnownError:
                logger.debug("a record was committed although that could not be told")
            self._late.popleft()
            count += 1
        if count:
            logger.info("%d records that could not be kept before are in the history now", count)


def _reason(error: Exception) -> str:
    if isinstance(error, StoreError):
        return str(error)
    return f"the history does not answer ({type(error).__name__})"
