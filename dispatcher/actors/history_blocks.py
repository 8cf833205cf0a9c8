"""What is known of the records block by block, so that a search skips the blocks in which nothing can match.

Step 9 of a request's way, on HistoryLog's thread; HistoryReader searches by it. A block is so many places in the order
of the commits. What would surprise: no column of a record has an index of its own that a search could use. That takes
an entry for each record, and for the source addresses another page for almost each, which cost more than the record;
here a value is noted once a block. A note may outlive the records that it is of, but not their block.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from dispatcher.actors.inserts import insert

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from dispatcher.actors.database import Migration
    from dispatcher.actors.history_columns import Columns

BLOCK = 256
"""Places in a block. A page of 50 looks through 13,000 rows at worst, where its value is once in every block: 3 ms."""

LAST_PLACE = 2**63 - 1
"""The highest place that the order of the commits can have."""

MINUTE_MS = 60_000
"""A block's times are kept to the minute, so that most commits leave them as they are."""

FILTERED_BY = ("outcome", "agent_id", "source_ip", "status", "error")
"""The columns by which a search asks for one value, in the order that `Columns` has them after the id."""


def _noted(column: str) -> str:
    return f"""INSERT INTO seen SELECT '{column}', {column}, seq / {BLOCK} FROM record
        WHERE {column} IS NOT NULL GROUP BY {column}, seq / {BLOCK}"""  # noqa: S608  (names of ours only)


MIGRATION: Migration = (
    *(f"DROP INDEX record_{column}" for column in FILTERED_BY),
    "DROP TABLE minute",
    "CREATE TABLE block (block INTEGER PRIMARY KEY, earliest INTEGER NOT NULL, latest INTEGER NOT NULL)",
    f"""INSERT INTO block SELECT seq / {BLOCK}, min(finished_at) / {MINUTE_MS}, max(finished_at) / {MINUTE_MS}
        FROM record GROUP BY seq / {BLOCK}""",  # noqa: S608  (numbers of ours only)
    """CREATE TABLE seen (
        what TEXT NOT NULL,
        value NOT NULL,
        block INTEGER NOT NULL REFERENCES block (block) ON DELETE CASCADE,
        PRIMARY KEY (what, value, block)
    ) WITHOUT ROWID""",
    *(_noted(column) for column in FILTERED_BY),
    "CREATE INDEX seen_block ON seen (block)",
)

_WIDEN = """INSERT INTO block VALUES (?, ?, ?) ON CONFLICT (block)
    DO UPDATE SET earliest = min(earliest, excluded.earliest), latest = max(latest, excluded.latest)"""
_DELETE_EMPTY = f"""DELETE FROM block WHERE block = :block
    AND NOT EXISTS (SELECT 1 FROM record WHERE seq >= :block * {BLOCK} AND seq < (:block + 1) * {BLOCK})"""  # noqa: S608  (ours)


class Notes:
    """Notes what is in the newest block, and remembers what of it is noted already."""

    def __init__(self) -> None:
        """Remember nothing."""
        self.forget()

    def forget(self) -> None:
        """Look again at what is noted: a transaction may have failed, and what was remembered not be there."""
        self._block = -1
        self._values: dict[str, set[str | int | None]] = {}
        self._minutes: set[int] = set()

    def add(self, connection: sqlite3.Connection, places: Sequence[int], columns: Columns) -> None:
        """Note that the records got these `places`, which grow."""
        while places:
            block, here = places[0] // BLOCK, columns
            if places[-1] // BLOCK > block:
                here, columns = columns.cut(bisect_left(places, (block + 1) * BLOCK))
            self._add(connection, block, here)
            places = places[len(here.id) :]

    def _add(self, connection: sqlite3.Connection, block: int, columns: Columns) -> None:
        if block != self._block:
            self._begin(connection, block)
        times = columns.finished_at_ms
        minutes = {min(times) // MINUTE_MS, max(times) // MINUTE_MS}
        if not minutes <= self._minutes:
            connection.execute(_WIDEN, (block, min(minutes), max(minutes)))
            self._minutes |= minutes
        whats: list[str] = []
        values: list[str | int | None] = []
        for what, column in zip(FILTERED_BY, columns[1:6], strict=True):
            new = {*column} - self._values[what]
            if new:
                whats += [what] * len(new)
                values += new
                self._values[what] |= new
        if values:
            seen: dict[str, Sequence[Any]] = {"what": whats, "value": values, "block": [block] * len(values)}
            insert(connection, "seen", seen, "ON CONFLICT DO NOTHING")

    def _begin(self, connection: sqlite3.Connection, block: int) -> None:
        self._block = block
        self._values = {what: {None} for what in FILTERED_BY}  # None is never noted: nobody can ask for it
        for what, value in connection.execute("SELECT what, value FROM seen WHERE block = ?", (block,)):
            self._values[what].add(value)
        times = connection.execute("SELECT earliest, latest FROM block WHERE block = ?", (block,)).fetchone()
        self._minutes = set(times or ())

    def drop_empty(self, connection: sqlite3.Connection, blocks: Iterable[int]) -> None:
        """Drop what is noted of those `blocks` in which no record is left."""
        for block in blocks:
            connection.execute(_DELETE_EMPTY, {"block": block})
            if block == self._block:
                self.forget()


def first_place(connection: sqlite3.Connection, since_ms: int) -> int:
    """Return the place before which every record finished before `since_ms`."""
    query = "SELECT block FROM block WHERE latest >= ? ORDER BY block LIMIT 1"
    found = connection.execute(query, (since_ms // MINUTE_MS,)).fetchone()
    return found[0] * BLOCK if found else LAST_PLACE


def last_place(connection: sqlite3.Connection, until_ms: int) -> int:
    """Return the place after which no record finished before `until_ms`."""
    query = "SELECT block FROM block WHERE earliest <= ? ORDER BY block DESC LIMIT 1"
    found = connection.execute(query, (until_ms // MINUTE_MS,)).fetchone()
    return (found[0] + 1) * BLOCK - 1 if found else 0
