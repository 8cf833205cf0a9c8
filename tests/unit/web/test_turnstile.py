from __future__ import annotations

import asyncio

from dispatcher.web.turnstile import Turnstile
from tests.unit.loops import on_loop


def test_a_few_pass_in_each_turn_and_all_in_their_order() -> None:
    async def test() -> None:
        turnstile, passed = Turnstile(3), list[int]()

        async def come(number: int) -> None:
            await turnstile.pass_through()
            passed.append(number)

        tasks = [asyncio.create_task(come(number)) for number in range(10)]
        counts = []
        while len(passed) < 10:
            before = len(passed)
            await asyncio.sleep(0)
            counts.append(len(passed) - before)
        assert [3, 3, 3, 1] == [count for count in counts if count]
        assert list(range(10)) == passed
        await asyncio.gather(*tasks)

    on_loop(test)


def test_who_comes_alone_passes_at_once_each_time() -> None:
    async def test() -> None:
        turnstile = Turnstile(1)
        for _ in range(3):
            await asyncio.wait_for(turnstile.pass_through(), 10)

    on_loop(test)


def test_who_gives_up_takes_nobodys_turn() -> None:
    async def test() -> None:
        turnstile = Turnstile(1)
        first, second = (asyncio.create_task(turnstile.pass_through()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait_for(second, 10)
        assert first.cancelled()

    on_loop(test)
