"""HistoryReader: pages and single records of the history, over a connection that cannot write.

Not on the way of a request, but beside step 9: on a thread of its own, so that a page of 500 large records holds up
no append. What would surprise: a search for a value goes through the blocks that have it (`history_blocks.py`) and in
each of them from row to row. The query names the order in which its tables are gone through: SQLite keeps no statistics
here, so the reader counts a little of each value's blocks first and begins with the value that has the fewest. What is
staged (`history_staging.py`) is read where it lies, as the newest records: nobody who reads waits for a move.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from dispatcher.actors import history_tables
from dispatcher.actors.database import connect_read_only, database_path, reading
from dispatcher.actors.history_blocks import BLOCK, LAST_PLACE, first_place, last_place
from dispatcher.actors.history_retention import oldest_kept_ms
from dispatcher.actors.messages import HistoryPage, ReadHistory, ReadRecord
from dispatcher.actors.thread_actor import BatchingActor

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dispatcher.actors.messages import HistoryFilter

PROBE_BLOCKS = 1000
"""How many blocks of a value are counted to choose between two: 50 us."""

Condition = tuple[Any, ...]
"""A condition in SQL, and the values of its parameters."""

_KEPT_FROM = "SELECT kept_from FROM staged ORDER BY seq DESC LIMIT 1"
_RECORD = f"""WITH shown AS (SELECT ? AS id, ? AS oldest, coalesce(({_KEPT_FROM}), 0) AS first)
    SELECT staged.record FROM shown CROSS JOIN staged USING (id) WHERE finished_at >= oldest
    UNION ALL SELECT content.record FROM shown CROSS JOIN record USING (id) CROSS JOIN content USING (seq)
        WHERE finished_at >= oldest AND seq >= first"""  # noqa: S608  (text of ours only)

_OF_BLOCK = f"record.seq >= seen.block * {BLOCK} AND record.seq < (seen.block + 1) * {BLOCK}"
_IN_BLOCK_TOO = "EXISTS (SELECT 1 FROM seen AS other WHERE what = ? AND value = ? AND other.block = seen.block)"


class HistoryReader(BatchingActor):
    """Reads the history that a running `HistoryLog` writes. Takes `ReadHistory` and `ReadRecord`.

    What is older than `max_age` seconds is not shown, even while it is not deleted yet. Both raise `StoreError` where
    the file cannot be read.
    """

    def __init__(
        self, state_dir: Path, *, max_age: float | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        """Open the history of `state_dir`; its `HistoryLog` is started first and stopped last.

        Raises:
            StoreError: there is no history, or it cannot be read.
        """
        super().__init__()
        self._max_age = max_age
        self._clock = clock
        self._path = database_path(state_dir, history_tables.NAME)
        self._connection = connect_read_only(state_dir, history_tables.NAME)

    def on_receive(self, message: Any) -> Any:
        """Answer one read."""
        with reading(self._path):
            match message:
                case ReadHistory(limit=limit, before=before, where=where):
                    return self._page(limit, before, where)
                case ReadRecord(id=record_id):
                    return self._record(record_id)
                case _:
                    return super().on_receive(message)

    def on_stop(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _page(self, limit: int, before: int | None, where: HistoryFilter) -> HistoryPage:
        with _snapshot(self._connection):
            rows = self._rows(limit + 1, before, where)
        page = rows[:limit]
        return HistoryPage(
            records=tuple(record for _, record in page),
            next_cursor=page[-1][0] if page and len(rows) > limit else None,
        )

    def _rows(self, most: int, before: int | None, where: HistoryFilter) -> list[tuple[int, bytes]]:
        """Return place and content of up to `most` records; the snapshot that they are of has to be begun."""
        rows: list[tuple[int, bytes]] = []
        (kept_from,) = self._connection.execute(_KEPT_FROM).fetchone() or (None,)
        oldest_ms = self._oldest_ms()
        if kept_from is not None:
            query, values = staged_query(before, where, oldest_ms)
            rows += self._connection.execute(query, (*values, most)).fetchall()
        if len(rows) < most:
            query, values = page_query(self._connection, before, where, oldest_ms, kept_from or 0)
            rows += self._connection.execute(query, (*values, most - len(rows))).fetchall()
        return rows

    def _record(self, record_id: str) -> bytes | None:
        found = self._connection.execute(_RECORD, (record_id, self._oldest_ms())).fetchone()
        return found[0] if found else None

    def _oldest_ms(self) -> int:
        """Return the least `finished_at` that is shown."""
        return oldest_kept_ms(self._max_age, self._clock())


@contextlib.contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Have all that the block reads be as of one moment, so that nothing is moved between two looks."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def staged_query(before: int | None, where: HistoryFilter, oldest_ms: int) -> tuple[str, list[Any]]:
    """Build the query of the part of a page that is staged, as `page_query` builds that of the rest."""
    last = LAST_PLACE if before is None else before - 1
    conditions = [("record.seq <= ?", last), *_matching(where, oldest_ms)]
    return _query("record.record FROM staged AS record", conditions, "record.seq DESC")


def page_query(
    connection: sqlite3.Connection, before: int | None, where: HistoryFilter, oldest_ms: int, kept_from: int = 0
) -> tuple[str, list[Any]]:
    """Build the query of a page, newest first, and its values but for the last, the number of rows."""
    first, last = _places(connection, before, where)
    first = max(first, kept_from)
    equal = _equalities(where)
    if equal:
        tables, order = "seen CROSS JOIN record", "seen.block DESC, record.seq DESC"
        conditions = _of_blocks(connection, equal, (first // BLOCK, last // BLOCK))
        # With their sign these are no way to find a row: that is by its block.
        conditions += [("+record.seq >= ? AND +record.seq <= ?", first, last)]
    else:
        tables, order = "record NOT INDEXED", "record.seq DESC"
        conditions = [("record.seq >= ? AND record.seq <= ?", first, last)]
    conditions += _matching(where, oldest_ms)
    return _query(f"content.record FROM {tables} CROSS JOIN content USING (seq)", conditions, order)


def _query(source: str, conditions: Sequence[Condition], order: str) -> tuple[str, list[Any]]:
    query = f"""SELECT record.seq, {source}
        WHERE {" AND ".join(text for text, *_ in conditions)} ORDER BY {order} LIMIT ?"""
    return query, [value for _, *values in conditions for value in values]


def _matching(where: HistoryFilter, oldest_ms: int) -> list[Condition]:
    """Return what each record of a page has to be."""
    equal = [(f"record.{column} = ?", value) for column, value in _equalities(where)]
    return [*equal, *_times(where, oldest_ms)]


def _equalities(where: HistoryFilter) -> list[tuple[str, Any]]:
    """Return column and value of each filter that asks for one value."""
    outcome = None if where.outcome is None else where.outcome.value
    given = {
        "source_ip": where.source_ip,
        "error": where.error,
        "status": where.status,
        "agent_id": where.agent_id,
        "outcome": outcome,
    }
    return [(column, value) for column, value in given.items() if value is not None]


def _of_blocks(
    connection: sqlite3.Connection, equal: Sequence[tuple[str, Any]], blocks: tuple[int, int]
) -> list[Condition]:
    """Return what says which blocks have all the values, and which rows are theirs; the rarest value leads."""
    lead, *others = sorted(equal, key=lambda each: _count(connection, each, blocks)) if len(equal) > 1 else equal
    return [
        ("seen.what = ? AND seen.value = ? AND seen.block >= ? AND seen.block <= ?", *lead, *blocks),
        *((_IN_BLOCK_TOO, *other) for other in others),
        (_OF_BLOCK,),
    ]


def _count(connection: sqlite3.Connection, equal: tuple[str, Any], blocks: tuple[int, int]) -> int:
    """Count the blocks that have a value, as far as it is worth it."""
    query = f"""SELECT count(*) FROM (SELECT 1 FROM seen
        WHERE what = ? AND value = ? AND block >= ? AND block <= ? LIMIT {PROBE_BLOCKS})"""  # noqa: S608  (a number of ours)
    (found,) = connection.execute(query, (*equal, *blocks)).fetchone()
    return int(found)


def _times(where: HistoryFilter, oldest_ms: int) -> list[Condition]:
    conditions: list[Condition] = [("finished_at >= ?", max(oldest_ms, where.since_ms or 0))]
    if where.until_ms is not None:
        conditions.append(("finished_at < ?", where.until_ms))
    return conditions


def _places(connection: sqlite3.Connection, before: int | None, where: HistoryFilter) -> tuple[int, int]:
    """Return where in the order of the commits the page can lie, from the cursor and from the times asked for."""
    first, last = 0, LAST_PLACE if before is None else before - 1
    if where.since_ms is not None:
        first = first_place(connection, where.since_ms)
    if where.until_ms is not None:
        last = min(last, last_place(connection, where.until_ms))
    return first, last
