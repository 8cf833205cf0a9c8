"""`numbers.py`: short and right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.monitor import numbers
from dispatcher.monitor.glyphs import UNICODE


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0.04, "0.0 ms"), (12.34, "12.3 ms"), (99.96, "100 ms"), (999.4, "999 ms"), (1240, "1.24 s"), (30123, "30.1 s")],
)
def test_durations(ms: float, text: str) -> None:
    assert text == numbers.duration(ms)


@given(st.floats(0, 6e6))
def test_a_duration_has_room_in_its_column(ms: float) -> None:
    assert 8 >= len(numbers.duration(ms))


@given(st.integers(0, 10**12 - 1))
def test_a_count_has_room_in_its_column(number: int) -> None:
    assert 4 >= len(numbers.count(number))


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (9999, "9999"), (10_000, "10k"), (999_999, "999k"), (4_500_000, "4.5M")]
)
def test_counts(number: int, text: str) -> None:
    assert text == numbers.count(number)


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0s"), (3.9, "3s"), (119, "119s"), (120, "2m"), (7200, "2h"), (864_000, "10d")]
)
def test_ages(seconds: float, text: str) -> None:
    assert text == numbers.age(seconds)


def test_sizes() -> None:
    assert ["812 B", "4.2 KiB", "10 MiB"] == [numbers.size(size) for size in (812, 4300, 10 * 2**20)]


def test_times_of_day_and_ages_of_timestamps() -> None:
    assert "10:31:02" == numbers.clock("2026-01-01T10:31:02.000Z")
    assert "odd" == numbers.clock("odd")
    assert "60s" == numbers.since("2026-01-01T10:00:00.000Z", 1767261660.0)
    assert "never" == numbers.since("", 1767261660.0)


def test_a_sparkline_shows_the_least_above_nothing_and_fills_its_width() -> None:
    assert " ▁█" == numbers.sparkline([0, 1, 1000], 3, UNICODE.levels)
    assert "  █" == numbers.sparkline([5], 3, UNICODE.levels)
    assert "██" == numbers.sparkline([1, 1, 1, 1], 2, UNICODE.levels)


@given(st.lists(st.integers(0, 10**6), max_size=400), st.integers(0, 80))
def test_a_sparkline_is_never_wider_than_asked(counts: list[int], width: int) -> None:
    assert len(numbers.sparkline(counts, width, UNICODE.levels)) in (0, width)
