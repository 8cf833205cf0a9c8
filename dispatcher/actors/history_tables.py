"""What history looks like on disk, how a record gets in, and how old ones go. Plain functions inside a transaction.

Step 9 of a request's way, on HistoryLog's thread. What would surprise: the records lie apart from what they are
filtered by, so that a search steps over narrow rows and not over bodies; and `minute` says where in the order of the
commits each minute of `finished_at` lies, so that a time range is a range of that order even if the clock jumped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.actors import history_keys

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from dispatcher.actors.database import Migration
    from dispatcher.actors.messages import RecordRow

NAME = "history"

MINUTE_MS = 60_000

LAST_SEQ = 2**63 - 1
"""The highest place that the order of the commits can have."""

PRUNE_AHEAD = 64
"""Records that a transaction may delete beyond as many as it adds: about 1 ms, so that catching up holds up nobody."""

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
)

_INSERT_ROW = """INSERT INTO record (id, outcome, agent_id, source_ip, status, error, finished_at, size)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"""
_INSERT_MINUTE = """INSERT INTO minute VALUES (?1, ?2, ?3) ON CONFLICT (minute)
    DO UPDATE SET first_seq = min(first_seq, ?2), last_seq = max(last_seq, ?3)"""
_DELETE_MINUTES = "DELETE FROM minute WHERE last_seq < ifnull((SELECT min(seq) FROM record), ?)"


@dataclass(frozen=True, slots=True)
class Retention:
    """What history keeps: so many records, bytes of them, and seconds since they finished; None does not limit."""

    max_records: int
    max_bytes: int | None = None
    max_age: float | None = None


def oldest_kept_ms(max_age: float | None, now: float) -> int:
    """Return the least `finished_at` in ms that `max_age` seconds keep at `now`, in seconds since 1970."""
    return 0 if max_age is None else round((now - max_age) * 1000)


def add(connection: sqlite3.Connection, rows: Sequence[RecordRow]) -> list[bool]:
    """Add records, each as the newest; False for each whose id is there already.

    They are counted together: for each by itself that is as much work as adding it.
    """
    added = {}
    are_new = []
    for row in rows:
        place = _insert(connection, row)
        are_new.append(place is not None)
        if place is not None:
            added[place] = row
    _count(connection, added)
    return are_new


def _insert(connection: sqlite3.Connection, row: RecordRow) -> int | None:
    """Return the place that the record got; None where its id is known."""
    size = len(row.record)
    filtered_by = (row.outcome.value, row.agent_id, row.source_ip, row.status, row.error_kind, row.finished_at_ms)
    cursor = connection.execute(_INSERT_ROW, (row.id, *filtered_by, size))
    if not cursor.rowcount:
        return None
    connection.execute("INSERT INTO content VALUES (?, ?)", (cursor.lastrowid, row.record))
    if row.idempotency_key is not None:
        history_keys.tie(connection, row.idempotency_key, cursor.lastrowid)
    return cursor.lastrowid


def _count(connection: sqlite3.Connection, added: Mapping[int, RecordRow]) -> None:
    minutes: dict[int, list[int]] = {}
    for place, row in added.items():
        minutes.setdefault(row.finished_at_ms // MINUTE_MS, []).append(place)
    ranges = ((minute, min(places), max(places)) for minute, places in minutes.items())
    connection.executemany(_INSERT_MINUTE, ranges)
    size = sum(len(row.record) for row in added.values())
    connection.execute("UPDATE kept SET records = records + ?, bytes = bytes + ?", (len(added), size))


def prune(connection: sqlite3.Connection, retention: Retention, now: float, at_most: int) -> int:
    """Delete up to `at_most` records that retention does not keep, and say how many."""
    doomed = _too_old(connection, oldest_kept_ms(retention.max_age, now), at_most)
    doomed.update(_too_many(connection, retention, doomed, at_most - len(doomed)))
    if doomed:
        connection.executemany("DELETE FROM record WHERE seq = ?", ((seq,) for seq in doomed))
        connection.execute(
            "UPDATE kept SET records = records - ?, bytes = bytes - ?", (len(doomed), sum(doomed.values()))
        )
        connection.execute(_DELETE_MINUTES, (LAST_SEQ,))
    return len(doomed)


def _too_old(connection: sqlite3.Connection, oldest_ms: int, at_most: int) -> dict[int, int]:
    """Return the size of each record that finished before `oldest_ms`, by its place."""
    query = "SELECT seq, size FROM record WHERE finished_at < ? ORDER BY finished_at LIMIT ?"
    return dict(connection.execute(query, (oldest_ms, at_most)))


def _too_many(
    connection: sqlite3.Connection, retention: Retention, gone: dict[int, int], at_most: int
) -> dict[int, int]:
    """Return the size of the oldest records over the limits of number and bytes, by their place."""
    records, size = connection.execute("SELECT records, bytes FROM kept").fetchone()
    records, size = records - len(gone), size - sum(gone.values())
    doomed: dict[int, int] = {}
    for seq, row_size in connection.execute("SELECT seq, size FROM record ORDER BY seq LIMIT ?", (at_most,)):
        if records <= retention.max_records and (retention.max_bytes is None or size <= retention.max_bytes):
            break
        if seq not in gone:
            doomed[seq] = row_size
            records, size = records - 1, size - row_size
    return doomed
