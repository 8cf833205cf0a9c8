"""Inserts many rows by few statements. Step 9 of a request's way, on the thread of the actor that writes.

What would surprise: the rows are spelled out, `VALUES (?, ?), (?, ?)`, and not given to `executemany`. That lets go of
the interpreter for each row and has to win it back from a busy event loop, which costs both more than the insert.
"""

from __future__ import annotations

import functools
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

MOST_ROWS = 64
"""Rows of one statement, which so stays below the 999 parameters that SQLite before 3.32 takes."""

EXACT_ROWS = 16
"""Up to so many rows are one statement; more are cut into powers of two, so that few statements do for any number.
A connection keeps 128 of them prepared."""


def insert(
    connection: sqlite3.Connection, table: str, columns: Mapping[str, Sequence[Any]], on_conflict: str = ""
) -> tuple[int, int | None]:
    """Insert rows into `table`, given as its columns by name, all of the same length.

    Returns how many were inserted, and the rowid of the last one if there was one.
    """
    count, last = 0, None
    names = tuple(columns)
    for part in _parts([*zip(*columns.values(), strict=True)]):
        cursor = connection.execute(_statement(table, names, len(part), on_conflict), [*chain.from_iterable(part)])
        count += cursor.rowcount
        last = cursor.lastrowid
    return count, last


def _parts(rows: Sequence[tuple[Any, ...]]) -> list[Sequence[tuple[Any, ...]]]:
    parts = []
    while len(rows) > EXACT_ROWS:
        size = 1 << min(len(rows), MOST_ROWS).bit_length() - 1
        parts.append(rows[:size])
        rows = rows[size:]
    return [*parts, rows] if rows else parts


@functools.cache
def _statement(table: str, names: tuple[str, ...], rows: int, on_conflict: str) -> str:
    row = f"({', '.join('?' * len(names))})"
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join([row] * rows)} {on_conflict}"  # noqa: S608  (names of ours only)
