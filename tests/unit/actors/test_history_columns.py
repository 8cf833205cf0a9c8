"""Records turned on their side, and cut where a block ends."""

from __future__ import annotations

import pytest

from dispatcher.actors.history_columns import Columns
from dispatcher.actors.messages import RecordRow
from tests.unit.actors.stored import row

MODEL = [row(number, source_ip=f"2001:db8::{number}", record=b"x" * number) for number in range(1, 5)]


def test_a_column_is_what_all_records_have_in_their_order() -> None:
    columns = Columns.of(MODEL)
    for name in RecordRow._fields:
        assert tuple(getattr(one, name) for one in MODEL) == getattr(columns, name)
    assert (1, 2, 3, 4) == columns.size


def test_columns_stand_as_the_members_of_a_row() -> None:
    assert (*RecordRow._fields, "size") == Columns._fields


def test_no_records_have_empty_columns() -> None:
    assert Columns() == Columns.of([])


@pytest.mark.parametrize("at", range(5))
def test_both_halves_of_a_cut_are_columns_too(at: int) -> None:
    assert (Columns.of(MODEL[:at]), Columns.of(MODEL[at:])) == Columns.of(MODEL).cut(at)
