"""Totals against a plain count of the rows, through any split into transactions."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.actors import history_tables
from dispatcher.actors.database import Database
from dispatcher.actors.history_totals import Totals
from dispatcher.actors.messages import HistoryTotals, RecordRow
from tests.unit.actors.stored import row, rows


def test_there_are_no_totals_before_the_first_record() -> None:
    assert HistoryTotals({}, {}, {}, None, None, None, None) == Totals().describe()


def test_a_record_without_a_time_is_counted_but_not_timed() -> None:
    totals = Totals.of([row(1, total_ms=None)])
    assert ({"completed": 1}, None) == (totals.describe().by_outcome, totals.describe().max)


@settings(deadline=None, max_examples=50)
@given(rows(), st.integers(1, 7))
def test_totals_in_memory_and_after_a_restart_equal_the_model(model: list[RecordRow], at_once: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        in_memory = Totals()
        with closing(Database(Path(name), "history", history_tables.MIGRATIONS)) as database:
            for start in range(0, len(model), at_once):
                batch = Totals.of(model[start : start + at_once])
                with database.transaction() as connection:
                    batch.add_to(connection)
                in_memory.merge(batch)
        with closing(Database(Path(name), "history", history_tables.MIGRATIONS)) as database:
            restarted = Totals.load(database.connection).describe()
    assert in_memory.describe() == restarted
    assert Counter(str(one.outcome) for one in model) == restarted.by_outcome
    assert Counter(str(one.status) for one in model if one.status) == restarted.by_status
    assert Counter(one.error_kind for one in model if one.error_kind) == restarted.by_error
    assert (len(model), sum(len(one.record) for one in model)) == in_memory.kept
    assert max((one.total_ms for one in model if one.total_ms is not None), default=None) == restarted.max
