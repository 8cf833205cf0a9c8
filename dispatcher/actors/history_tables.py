"""What history looks like on disk, and how a record gets in. Plain functions inside a transaction.

Step 9 of a request's way, on HistoryLog's thread. What would surprise: the records lie apart from what they are
filtered by, so that a search steps over narrow rows and not over bodies. What was counted of a transaction's records is
`history_totals.py`'s, where they are found again `history_blocks.py`'s, how they go `history_retention.py`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dispatcher.actors import history_blocks, history_keys, history_staging, history_totals
from dispatcher.actors.history_columns import Columns
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
    history_blocks.MIGRATION + history_totals.MIGRATION_3,
    history_totals.MIGRATION_4,
    history_staging.MIGRATION,
)


class Added(NamedTuple):
    """The records that were added with the places that they got, which grow, and those whose id was known."""

    columns: Columns
    places: Sequence[int]
    known: Sequence[RecordRow] = ()


NOTHING_ADDED = Added(Columns(), ())


def add(connection: sqlite3.Connection, rows: Sequence[RecordRow]) -> Added:
    """Add records, each as the newest, but for those whose id is known."""
    columns = Columns.of(rows)
    count, last = insert(connection, "record", _narrow(columns), "ON CONFLICT (id) DO NOTHING")
    added = _added(connection, rows, columns, range((last or 0) - count + 1, (last or 0) + 1))
    # A bytearray is taken as it is; for bytes sqlite3 looks for an adapter first, which takes it longer than the copy.
    insert(connection, "content", {"seq": added.places, "record": [*map(bytearray, added.columns.record)]})
    for place, key in zip(added.places, added.columns.idempotency_key, strict=True):
        if key is not None:
            history_keys.tie(connection, key, place)
    return added


def _narrow(columns: Columns) -> dict[str, Sequence[Any]]:
    """Return what of the records goes into the narrow table."""
    narrow: dict[str, Sequence[Any]] = {
        "id": columns.id,
        "outcome": columns.outcome,
        "agent_id": columns.agent_id,
        "source_ip": columns.source_ip,
        "status": columns.status,
        "error": columns.error_kind,
        "finished_at": columns.finished_at_ms,
        "size": columns.size,
        "total_ms": columns.total_ms,
    }
    if not any(columns.error_kind):
        del narrow["error"]  # for each None, too, an adapter would be looked for
    return narrow


def _added(connection: sqlite3.Connection, rows: Sequence[RecordRow], columns: Columns, places: Sequence[int]) -> Added:
    """Say which of the `rows` were inserted, as many as there are `places`."""
    if len(places) == len(rows):
        return Added(columns, places)
    newest = dict(connection.execute("SELECT id, seq FROM record ORDER BY seq DESC LIMIT ?", (len(places),)))
    # Of two with the same id the first was inserted.
    placed = [(newest.pop(row.id, None), row) for row in rows]
    return Added(
        Columns.of([row for place, row in placed if place is not None]),
        [place for place, _ in placed if place is not None],
        [row for place, row in placed if place is None],
    )
