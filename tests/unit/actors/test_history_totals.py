"""Totals against a plain count of the rows, in memory and as a start after any commit finds them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.actors import history_totals
from dispatcher.actors.history_columns import Columns
from dispatcher.actors.history_retention import Kept, Pruned, Retention, prune
from dispatcher.actors.history_tables import add
from dispatcher.actors.history_totals import Totals
from dispatcher.actors.messages import HistoryTotals, RecordRow
from tests.unit.actors.stored import opened, row, rows


def counted(*model: RecordRow) -> Totals:
    totals = Totals()
    totals.count(range(1, len(model) + 1), Columns.of(model))
    return totals


def commit(connection: sqlite3.Connection, totals: Totals, model: Sequence[RecordRow], retention: Retention) -> Totals:
    """Add records, delete what is not kept, and return the totals after it; `totals` stay as they are."""
    after = totals.copy()
    added = add(connection, model)
    after.count(added.places, added.columns)
    pruned = prune(connection, retention, after.kept, 0, 1000)
    after.uncount(pruned)
    after.save(connection, pruned)
    return after


def place_on_disk(connection: sqlite3.Connection) -> int:
    (place,) = connection.execute("SELECT n FROM total WHERE what = 'counted'").fetchone()
    return int(place)


def test_there_are_no_totals_before_the_first_record() -> None:
    assert HistoryTotals({}, {}, {}, None, None, None, None) == Totals().describe()


def test_a_record_without_a_time_is_counted_but_not_timed() -> None:
    totals = counted(row(1, total_ms=None))
    assert ({"completed": 1}, None) == (totals.describe().by_outcome, totals.describe().max)


def test_what_a_failed_transaction_counted_is_not_in_the_totals_that_it_began_with() -> None:
    before = counted(row(1))
    after = before.copy()
    after.count([2], Columns.of([row(2, total_ms=7000, status=404)]))
    after.uncount(Pruned(1, 10))
    assert (counted(row(1)).describe(), Kept(1, len(row(1).record))) == (before.describe(), before.kept)


@settings(deadline=None, max_examples=100)
@given(rows(), st.integers(1, 7), st.integers(1, 12), st.integers(0, 30), st.none() | st.integers(0, 300))
def test_totals_that_a_start_finds_after_any_commit_equal_those_in_memory_and_the_model(
    model: list[RecordRow], at_once: int, most_unsaved: int, max_records: int, max_bytes: int | None
) -> None:
    retention = Retention(max_records, max_bytes)
    with pytest.MonkeyPatch.context() as patch, opened() as database:
        patch.setattr(history_totals, "MOST_UNSAVED", most_unsaved)
        totals = Totals.load(database.connection)
        for start in range(0, len(model), at_once):
            with database.transaction() as connection:
                totals = commit(connection, totals, model[start : start + at_once], retention)
            found = Totals.load(connection)
            assert (totals.describe(), totals.kept) == (found.describe(), found.kept)
            there = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM record").fetchone()
            assert there == totals.kept
    described = totals.describe()
    assert Counter(str(one.outcome) for one in model) == described.by_outcome
    assert Counter(str(one.status) for one in model if one.status) == described.by_status
    assert Counter(one.error_kind for one in model if one.error_kind) == described.by_error
    assert max((one.total_ms for one in model if one.total_ms is not None), default=None) == described.max


def test_numbers_are_written_only_when_they_are_so_far_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_totals, "MOST_UNSAVED", 3)
    everything = Retention(1000)
    with opened() as database, database.transaction() as connection:
        totals, places = Totals.load(connection), []
        for number in range(7):
            totals = commit(connection, totals, [row(number)], everything)
            places.append(place_on_disk(connection))
    assert [0, 0, 3, 3, 3, 6, 6] == places


def test_no_record_is_deleted_that_is_not_counted_on_disk() -> None:
    with opened() as database, database.transaction() as connection:
        totals = commit(connection, Totals.load(connection), [row(1), row(2)], Retention(1000))
        assert 0 == place_on_disk(connection)
        commit(connection, totals, [row(3)], Retention(2))
        assert 3 == place_on_disk(connection)


def test_deleting_what_is_counted_on_disk_writes_only_how_many_are_kept() -> None:
    size = len(row(1).record)
    with opened() as database, database.transaction() as connection:
        model = [row(number) for number in range(history_totals.MOST_UNSAVED)]
        totals = commit(connection, Totals.load(connection), model, Retention(len(model)))
        changes: list[str] = []
        connection.set_trace_callback(changes.append)
        commit(connection, totals, [row(len(model))], Retention(len(model)))
        connection.set_trace_callback(None)
        assert ["UPDATE"] == [text.split()[0] for text in changes if " total " in text]
        found = connection.execute("SELECT value, n FROM total WHERE what = 'kept'").fetchall()
        assert [("bytes", (len(model) - 1) * size), ("records", len(model) - 1)] == found
