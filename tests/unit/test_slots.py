"""Slots and their queue."""

from __future__ import annotations

import pytest

from dispatcher.slots import FullError, Slots
from tests.support.executing import run


def test_slots_are_given_in_order_and_never_more_than_there_are() -> None:
    async def test() -> None:
        slots = Slots(2, 3)
        asked = [slots.take() for _ in range(5)]
        assert [True, True, False, False, False] == [one.done() for one in asked]
        slots.give_back(asked[1])
        assert [True, False, False] == [one.done() for one in asked[2:]]
        slots.give_back(asked[0])
        assert [True, False] == [one.done() for one in asked[3:]]
        assert (2, 1) == (slots.taken, slots.waiting)

    run(test())


def test_a_full_queue_says_so_at_once() -> None:
    async def test() -> None:
        slots = Slots(1, 1)
        first, _ = slots.take(), slots.take()
        with pytest.raises(FullError):
            slots.take()
        slots.give_back(first)
        assert not slots.take().done()

    run(test())


def test_one_that_gives_up_waiting_makes_room_and_gets_nothing() -> None:
    async def test() -> None:
        slots = Slots(1, 2)
        first, second, third = slots.take(), slots.take(), slots.take()
        slots.give_back(second)
        slots.give_back(first)
        assert (False, True) == (second.done(), third.done())
        slots.give_back(third)
        assert (0, 0) == (slots.taken, slots.waiting)

    run(test())


def test_one_whose_wait_was_cancelled_is_passed_over() -> None:
    async def test() -> None:
        slots = Slots(1, 2)
        first, second, third = slots.take(), slots.take(), slots.take()
        second.cancel()
        slots.give_back(first)
        assert third.done()
        slots.give_back(second)
        slots.give_back(third)
        assert (0, 0) == (slots.taken, slots.waiting)

    run(test())
