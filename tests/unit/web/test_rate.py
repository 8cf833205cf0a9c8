"""The executions of each second: the rate of the last minute, and what monitors draw."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.web.rate import KEPT_SECONDS, WINDOW_SECONDS, Rate


class Clock:
    """Seconds that a test turns."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_is_over_the_time_since_the_start_at_first() -> None:
    clock = Clock()
    rate = Rate(clock)
    for _ in range(30):
        rate.add()
    assert 30.0 == rate.per_second
    clock.now += 10
    assert 3.0 == rate.per_second


def test_the_rate_forgets_what_is_older_than_its_window() -> None:
    clock = Clock()
    rate = Rate(clock)
    clock.now += 1000
    rate.add()
    clock.now += WINDOW_SECONDS - 1
    assert 1 / WINDOW_SECONDS == rate.per_second
    clock.now += 1
    assert 0.0 == rate.per_second


@given(st.lists(st.floats(0, 90), max_size=60))
def test_the_rate_is_that_of_a_list_of_all_events(pauses: list[float]) -> None:
    clock = Clock()
    rate = Rate(clock)
    events: list[int] = []
    for pause in pauses:
        clock.now += pause
        rate.add()
        events.append(int(clock.now))
        recent = sum(event > int(clock.now) - WINDOW_SECONDS for event in events)
        assert recent / min(max(int(clock.now) - 1000, 1), WINDOW_SECONDS) == rate.per_second
        assert KEPT_SECONDS >= len(rate._counts) - 1


def test_each_second_has_its_count_once_it_is_over() -> None:
    clock = Clock()
    rate = Rate(clock)
    for seconds, count in ((0.0, 2), (1.5, 3), (3.0, 1)):
        clock.now = 1000.0 + seconds
        for _ in range(count):
            rate.add()
    assert (1003, [2, 3, 0]) == rate.ended(None)


def test_what_ended_since_is_told_once() -> None:
    clock = Clock()
    rate = Rate(clock)
    rate.add()
    second, counts = rate.ended(None)
    assert [] == counts
    clock.now += 2
    assert (1002, [1, 0]) == rate.ended(second)
    assert (1002, []) == rate.ended(1002)


def test_a_long_silence_leaves_zeros_and_no_more_than_is_kept() -> None:
    clock = Clock()
    rate = Rate(clock)
    rate.add()
    clock.now += 10_000
    assert [0] * KEPT_SECONDS == rate.ended(None)[1]
    assert [0] * KEPT_SECONDS == rate.ended(1000)[1]
