"""Which `Idempotency-Key` belongs to which record, on disk: plain functions inside a transaction of HistoryLog.

Beside step 9 of a request's way. A key is claimed before anything is sent, so it is known after `kill -9` too; the
record's own transaction ties it to the record, and it goes when retention deletes that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.actors.messages import KeyClaim

if TYPE_CHECKING:
    import sqlite3

    from dispatcher.actors.database import Migration

LOST_KEPT = 10_000
"""How many keys are kept whose executions never got a record: the newest, counted at each start."""

MIGRATION: Migration = (
    """CREATE TABLE idempotency (
        key TEXT PRIMARY KEY,
        digest BLOB NOT NULL,
        seq INTEGER UNIQUE REFERENCES record (seq) ON DELETE CASCADE
    )""",
)

_FIND = """SELECT digest, content.record, record.finished_at FROM idempotency
    LEFT JOIN record USING (seq) LEFT JOIN content USING (seq) WHERE key = ?"""
_DROP_LOST = """DELETE FROM idempotency WHERE seq IS NULL AND rowid NOT IN
    (SELECT rowid FROM idempotency WHERE seq IS NULL ORDER BY rowid DESC LIMIT ?)"""


def claim(connection: sqlite3.Connection, key: str, digest: bytes, oldest_ms: int) -> KeyClaim:
    """Claim a key for a payload, or say who has it. A record that finished before `oldest_ms` has it no more."""
    found = connection.execute(_FIND, (key,)).fetchone()
    if found is not None and (found[2] is None or found[2] >= oldest_ms):
        return KeyClaim(is_new=False, digest=found[0], record=found[1])
    connection.execute("INSERT OR REPLACE INTO idempotency (key, digest) VALUES (?, ?)", (key, digest))
    return KeyClaim(is_new=True, digest=digest, record=None)


def tie(connection: sqlite3.Connection, key: str, seq: int | None) -> None:
    """Tie a claimed key to the record at `seq`."""
    connection.execute("UPDATE idempotency SET seq = ? WHERE key = ?", (seq, key))


def release(connection: sqlite3.Connection, key: str) -> None:
    """Forget a key that has no record, because nothing was sent under it."""
    connection.execute("DELETE FROM idempotency WHERE key = ? AND seq IS NULL", (key,))


def drop_lost(connection: sqlite3.Connection) -> None:
    """Keep no more than `LOST_KEPT` keys without a record; to be called before any execution runs."""
    connection.execute(_DROP_LOST, (LOST_KEPT,))
