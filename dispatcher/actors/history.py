"""HistoryLog: the one writer of the history. A reply to a client implies a record, because this answers after commit.

Step 9 of a request's way, on a thread of its own. What would surprise: there is no queue and no timer. While one
transaction commits, the next appends gather in the inbox, and all that wait are committed together; retention goes
along with appends in small slices, so an idle history deletes nothing (what is too old is no longer shown either way).
Reading is another actor (`history_reader.py`): a page of large records must not hold up an append.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dispatcher.actors import history_keys, history_tables
from dispatcher.actors.database import Database
from dispatcher.actors.errors import StoreError
from dispatcher.actors.history_blocks import Notes
from dispatcher.actors.history_retention import PRUNE_AHEAD, Retention, oldest_kept_ms, prune
from dispatcher.actors.history_tables import NOTHING_ADDED
from dispatcher.actors.history_totals import Totals
from dispatcher.actors.messages import AppendRecords, CheckStore, ClaimKey, KeyClaim, ReadTotals, ReleaseKey
from dispatcher.actors.thread_actor import BatchingActor, Request

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dispatcher.actors.history_tables import Added
    from dispatcher.actors.messages import RecordRow

PRUNE_AT_START_SECONDS = 1.0
"""How long a start may delete what retention no longer keeps; the rest goes with appends."""


class HistoryLog(BatchingActor):
    """Commits records, counts them, and keeps as many as retention says.

    Takes `AppendRecords`, `ReadTotals`, `CheckStore`, `ClaimKey` and `ReleaseKey`. In one batch appends go first.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        max_records: int,
        max_age: float | None = None,
        max_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the history of `state_dir`, which keeps `max_records` of `max_bytes` in all for `max_age` seconds.

        Raises:
            StoreError: the history cannot be opened.
        """
        super().__init__()
        self._retention = Retention(max_records, max_bytes, max_age)
        self._clock = clock
        self._database = Database(state_dir, history_tables.NAME, history_tables.MIGRATIONS)
        self._notes = Notes()
        with self._database.first_reading():
            self._totals = Totals.load(self._database.connection)
            self._prune_at_start()
            with self._database.transaction() as connection:
                history_keys.drop_lost(connection)

    def on_batch(self, requests: Sequence[Request]) -> None:
        """Commit all appends in one transaction, answer them, then see to the rest."""
        appends = [request for request in requests if isinstance(request.message, AppendRecords)]
        if appends:
            self._append(appends)
            self._database.trim()
        for request in requests:
            if not isinstance(request.message, AppendRecords):
                self.handle(request)

    def on_receive(self, message: Any) -> Any:
        """Answer what is no append."""
        match message:
            case ReadTotals():
                return self._totals.describe()
            case CheckStore():
                return self._check()
            case ClaimKey():
                return self._claim(message)
            case ReleaseKey():
                return self._release(message.key)
            case _:
                return super().on_receive(message)

    def on_stop(self) -> None:
        """Close the file; everything that was answered is in it."""
        self._database.close()

    def _append(self, requests: Sequence[Request]) -> None:
        try:
            known = self._commit([row for request in requests for row in request.message.rows])
        except StoreError as error:
            for request in requests:
                request.fail(StoreError(str(error)))  # an exception of its own for each: raising one changes it
            return
        refused = {id(row) for row in known}  # by itself, not by its id, which another of these rows may have too
        for request in requests:
            request.answer(frozenset(row.id for row in request.message.rows if id(row) in refused))

    def _commit(self, rows: Sequence[RecordRow]) -> Sequence[RecordRow]:
        """Write all `rows` or none, but for those whose id is known; return these."""
        try:
            with self._database.transaction() as connection:
                added = history_tables.add(connection, rows)
                self._notes.add(connection, added.places, added.columns)
                totals = self._settle(connection, added, len(rows) + PRUNE_AHEAD)
        except BaseException:
            self._notes.forget()
            raise
        self._totals = totals
        return added.known

    def _settle(self, connection: sqlite3.Connection, added: Added, at_most: int) -> Totals:
        """Delete up to `at_most` records that retention does not keep now, and return the totals after the commit."""
        totals = self._totals.copy()
        totals.count(added.places, added.columns)
        pruned = prune(connection, self._retention, totals.kept, self._clock(), at_most)
        if pruned.records:
            self._notes.drop_empty(connection, pruned.blocks)
            totals.uncount(pruned)
        totals.save(connection, pruned)
        return totals

    def _claim(self, asked: ClaimKey) -> KeyClaim:
        oldest_ms = oldest_kept_ms(self._retention.max_age, self._clock())
        with self._database.transaction() as connection:
            return history_keys.claim(connection, asked.key, asked.digest, oldest_ms)

    def _release(self, key: str) -> None:
        with self._database.transaction() as connection:
            history_keys.release(connection, key)

    def _check(self) -> str | None:
        try:
            with self._database.transaction() as connection:
                connection.execute("INSERT OR REPLACE INTO probe VALUES (0, ?)", (round(self._clock() * 1000),))
        except StoreError as error:
            return str(error)
        return None

    def _prune_at_start(self) -> None:
        deadline = time.monotonic() + PRUNE_AT_START_SECONDS
        pruned = PRUNE_AHEAD
        while pruned == PRUNE_AHEAD and time.monotonic() < deadline:
            with self._database.transaction() as connection:
                totals = self._settle(connection, NOTHING_ADDED, PRUNE_AHEAD)
            pruned = self._totals.kept.records - totals.kept.records
            self._totals = totals
