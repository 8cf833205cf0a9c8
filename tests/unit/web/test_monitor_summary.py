"""`monitor_summary.py`: the rate of the last minutes, second by second."""

from __future__ import annotations

import pytest

from dispatcher.web import monitor_summary
from dispatcher.web.monitor_summary import RATE_SECONDS, RateSeries


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(monitor_summary, "time", made)
    return made


def test_each_second_has_its_count_once_it_is_over(clock: Clock) -> None:
    series = RateSeries()
    for seconds, count in ((0.0, 2), (1.5, 3), (3.0, 1)):
        clock.now = 1000.0 + seconds
        for _ in range(count):
            series.add()
    assert (1003, [2, 3, 0]) == series.ended(None)


def test_what_ended_since_is_told_once(clock: Clock) -> None:
    series = RateSeries()
    series.add()
    second, counts = series.ended(None)
    assert [] == counts
    clock.now += 2
    assert (1002, [1, 0]) == series.ended(second)
    assert (1002, []) == series.ended(1002)


def test_a_long_silence_leaves_zeros_and_no_more_than_is_kept(clock: Clock) -> None:
    series = RateSeries()
    series.add()
    clock.now += 10_000
    assert [0] * RATE_SECONDS == series.ended(None)[1]
    assert [0] * RATE_SECONDS == series.ended(1000)[1]
