"""Which records history keeps, and how the others go: plain functions inside a transaction of HistoryLog.

Step 9 of a request's way. What would surprise: records are deleted one by one and not a file or a block at a time, so
that a limit is kept to the record; but SQLite finds them, and no row of them passes through Python.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from dispatcher.actors.history_blocks import BLOCK

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

PRUNE_AHEAD = 64
"""Records that a transaction may delete beyond as many as it adds: about 1 ms, so that catching up holds up nobody."""

_GIVEN_UP = "SELECT seq, size FROM record WHERE seq < ? ORDER BY seq LIMIT ?"
_TOO_OLD = "SELECT seq, size FROM record WHERE finished_at < ? ORDER BY finished_at LIMIT ?"
ONE_TOO_OLD = "SELECT seq FROM record WHERE finished_at < ? LIMIT 1"
OLDEST = "SELECT seq, size FROM record ORDER BY seq LIMIT ?"
"""Place and size of the oldest records."""

_TOO_LARGE = """SELECT seq, size FROM (
        SELECT seq, size, sum(size) OVER (ORDER BY seq) AS bytes
        FROM (SELECT seq, size FROM record ORDER BY seq LIMIT ?)
    ) WHERE bytes - size < ?"""


class Retention(NamedTuple):
    """What history keeps: so many records, bytes of them, and seconds since they finished; None does not limit."""

    max_records: int
    max_bytes: int | None = None
    max_age: float | None = None


class Kept(NamedTuple):
    """How many records there are, and how many bytes of them."""

    records: int
    size: int


class Room:
    """What history has room for, and which of its oldest records more of them take the place of. Decides, no I/O.

    `kept_from` is the first place that is kept with all that room was made for; 0 where all are. What is staged itself
    never makes room.
    """

    def __init__(self, retention: Retention, kept: Kept, oldest: Iterator[tuple[int, int]]) -> None:
        """Begin with what is `kept` in the tables, of which the `oldest` have these places and sizes, in their order.

        They are asked for once one of them has to go.
        """
        self._records = retention.max_records - kept.records
        self._size = math.inf if retention.max_bytes is None else retention.max_bytes - kept.size
        self._oldest = oldest
        self.kept_from = 0

    def make(self, records: int, size: int) -> bool:
        """Make room for so many records, of so many bytes in all; False where what has to go for them is not known."""
        self._records -= records
        self._size -= size
        while self._records < 0 or self._size < 0:
            place, gone = next(self._oldest, (None, 0))
            if place is None:
                return False
            self._records += 1
            self._size += gone
            self.kept_from = place + 1
        return True


class Pruned(NamedTuple):
    """How many records were deleted, how many bytes of them, and the blocks that they were in."""

    records: int = 0
    size: int = 0
    blocks: frozenset[int] = frozenset()

    def with_more(self, more: Pruned) -> Pruned:
        """Return both together."""
        return Pruned(self.records + more.records, self.size + more.size, self.blocks | more.blocks)


def oldest_kept_ms(max_age: float | None, now: float) -> int:
    """Return the least `finished_at` in ms that `max_age` seconds keep at `now`, in seconds since 1970."""
    return 0 if max_age is None else round((now - max_age) * 1000)


def give_up(connection: sqlite3.Connection, kept_from: int, at_most: int) -> Pruned:
    """Delete up to `at_most` records before a place, which others took the room of when they were staged."""
    return _delete(connection, Pruned(), _GIVEN_UP, (kept_from, at_most)) if kept_from else Pruned()


def prune(connection: sqlite3.Connection, retention: Retention, kept: Kept, now: float, at_most: int) -> Pruned:
    """Delete up to `at_most` of what is `kept` and retention does not keep: the too old records first."""
    gone = Pruned()
    if retention.max_age is not None:
        gone = _delete(connection, gone, _TOO_OLD, (oldest_kept_ms(retention.max_age, now), at_most))
    records = min(kept.records - gone.records - retention.max_records, at_most - gone.records)
    if records > 0:
        gone = _delete(connection, gone, OLDEST, (records,))
    size = 0 if retention.max_bytes is None else kept.size - gone.size - retention.max_bytes
    if size > 0 and gone.records < at_most:
        gone = _delete(connection, gone, _TOO_LARGE, (at_most - gone.records, size))
    return gone


def _delete(connection: sqlite3.Connection, gone: Pruned, doomed: str, values: tuple[Any, ...]) -> Pruned:
    """Delete the records that a query finds, and return them together with what is `gone` already."""
    query = f"SELECT seq / {BLOCK}, count(*), sum(size) FROM ({doomed}) GROUP BY 1"  # noqa: S608  (text of ours only)
    found = connection.execute(query, values).fetchall()
    if not found:
        return gone
    connection.execute(f"DELETE FROM record WHERE seq IN (SELECT seq FROM ({doomed}))", values)  # noqa: S608  (as above)
    blocks, counts, sizes = zip(*found, strict=True)
    return gone.with_more(Pruned(sum(counts), sum(sizes), frozenset(blocks)))
