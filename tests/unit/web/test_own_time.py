"""`own_time.py`: the steps of a task are counted, and what it waits for is not."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from dispatcher.web.own_time import OwnTime


def test_steps_are_counted_and_waiting_is_not() -> None:
    async def two_steps() -> str:
        await asyncio.sleep(0)
        return "done"

    async def run() -> None:
        # Each look at this clock is a second later, so a step takes one second.
        ticks = itertools.count()
        timed = OwnTime(two_steps(), clock=lambda: float(next(ticks)))
        assert "done" == await timed
        assert 2.0 == timed.seconds

    asyncio.run(run())


def test_what_the_coroutine_raises_goes_through_and_is_counted() -> None:
    async def fails() -> None:
        raise ValueError("broken")

    async def run() -> None:
        timed = OwnTime(fails())
        with pytest.raises(ValueError, match="broken"):
            await timed
        assert timed.seconds > 0

    asyncio.run(run())


def test_an_error_of_what_it_waits_for_reaches_the_coroutine() -> None:
    async def survives(future: asyncio.Future[None]) -> str:
        try:
            await future
        except OSError as error:
            return str(error)
        return "no error"

    async def run() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, OSError("gone"))
        assert "gone" == await OwnTime(survives(future))

    asyncio.run(run())


def test_a_cancellation_reaches_the_coroutine() -> None:
    cleaned = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    async def run() -> None:
        async def timed() -> None:
            await OwnTime(waits())

        task = asyncio.create_task(timed())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [True] == cleaned

    asyncio.run(run())
