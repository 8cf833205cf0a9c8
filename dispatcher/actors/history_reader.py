"""HistoryReader: pages and single records of the history, over a connection that cannot write.

Not on the way of a request, but beside step 9: on a thread of its own, so that a page of 500 large records holds up
no append. What would surprise: the query names the index that it wants. SQLite keeps no statistics here, so the
reader counts a little of each filter's entries first and walks the one with the fewest.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dispatcher.actors import history_tables
from dispatcher.actors.database import connect_read_only, database_path, reading
from dispatcher.actors.messages import HistoryPage, ReadHistory, ReadRecord
from dispatcher.actors.thread_actor import BatchingActor

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dispatcher.actors.messages import HistoryFilter

PROBE_ENTRIES = 1000
"""How many entries of an index are counted to choose between two: 50 us."""

Condition = tuple[str, Any]
"""A condition in SQL and the value of its one parameter."""


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
        query, values = page_query(self._connection, before, where, self._oldest_ms())
        rows = self._connection.execute(query, (*values, limit + 1)).fetchall()
        page = rows[:limit]
        return HistoryPage(
            records=tuple(record for _, record in page),
            next_cursor=page[-1][0] if page and len(rows) > limit else None,
        )

    def _record(self, record_id: str) -> bytes | None:
        found = self._connection.execute(
            "SELECT content.record FROM record CROSS JOIN content USING (seq) WHERE id = ? AND finished_at >= ?",
            (record_id, self._oldest_ms()),
        ).fetchone()
        return found[0] if found else None

    def _oldest_ms(self) -> int:
        """Return the least `finished_at` that is shown."""
        return history_tables.oldest_kept_ms(self._max_age, self._clock())


def page_query(
    connection: sqlite3.Connection, before: int | None, where: HistoryFilter, oldest_ms: int
) -> tuple[str, list[Any]]:
    """Build the query of a page, newest first, and its values but for the last, the number of rows."""
    places = _places(connection, before, where)
    equal = _equalities(where)
    conditions = [*places, *((f"{column} = ?", value) for column, value in equal), *_times(where, oldest_ms)]
    index = f"INDEXED BY record_{_rarest(connection, equal, places)}" if equal else "NOT INDEXED"
    query = f"""SELECT record.seq, content.record FROM record {index} CROSS JOIN content USING (seq)
        WHERE {" AND ".join(text for text, _ in conditions)} ORDER BY record.seq DESC LIMIT ?"""  # noqa: S608  (names of ours only)
    return query, [value for _, value in conditions]


def _equalities(where: HistoryFilter) -> list[Condition]:
    """Return column and value of each filter that asks for one value; each column has an index of its name."""
    outcome = None if where.outcome is None else where.outcome.value
    given = {
        "source_ip": where.source_ip,
        "error": where.error,
        "status": where.status,
        "agent_id": where.agent_id,
        "outcome": outcome,
    }
    return [(column, value) for column, value in given.items() if value is not None]


def _times(where: HistoryFilter, oldest_ms: int) -> list[Condition]:
    conditions: list[Condition] = [("finished_at >= ?", max(oldest_ms, where.since_ms or 0))]
    if where.until_ms is not None:
        conditions.append(("finished_at < ?", where.until_ms))
    return conditions


def _places(connection: sqlite3.Connection, before: int | None, where: HistoryFilter) -> list[Condition]:
    """Return where in the order of the commits the page can lie, from the cursor and from the minutes asked for."""
    first, last = 0, history_tables.LAST_SEQ if before is None else before - 1
    if where.since_ms is not None:
        since = where.since_ms // history_tables.MINUTE_MS
        first = _one(connection, "SELECT min(first_seq) FROM minute WHERE minute >= ?", since, history_tables.LAST_SEQ)
    if where.until_ms is not None:
        until = where.until_ms // history_tables.MINUTE_MS
        last = min(last, _one(connection, "SELECT max(last_seq) FROM minute WHERE minute <= ?", until, 0))
    return [("record.seq >= ?", first), ("record.seq <= ?", last)]


def _one(connection: sqlite3.Connection, query: str, value: int, default: int) -> int:
    (found,) = connection.execute(query, (value,)).fetchone()
    return default if found is None else int(found)


def _rarest(connection: sqlite3.Connection, equal: Sequence[Condition], places: Sequence[Condition]) -> str:
    """Return the column whose value has the fewest entries in its index, as far as they are counted."""
    if len(equal) == 1:
        return str(equal[0][0])
    limits = " AND ".join(text for text, _ in places)
    values = [value for _, value in places]

    def entries(condition: Condition) -> int:
        column, value = condition
        query = f"""SELECT count(*) FROM (SELECT 1 FROM record INDEXED BY record_{column}
            WHERE {column} = ? AND {limits} LIMIT {PROBE_ENTRIES})"""  # noqa: S608  (names of ours only)
        (found,) = connection.execute(query, (value, *values)).fetchone()
        return int(found)

    return str(min(equal, key=entries)[0])
