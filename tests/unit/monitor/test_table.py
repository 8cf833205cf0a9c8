"""`table.py`: columns go by priority, and widths depend on the window and on the longest names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.monitor import panel_agents, panel_history, panel_pool, table
from dispatcher.monitor.glyphs import UNICODE
from dispatcher.monitor.lines import plain, span
from dispatcher.monitor.table import Column

COLUMNS = (Column("a", 5, 8, 0), Column("b", 5, 10, 2), Column("c", 5, 5, 1, grows=True))


def test_the_least_important_column_goes_first() -> None:
    assert {0: 5, 1: 5, 2: 5} == table.widths(COLUMNS, 17)
    assert {0: 8, 2: 7} == table.widths(COLUMNS, 16)
    assert {0: 8} == table.widths(COLUMNS, 10)


def test_what_is_left_goes_to_the_column_that_grows() -> None:
    assert {0: 8, 1: 10, 2: 80} == table.widths(COLUMNS, 100)


def test_a_column_is_no_wider_than_it_needs_and_no_narrower_than_it_can_be() -> None:
    needed = table.needing(COLUMNS, {"a": 6, "b": 1, "c": 99})
    assert [6, 5, 5] == [column.best for column in needed]
    assert 18 == table.wanted(needed)


@given(st.integers(38, 250))
def test_the_columns_of_every_panel_fill_the_room_and_no_more(room: int) -> None:
    for panel in (panel_agents, panel_history, panel_pool):
        shown = table.widths(panel.COLUMNS, room)
        assert room == sum(shown.values()) + len(shown) - 1
        assert all(width >= panel.COLUMNS[number].low for number, width in shown.items())


def test_only_cells_with_a_place_are_made() -> None:
    cells = (lambda: span("first"), lambda: 1 / 0, lambda: span("third"))
    drawn = table.row(COLUMNS, {0: 5, 2: 5}, cells, UNICODE)  # type: ignore[arg-type]  # the second is not to be called
    assert "first third" == plain(drawn)
