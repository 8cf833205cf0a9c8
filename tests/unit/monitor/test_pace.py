"""`pace.py`: how often frames are drawn, and how long a change waits for its own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.monitor.pace import FRAME_SECONDS, Pace
from dispatcher.web.monitor_feed import TICK_SECONDS


def frames(changes: Sequence[float]) -> list[tuple[float, float]]:
    """Draw at the times of changes, or as soon as may be; return when each frame was drawn, and its first change."""
    pace, drawn = Pace(), [(0.0, 0.0)]
    pace.drawn(0.0)
    for when in changes:
        if when > drawn[-1][0]:
            at = when + pace.wait(when)
            pace.drawn(at)
            drawn.append((at, when))
    return drawn


@given(st.lists(st.floats(0.0001, 0.3), min_size=1, max_size=200))
def test_there_are_never_more_than_eight_frames_in_a_second(pauses: list[float]) -> None:
    times = [at for at, _ in frames(list(accumulate(pauses)))]
    assert 8 >= max(sum(begin <= at < begin + 0.9999 for at in times) for begin in times)


@given(st.lists(st.floats(0.0001, 0.3), min_size=1, max_size=200))
def test_no_change_waits_longer_than_the_pause_between_two_frames(pauses: list[float]) -> None:
    assert FRAME_SECONDS + 0.0001 > max(at - when for at, when in frames(list(accumulate(pauses))))


def test_what_the_feed_tells_is_drawn_when_it_comes_though_a_key_was_pressed_in_between() -> None:
    ticks = [TICK_SECONDS * number for number in range(1, 50)]
    drawn = dict(map(reversed, frames(sorted([*ticks, TICK_SECONDS * 20.4]))))  # type: ignore[arg-type]  # pairs
    assert [] == [tick for tick in ticks if tick != drawn[tick]]
