"""Many rows by few statements: all of them, in their order, and no more statements than a connection keeps."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from dispatcher.actors.inserts import EXACT_ROWS, MOST_ROWS, insert

PARAMETERS = 999
"""What SQLite took in one statement before 3.32."""


@pytest.mark.parametrize("count", [*range(1, 2 * MOST_ROWS + 2), 1000])
def test_all_rows_are_inserted_in_their_order(count: int) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE fruit (name TEXT, n INTEGER)")
        names = [f"apple {n}" for n in range(count)]
        assert (count, count) == insert(connection, "fruit", {"n": range(count), "name": names})
        assert (
            list(zip(names, range(count), strict=True))
            == connection.execute("SELECT * FROM fruit ORDER BY rowid").fetchall()
        )


def test_no_rows_are_no_statement() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        assert (0, None) == insert(connection, "no such table", {"name": []})


def test_columns_of_different_lengths_are_refused() -> None:
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(ValueError, match="shorter"):
        insert(connection, "fruit", {"name": ["apple", "pear"], "n": [1]})


def test_a_row_that_is_there_is_not_counted() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE fruit (name TEXT UNIQUE, n INTEGER)")
        insert(connection, "fruit", {"name": ["apple"]})
        assert (1, 2) == insert(connection, "fruit", {"name": ["apple", "pear"]}, "ON CONFLICT DO NOTHING")


def test_few_statements_are_enough_for_any_number_of_rows_and_none_has_too_many_parameters() -> None:
    statements: set[str] = set()
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE fruit (name TEXT, n INTEGER)")
        connection.set_trace_callback(lambda text: statements.add(text.partition("VALUES")[2]))
        for count in range(1, 3 * MOST_ROWS):
            insert(connection, "fruit", {"name": [None] * count, "n": [None] * count})
    assert EXACT_ROWS + 2 == len(statements - {""})
    widest = 9
    assert widest * MOST_ROWS <= PARAMETERS
