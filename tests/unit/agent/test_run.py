"""What may end the wait of an execution."""

from __future__ import annotations

import asyncio

import pytest

from dispatcher.agent.run import InterruptedRunError, Interruption, Run
from tests.support.executing import execution, run


def make(timeout: float = 5.0) -> Run:
    return Run(execution("http://a.test/", timeout=timeout), "::1", asyncio.get_running_loop())


def test_a_wait_gives_what_it_waited_for() -> None:
    async def test() -> None:
        made = make()
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, 7)
        assert 7 == await made.wait(future)

    run(test())


def test_the_deadline_ends_a_wait() -> None:
    async def test() -> None:
        made = make(timeout=0.02)
        with pytest.raises(InterruptedRunError) as caught:
            await asyncio.wait_for(made.wait(asyncio.get_running_loop().create_future()), 5)
        assert Interruption.DEADLINE == caught.value.why
        assert made.elapsed >= 20_000
        assert made.seconds_left == pytest.approx(0.0, abs=1e-6)

    run(test())


def test_an_interruption_between_two_waits_is_not_lost_and_the_first_counts() -> None:
    async def test() -> None:
        made = make()
        made.interrupt(Interruption.CANCELLED)
        made.interrupt(Interruption.SOURCE_GONE)
        with pytest.raises(InterruptedRunError) as caught:
            await made.wait(asyncio.get_running_loop().create_future())
        assert Interruption.CANCELLED == caught.value.why

    run(test())


def test_an_interruption_after_the_answer_does_not_undo_it() -> None:
    async def test() -> None:
        made = make()
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(made.wait(future))
        await asyncio.sleep(0)
        future.set_result(7)
        made.interrupt(Interruption.CANCELLED)
        assert 7 == await waiting

    run(test())


def test_an_interruption_ends_a_wait_without_a_timer_too() -> None:
    async def test() -> None:
        made = make(timeout=0.01)
        waiting = made.bound(asyncio.get_running_loop().create_future())
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert set() == done
        made.interrupt(Interruption.SOURCE_GONE)
        with pytest.raises(InterruptedRunError):
            await asyncio.wait_for(waiting, 5)

    run(test())


def test_the_phases_of_several_hops_are_added_behind_the_wait_for_a_slot() -> None:
    async def test() -> None:
        made = make()
        made.phases[0] = 7
        made.add_hop((1, 0, 0, 0, 2, 3))
        made.add_hop((0, 0, 0, 1, 3, 4))
        assert [7, 1, 0, 0, 1, 5, 7] == made.phases

    run(test())
