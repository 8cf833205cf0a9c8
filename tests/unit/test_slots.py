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


def test_one_that_is_patient_waits_in_order_and_takes_no_room_of_the_queue() -> None:
    async def test() -> None:
        slots = Slots(1, 1)
        first, patient, second = slots.take(), slots.take(is_patient=True), slots.take()
        with pytest.raises(FullError):
            slots.take()
        last = slots.take(is_patient=True)
        assert (1, 3) == (slots.taken, slots.waiting)
        for given, following in ((first, patient), (patient, second), (second, last)):
            assert not following.done()
            slots.give_back(given)
            assert following.done()
        slots.give_back(last)
        assert (0, 0) == (slots.taken, slots.waiting)

    run(test())


def test_one_that_is_patient_and_leaves_the_queue_frees_no_room_that_it_did_not_take() -> None:
    async def test() -> None:
        slots = Slots(1, 1)
        slots.take()
        patient = slots.take(is_patient=True)
        slots.take()
        slots.give_back(patient)
        with pytest.raises(FullError):
            slots.take()

    run(test())
