"""Many deadlines and one timer."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

from dispatcher.deadlines import LATE_A_TURN, Alarm, Deadlines, sort_out
from tests.unit.loops import on_loop, turns

NEVER = 1000.0


def late(test: Callable[[Deadlines[int], asyncio.Queue[int], float], Any]) -> None:
    async def with_deadlines() -> None:
        told: asyncio.Queue[int] = asyncio.Queue()
        await test(Deadlines(told.put_nowait), told, time.monotonic())

    on_loop(with_deadlines)


def test_each_is_told_of_when_its_time_has_come_and_not_before() -> None:
    async def test(deadlines: Deadlines[int], told: asyncio.Queue[int], now: float) -> None:
        for number, seconds in ((3, 0.06), (1, 0.02), (0, NEVER), (2, 0.04)):
            deadlines.set(number, now + seconds)
        for number, seconds in ((1, 0.02), (2, 0.04), (3, 0.06)):
            assert number == await told.get()
            assert time.monotonic() >= now + seconds - 0.001

    late(test)


def test_one_that_was_forgotten_is_never_told_of() -> None:
    async def test(deadlines: Deadlines[int], told: asyncio.Queue[int], now: float) -> None:
        deadlines.set(1, now + 0.01)
        deadlines.set(2, now + 0.02)
        deadlines.forget(1)
        deadlines.forget(1)
        assert 2 == await told.get()
        assert told.empty()

    late(test)


def test_one_is_told_of_once() -> None:
    async def test(deadlines: Deadlines[int], told: asyncio.Queue[int], now: float) -> None:
        deadlines.set(1, now)
        deadlines.set(2, now + 0.03)
        assert [1, 2] == [await told.get(), await told.get()]
        assert told.empty()

    late(test)


def test_so_many_are_told_of_in_one_turn_and_the_rest_in_the_next() -> None:
    async def test(deadlines: Deadlines[int], told: asyncio.Queue[int], now: float) -> None:
        many = 3 * LATE_A_TURN + 1
        for number in range(many):
            deadlines.set(number, now)
        seen = 0
        while seen < many:
            await asyncio.sleep(0)
            assert told.qsize() - seen <= LATE_A_TURN
            seen = told.qsize()
        assert [*range(many)] == [told.get_nowait() for _ in range(many)]

    late(test)


def test_one_may_be_set_by_another_that_is_late() -> None:
    async def test() -> None:
        told: asyncio.Queue[int] = asyncio.Queue()

        def on_late(number: int) -> None:
            told.put_nowait(number)
            if number < 3:
                deadlines.set(number + 1, time.monotonic())

        deadlines: Deadlines[int] = Deadlines(on_late)
        deadlines.set(1, time.monotonic())
        assert [1, 2, 3] == [await told.get() for _ in range(3)]

    on_loop(test)


def test_an_alarm_rings_once_at_the_earliest_moment_it_was_set_to() -> None:
    async def test() -> None:
        rung: asyncio.Queue[float] = asyncio.Queue()
        past: asyncio.Queue[float] = asyncio.Queue()
        alarm, later = Alarm(rung.put_nowait), Alarm(past.put_nowait)
        assert math.inf == alarm.rings_at
        soon = time.monotonic() + 0.02
        for when in (soon + 0.001, soon, soon + 0.002):
            alarm.set(when)
        later.set(soon + 0.01)
        assert soon == alarm.rings_at
        assert soon <= await rung.get()
        assert math.inf == alarm.rings_at
        await past.get()
        assert rung.empty()
        alarm.set(soon)
        await rung.get()

    on_loop(test)


def test_an_alarm_set_to_never_does_not_ring() -> None:
    async def test() -> None:
        rung: asyncio.Queue[float] = asyncio.Queue()
        alarm = Alarm(rung.put_nowait)
        alarm.set(math.inf)
        await turns()
        assert (math.inf, 0) == (alarm.rings_at, rung.qsize())

    on_loop(test)


def test_what_is_late_comes_in_order_with_the_moment_of_the_next() -> None:
    assert (["a", "c"], 4.0) == sort_out([("a", 3.0), ("b", 5.0), ("c", 1.0), ("d", 4.0)], 3.0)
    assert ([], math.inf) == sort_out([], 3.0)
    many = [(number, 1.0) for number in range(LATE_A_TURN + 1)]
    assert ([*range(LATE_A_TURN)], 1.0) == sort_out(many, 3.0)
