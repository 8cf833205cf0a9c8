"""What is noted of blocks against the records themselves, through restarts, failures and gaps."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.actors.history_blocks import BLOCK, LAST_PLACE, MINUTE_MS, Notes, first_place, last_place
from dispatcher.actors.history_columns import Columns
from dispatcher.actors.history_tables import add
from dispatcher.actors.messages import RecordRow
from tests.unit.actors.stored import MOMENTS, T0, opened, row, rows, skip

GAPS = st.lists(st.integers(0, 2 * BLOCK), max_size=8)


def values_of(one: RecordRow) -> list[tuple[str, str | int | None]]:
    return [
        ("outcome", one.outcome),
        ("agent_id", one.agent_id),
        ("source_ip", one.source_ip),
        ("status", one.status),
        ("error", one.error_kind),
    ]


def noted(connection: sqlite3.Connection) -> tuple[set[Any], set[Any]]:
    seen = set(connection.execute("SELECT what, value, block FROM seen"))
    return seen, set(connection.execute("SELECT block, earliest, latest FROM block"))


def model_of(placed: Iterable[tuple[int, RecordRow]]) -> tuple[set[Any], set[Any]]:
    """Say what is to be noted, in the plainest way."""
    seen: set[Any] = set()
    minutes: dict[int, list[int]] = {}
    for place, one in placed:
        seen |= {(what, value, place // BLOCK) for what, value in values_of(one) if value is not None}
        minutes.setdefault(place // BLOCK, []).append(one.finished_at_ms // MINUTE_MS)
    return seen, {(block, min(found), max(found)) for block, found in minutes.items()}


def put(connection: sqlite3.Connection, notes: Notes, model: Sequence[RecordRow]) -> list[tuple[int, RecordRow]]:
    """Add records and note them."""
    added = add(connection, model)
    notes.add(connection, added.places, added.columns)
    return list(zip(added.places, model, strict=True))


@settings(deadline=None, max_examples=60)
@given(rows(), GAPS, st.integers(1, 7), st.sets(st.integers(0, 30)))
def test_what_is_noted_is_what_is_in_the_blocks(
    model: list[RecordRow], gaps: list[int], at_once: int, restarts: set[int]
) -> None:
    with opened() as database, database.transaction() as connection:
        notes, placed = Notes(), []
        for n, start in enumerate(range(0, len(model), at_once)):
            if n in restarts:
                notes.forget()
            placed += put(connection, notes, model[start : start + at_once])
            skip(connection, gaps[n] if n < len(gaps) else 0)
        assert model_of(placed) == noted(connection)


def test_one_commit_may_go_over_several_blocks() -> None:
    with opened() as database, database.transaction() as connection:
        model = [row(n, source_ip=f"2001:db8::{n % 99:x}", finished_at_ms=T0 + n * 500) for n in range(2 * BLOCK + 7)]
        assert model_of(put(connection, Notes(), model)) == noted(connection)


def test_what_is_noted_already_is_not_written_again() -> None:
    with opened() as database, database.transaction() as connection:
        notes = Notes()
        put(connection, notes, [row(1)])
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        notes.add(connection, [2, 3], Columns.of([row(2), row(3)]))
        assert [] == statements


def test_notes_of_a_transaction_that_failed_are_made_again_once_they_are_forgotten() -> None:
    with opened() as database:
        notes = Notes()
        connection = database.connection
        connection.execute("BEGIN")
        put(connection, notes, [row(1)])
        connection.execute("ROLLBACK")
        notes.forget()
        with database.transaction():
            assert model_of(put(connection, notes, [row(1)])) == noted(connection)


def test_a_block_is_dropped_with_its_last_record_and_noted_anew_if_another_comes() -> None:
    with opened() as database, database.transaction() as connection:
        notes = Notes()
        first, second = put(connection, notes, [row(1), row(2, status=404)])
        connection.execute("DELETE FROM record WHERE seq = ?", (first[0],))
        notes.drop_empty(connection, [0])
        assert model_of([first, second]) == noted(connection)
        connection.execute("DELETE FROM record WHERE seq = ?", (second[0],))
        notes.drop_empty(connection, [0])
        assert (set(), set()) == noted(connection)
        assert model_of(put(connection, notes, [row(3)])) == noted(connection)


@settings(deadline=None, max_examples=60)
@given(rows(), GAPS, MOMENTS)
def test_no_record_that_was_asked_for_lies_outside_of_the_places_of_its_time(
    model: list[RecordRow], gaps: list[int], moment: int
) -> None:
    with opened() as database, database.transaction() as connection:
        notes, placed = Notes(), []
        for n, one in enumerate(model):
            placed += put(connection, notes, [one])
            skip(connection, gaps[n] if n < len(gaps) else 0)
        since, until = first_place(connection, moment), last_place(connection, moment)
        assert all(place >= since for place, one in placed if one.finished_at_ms >= moment)
        assert all(place <= until for place, one in placed if one.finished_at_ms < moment)


def test_places_of_a_time_are_few() -> None:
    with opened() as database, database.transaction() as connection:
        assert (LAST_PLACE, 0) == (first_place(connection, T0), last_place(connection, T0))
        put(connection, Notes(), [row(n, finished_at_ms=T0 + n * 1000) for n in range(4 * BLOCK)])
        middle = T0 + 2 * BLOCK * 1000
        assert BLOCK <= first_place(connection, middle) <= 2 * BLOCK <= last_place(connection, middle) < 3 * BLOCK
        assert LAST_PLACE == first_place(connection, T0 + 5 * BLOCK * 1000)
        assert 0 == last_place(connection, T0 - MINUTE_MS)
