"""What history looks like on disk, and how a record gets in. Plain functions inside a transaction.

Step 9 of a request's way, on HistoryLog's thread. What would surprise: the records lie apart from what they are
filtered by, so that a search steps over narrow rows and not over bodies. What was counted of a transaction's records is
`history_totals.py`'s, where they are found again `history_blocks.py`'s, how they go `history_retention.py`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.actors import history_blocks, history_keys, history_totals
from dispatcher.actors.inserts import insert

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from dispatcher.actors.database import Migration
    from dispatcher.actors.messages import RecordRow

NAME = "history"

MIGRATIONS: tuple[Migration, ...] = (
    (
        """CREATE TABLE record (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            outcome TEXT NOT NULL,
            agent_id TEXT,
            source_ip TEXT,
            status INTEGER,
            error TEXT,
            finished_at INTEGER NOT NULL,
            size INTEGER NOT NULL
        )""",
        """CREATE TABLE content (
            seq INTEGER PRIMARY KEY REFERENCES record (seq) ON DELETE CASCADE,
            record BLOB NOT NULL
        )""",
        "CREATE INDEX record_outcome ON record (outcome)",
        "CREATE INDEX record_agent_id ON record (agent_id) WHERE agent_id IS NOT NULL",
        "CREATE INDEX record_source_ip ON record (source_ip) WHERE source_ip IS NOT NULL",
        "CREATE INDEX record_status ON record (status) WHERE status IS NOT NULL",
        "CREATE INDEX record_error ON record (error) WHERE error IS NOT NULL",
        "CREATE INDEX record_finished_at ON record (finished_at)",
        "CREATE TABLE minute (minute INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL)",
        "CREATE INDEX minute_last_seq ON minute (last_seq)",
        "CREATE TABLE kept (id INTEGER PRIMARY KEY, records INTEGER NOT NULL, bytes INTEGER NOT NULL)",
        "INSERT INTO kept VALUES (0, 0, 0)",
        """CREATE TABLE total (
            what TEXT NOT NULL,
            value TEXT NOT NULL,
            n INTEGER NOT NULL,
            PRIMARY KEY (what, value)
        ) WITHOUT ROWID""",
        "CREATE TABLE latency (bucket INTEGER PRIMARY KEY, n INTEGER NOT NULL)",
        "CREATE TABLE longest (id INTEGER PRIMARY KEY, ms REAL NOT NULL)",
        "CREATE TABLE probe (id INTEGER PRIMARY KEY, at INTEGER NOT NULL)",
    ),
    history_keys.MIGRATION,
    history_blocks.MIGRATION + history_totals.MIGRATION,
)

_RECORD = "record (id, outcome, agent_id, source_ip, status, error, finished_at, size)"


def add(connection: sqlite3.Connection, rows: Sequence[RecordRow]) -> list[int | None]:
    """Add records, each as the newest; return the place that each got, None where its id is known."""
    narrow = [(*row[:7], len(row.record)) for row in rows]
    count, last = insert(connection, _RECORD, narrow, "ON CONFLICT (id) DO NOTHING")
    places = _places(connection, rows, count, last or 0)
    added = [(place, row) for place, row in zip(places, rows, strict=True) if place is not None]
    insert(connection, "content", [(place, row.record) for place, row in added])
    for place, row in added:
        if row.idempotency_key is not None:
            history_keys.tie(connection, row.idempotency_key, place)
    return places


def _places(connection: sqlite3.Connection, rows: Sequence[RecordRow], count: int, last: int) -> list[int | None]:
    """Say where the last `count` records that were inserted are among `rows`; the last of all got the place `last`."""
    if count == len(rows):
        return list(range(last - count + 1, last + 1))
    newest = dict(connection.execute("SELECT id, seq FROM record ORDER BY seq DESC LIMIT ?", (count,)))
    return [newest.pop(row.id, None) for row in rows]  # of two with the same id, the first was inserted
