"""HistoryLog: the one writer of the history. A reply to a client implies a record, because this answers after commit.

Step 9 of a request's way, on a thread of its own. What would surprise: there is no queue. While one commit is under
way, the next appends gather in the inbox, and all that wait are committed together; where these are few they are only
staged (`history_staging.py`), and go into the tables with the next many, or in a pause. Retention goes along with that
in small slices, so an idle history deletes nothing (what is too old is no longer shown either way). Reading is another
actor (`history_reader.py`): a page of large records must not hold up an append.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from dispatcher.actors import history_keys, history_tables
from dispatcher.actors.database import Database
from dispatcher.actors.errors import StoreError
from dispatcher.actors.history_blocks import Notes
from dispatcher.actors.history_retention import PRUNE_AHEAD, Retention, give_up, oldest_kept_ms, prune
from dispatcher.actors.history_staging import Staging, clear
from dispatcher.actors.history_tables import NOTHING_ADDED
from dispatcher.actors.history_totals import Totals
from dispatcher.actors.messages import AppendRecords, CheckStore, ClaimKey, KeyClaim, ReadTotals, ReleaseKey
from dispatcher.actors.thread_actor import BatchingActor, Request

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dispatcher.actors.history_retention import Pruned
    from dispatcher.actors.history_tables import Added
    from dispatcher.actors.messages import RecordRow

_log = logging.getLogger(__name__)

IDLE_SECONDS = 0.05
"""After how long without a message what is staged goes into the tables: a client that asks again has done so by then,
and other programs that read the file hardly ever find anything staged."""

PRUNE_AT_START_SECONDS = 1.0
"""How long a start may delete what retention no longer keeps; the rest goes with appends."""


NOTHING_KNOWN: frozenset[str] = frozenset()


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
            self._staging = Staging(self._database.connection, self._retention, clock)
            self.on_idle()
            if not self._staging.rows:  # else the disk is full, or the like: what is there can be read
                self._prune_at_start()
            with self._database.transaction() as connection:
                history_keys.drop_lost(connection)

    @property
    def idle_seconds(self) -> float | None:
        """Where something is staged, it is not for long; what cannot be moved is tried again with the next message."""
        return IDLE_SECONDS if self._staging.rows and self._staging.is_open else None

    def on_idle(self) -> None:
        """Move what is staged."""
        try:
            self._move_staged()
        except StoreError as error:
            _log.warning("%d records stay staged: %s", len(self._staging.rows), error)
        self._database.trim()

    def on_batch(self, requests: Sequence[Request]) -> None:
        """Commit all appends together, answer them, then see to the rest."""
        appends = [request for request in requests if type(request.message) is AppendRecords]
        if appends:
            self._append(appends)
            if not self._staging.rows:  # once for what was staged is enough
                self._database.trim()
        for request in requests:
            if type(request.message) is not AppendRecords:
                self.handle(request)

    def on_receive(self, message: Any) -> Any:
        """Answer what is no append."""
        match message:
            case ReadTotals():
                return self._staging.counted(self._totals).describe()
            case CheckStore():
                return self._check()
            case ClaimKey():
                return self._claim(message)
            case ReleaseKey():
                return self._release(message.key)
            case _:
                return super().on_receive(message)

    def on_stop(self) -> None:
        """Move what is staged and close the file; everything that was answered is in it."""
        self.on_idle()
        self._database.close()

    def _append(self, requests: Sequence[Request]) -> None:
        rows: list[RecordRow] = []
        for request in requests:
            rows += request.message.rows
        try:
            known = () if self._staging.put(self._database, rows, self._totals) else self._commit(rows)
        except StoreError as error:
            for request in requests:
                request.fail(StoreError(str(error)))  # an exception of its own for each: raising one changes it
            return
        for request in requests:
            request.answer(_known_of(request.message.rows, known) if known else NOTHING_KNOWN)

    def _move_staged(self) -> None:
        if self._staging.rows:
            self._commit(())

    def _commit(self, rows: Sequence[RecordRow]) -> Sequence[RecordRow]:
        """Write what is staged and all `rows` into the tables, or nothing of it, but for `rows` whose id is known.

        Returns these.
        """
        staged = self._staging.rows
        try:
            with self._database.transaction() as connection:
                if staged:
                    clear(connection)
                added = history_tables.add(connection, [*staged, *rows])
                self._notes.add(connection, added.places, added.columns)
                totals = self._settle(connection, added, len(staged) + len(rows) + PRUNE_AHEAD)
        except BaseException:
            self._notes.forget()
            self._staging.is_open = False
            raise
        self._totals = totals
        self._staging.moved(added.columns.id)
        return added.known

    def _settle(self, connection: sqlite3.Connection, added: Added, at_most: int) -> Totals:
        """Delete up to `at_most` records that retention does not keep now, and return the totals after the commit."""
        totals = self._totals.copy()
        totals.count(added.places, added.columns)
        pruned = self._prune(connection, totals, at_most)
        if pruned.records:
            self._notes.drop_empty(connection, pruned.blocks)
        totals.save(connection, pruned)
        return totals

    def _prune(self, connection: sqlite3.Connection, totals: Totals, at_most: int) -> Pruned:
        """Delete them, those first that were given up when others were staged, and take them from the `totals`."""
        given_up = give_up(connection, self._staging.kept_from, at_most)
        totals.uncount(given_up)
        pruned = prune(connection, self._retention, totals.kept, self._clock(), at_most - given_up.records)
        totals.uncount(pruned)
        return given_up.with_more(pruned)

    def _claim(self, asked: ClaimKey) -> KeyClaim:
        self._move_staged()  # retention may take a key with what they take the room of
        oldest_ms = oldest_kept_ms(self._retention.max_age, self._clock())
        with self._database.transaction() as connection:
            return history_keys.claim(connection, asked.key, asked.digest, oldest_ms)

    def _release(self, key: str) -> None:
        with self._database.transaction() as connection:
            history_keys.release(connection, key)

    def _check(self) -> str | None:
        try:
            self._move_staged()
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


def _known_of(rows: Sequence[RecordRow], known: Sequence[RecordRow]) -> frozenset[str]:
    """Return the ids of those of the `rows` that are `known`: themselves, since another row may have the same id."""
    refused = {id(row) for row in known}
    return frozenset(row.id for row in rows if id(row) in refused)
