"""Records that come alone: committed by one statement, and moved into history's tables together with others.

Step 9 of a request's way, on HistoryLog's thread; HistoryReader reads what is staged beside the tables. What would
surprise: a commit into the tables costs one record as much as twenty, since it writes five pages and looks after notes,
totals and retention. Into a table of its own, without an index, a record comes for a fifth of that. A staged record has
its place in the order of the commits already, and says from which place on history is kept now that it is there. So
nobody who reads misses it, or sees what it took the room of.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from dispatcher.actors.history_columns import Columns
from dispatcher.actors.history_retention import OLDEST, ONE_TOO_OLD, Room, oldest_kept_ms
from dispatcher.actors.messages import RecordRow

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from dispatcher.actors.database import Database, Migration
    from dispatcher.actors.history_retention import Kept, Retention
    from dispatcher.actors.history_totals import Totals

_log = logging.getLogger(__name__)

MOST_AT_ONCE = 4
"""Up to so many records that are committed together are staged. With the move that costs 4 of them a sixth less than
the tables at once, and 8 the same."""

MOST_ROWS = 64
"""How many records are staged at most: as many as one statement takes into the tables, in less than a millisecond."""

MOST_BYTES = 256 * 1024
"""How much of them is staged at most, because it is written twice."""

MIGRATION: Migration = (
    """CREATE TABLE staged (
        kept_from INTEGER NOT NULL,
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        outcome TEXT NOT NULL,
        agent_id TEXT,
        source_ip TEXT,
        status INTEGER,
        error TEXT,
        finished_at INTEGER NOT NULL,
        total_ms REAL,
        record BLOB NOT NULL
    )""",
)
"""What a record has stands under the names of the other tables, in the order of a `RecordRow`."""

_LEFT = """SELECT id, outcome, agent_id, source_ip, status, error, finished_at, total_ms, record
    FROM staged ORDER BY seq"""
_KEPT_FROM = "SELECT coalesce(max(kept_from), 0) FROM staged"
_LAST_PLACE = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'record'"
"""The last place that was given, whether its record is kept or not."""


class Staging:
    """The `rows` that are staged, and the place from which on history is kept now that they are there, 0 for all.

    While it is not open, what is staged has to be moved before anything else is.
    """

    def __init__(self, connection: sqlite3.Connection, retention: Retention, clock: Callable[[], float]) -> None:
        """Find what an earlier process left, which is to be moved first."""
        self._retention = retention
        self._clock = clock
        self._begin([RecordRow(*row) for row in connection.execute(_LEFT)])
        ((self.kept_from,),) = connection.execute(_KEPT_FROM)

    def _begin(self, rows: list[RecordRow]) -> None:
        self.rows = rows
        self._ids = {row.id for row in rows}
        self._size = 0
        self._room: Room | None = None
        self._next_place = 0
        self.kept_from = 0
        self.is_open = True

    def put(self, database: Database, rows: Sequence[RecordRow], totals: Totals) -> bool:
        """Commit `rows`; False where nothing was done, because they have to go into the tables, with what is staged.

        `totals` are those of the tables. Raises `StoreError` where nothing could be written.
        """
        if not self.is_open or not 0 < len(rows) <= MOST_AT_ONCE or len(self.rows) + len(rows) > MOST_ROWS:
            return False
        self.is_open = False  # unless all of this goes well
        room = self._room or self._measure(database, totals.kept)
        ids: list[str] = []
        values: list[Any] = []
        size = 0
        for place, row in enumerate(rows, self._next_place):
            if row.idempotency_key is not None or row.id in self._ids or row.id in ids:
                return False
            ids.append(row.id)
            values += (place, *row[:8], bytearray(row.record))  # a bytearray: see `history_tables.add`
            size += len(row.record)
        if self._size + size > MOST_BYTES or not room.make(len(rows), size):
            return False
        if room.kept_from and self._is_any_too_old(database, rows):
            return False  # its room is free, so the oldest may stay
        if not database.write_at_once(_statement(len(rows)), [room.kept_from, *values, *ids]):
            return False
        self.rows += rows
        self._ids.update(ids)
        self._size += size
        self._next_place += len(rows)
        self.kept_from = room.kept_from
        self.is_open = True
        return True

    def _measure(self, database: Database, kept: Kept) -> Room:
        ((last,),) = database.rows(_LAST_PLACE)
        self._next_place = last + 1
        self._room = Room(self._retention, kept, database.rows(OLDEST, (MOST_ROWS,)))
        return self._room

    def _is_any_too_old(self, database: Database, rows: Sequence[RecordRow]) -> bool:
        if self._retention.max_age is None:
            return False
        oldest_ms = oldest_kept_ms(self._retention.max_age, self._clock())
        if any(row.finished_at_ms < oldest_ms for row in (*self.rows, *rows)):
            return True
        return any(database.rows(ONE_TOO_OLD, (oldest_ms,)))

    def counted(self, totals: Totals) -> Totals:
        """Return the `totals` of the tables with what is staged."""
        if not self.rows:
            return totals
        counted = totals.copy()
        counted.count(range(len(self.rows)), Columns.of(self.rows))
        return counted

    def moved(self, ids: Sequence[str]) -> None:
        """Begin anew after a commit that moved what was staged into the tables; `ids` are of what it added there."""
        if self.rows and not self._ids.issubset(ids):
            _log.error("of %d staged records some were not moved: others have their ids", len(self.rows))
        self._begin([])


def clear(connection: sqlite3.Connection) -> None:
    """Take away what is staged, in the transaction that adds it to the tables."""
    connection.execute("DELETE FROM staged")


@functools.cache
def _statement(rows: int) -> str:
    """Return the statement that stages so many rows, or none of them where the id of one is known."""
    row = f"({', '.join('?' * 10)})"
    return f"""INSERT INTO staged SELECT ?, * FROM (VALUES {", ".join([row] * rows)})
        WHERE NOT EXISTS (SELECT 1 FROM record WHERE id IN ({", ".join("?" * rows)}))"""  # noqa: S608  (placeholders)
