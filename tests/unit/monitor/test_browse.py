"""`browse.py`: filter, order, cursor and window."""

from __future__ import annotations

import pytest

from dispatcher.monitor import browse
from dispatcher.monitor.state import Browsing, Panel
from tests.unit.monitor.examples import model_with


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("", 99),
        ("TIMEOUT", 14),
        ("!timeout", 85),
        ("path/42", 1),
        ("nothing", 0),
        ("!", 99),
        ("=timeout", 14),
        ("!=timeout", 85),
        ("=time", 0),
        ("=", 99),
    ],
)
def test_a_filter_looks_at_the_whole_row(pattern: str, count: int) -> None:
    assert count == len(browse.rows(model_with(), Panel.HISTORY, Browsing(filter=pattern)))


def test_every_order_has_the_largest_first_where_it_says_so() -> None:
    model = model_with()
    for number, order in enumerate(browse.ORDERS[Panel.AGENTS]):
        keys = [order.key(agent) for agent in browse.rows(model, Panel.AGENTS, Browsing(sort=number))]  # type: ignore[misc]  # agents have keys in all orders
        assert sorted(keys, reverse=order.largest_first) == keys


def test_the_pool_stands_in_rotation_order_at_first() -> None:
    model = model_with()
    assert list(model.exits.values()) == browse.rows(model, Panel.POOL, Browsing())


def test_panels_without_rows_have_none() -> None:
    assert () == tuple(browse.rows(model_with(), Panel.STATS, Browsing()))


@pytest.mark.parametrize(
    ("count", "place", "height", "first"),
    [(5, 0, 10, 0), (100, 0, 10, 0), (100, 50, 10, 45), (100, 99, 10, 90), (0, 0, 5, 0)],
)
def test_the_window_keeps_the_cursor_in_sight_and_is_full(count: int, place: int, height: int, first: int) -> None:
    assert first == browse.window(count, place, height)


def test_a_cursor_whose_row_went_is_at_the_first() -> None:
    rows = browse.rows(model_with(), Panel.AGENTS, Browsing())
    assert 0 == browse.place(rows, "agent-99")
    assert (2, "agent-02") == (browse.place(rows, "agent-02"), browse.cursor_at(rows, 7))
