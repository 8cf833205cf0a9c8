"""What follows many ends at once goes on a turn at a time, in order."""

from __future__ import annotations

import asyncio
import itertools

from dispatcher.turns import Turns
from tests.unit.loops import on_loop, turns


def test_one_alone_is_called_at_once() -> None:
    async def test() -> None:
        calls: list[int] = []
        for number in range(3):
            Turns().call(calls.append, number)
            assert [*range(number + 1)] == calls

    on_loop(test)


def test_no_turn_of_the_loop_makes_more_calls_than_it_may_and_all_are_made_in_order() -> None:
    async def test() -> None:
        calls: list[int] = []
        some = Turns(most=4)
        for number in range(18):
            some.call(calls.append, number)
        seen = [len(calls)]
        while len(calls) < 18:
            await asyncio.sleep(0)
            seen.append(len(calls))
        assert all(later - earlier <= 4 for earlier, later in itertools.pairwise(seen)), seen
        assert (4, [*range(18)]) == (seen[0], calls)

    on_loop(test)


def test_what_a_call_asks_for_is_behind_what_waits_already() -> None:
    async def test() -> None:
        calls: list[str] = []
        some = Turns(most=1)

        def call_another(name: str) -> None:
            calls.append(name)
            some.call(calls.append, f"by {name}")

        for name in "abc":
            some.call(call_another, name)
        await turns(20)
        assert ["a", "by a", "b", "c", "by b", "by c"] == calls

    on_loop(test)


def test_a_later_turn_has_room_again() -> None:
    async def test() -> None:
        calls: list[int] = []
        some = Turns(most=2)
        for first in range(0, 10, 2):
            for number in (first, first + 1):
                some.call(calls.append, number)
            assert [*range(first + 2)] == calls
            await turns(2)

    on_loop(test)
