"""libcurl's transfers and their time on the loop, with real handles and a target of this process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pycurl

from dispatcher.afterwards import Afterwards
from dispatcher.agent.transfers import driver as module
from tests.support.driving import fetching
from tests.support.executing import run
from tests.support.targets import Echo, Hanging

if TYPE_CHECKING:
    import pytest


def test_each_transfer_ends_once_and_with_its_own_number() -> None:
    async def test() -> None:
        async with Echo() as target, Hanging() as slow:
            with fetching(target.url()) as good, fetching(slow.url()) as bad:
                handles = {good.start() for _ in range(20)}
                assert handles == {(await good.end())[0] for _ in handles}
                failing = bad.start(milliseconds=30)
                assert (failing, pycurl.E_OPERATION_TIMEDOUT) == await bad.end()
                assert good.ended.empty()
                assert bad.ended.empty()

    run(test())


def test_a_later_time_limit_does_not_put_off_an_earlier_one() -> None:
    async def test() -> None:
        async with Hanging() as slow:
            with fetching(slow.url()) as made:
                first = made.start(milliseconds=40)
                await asyncio.wait_for(slow.seen.wait(), 5)
                made.start(milliseconds=60_000)
                assert (first, pycurl.E_OPERATION_TIMEDOUT) == await made.end()

    run(test())


def test_an_earlier_time_limit_counts_though_a_later_one_was_first() -> None:
    async def test() -> None:
        async with Hanging() as slow:
            with fetching(slow.url()) as made:
                made.start(milliseconds=60_000)
                await asyncio.wait_for(slow.seen.wait(), 5)
                second = made.start(milliseconds=40)
                assert (second, pycurl.E_OPERATION_TIMEDOUT) == await made.end()

    run(test())


def test_transfers_that_end_together_are_all_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_ENDED", 1)

    async def test() -> None:
        async with Hanging() as slow:
            with fetching(slow.url()) as made:
                handles = {made.start(milliseconds=50) for _ in range(10)}
                assert handles == {(await made.end())[0] for _ in handles}

    run(test())


def test_what_an_end_causes_is_done_at_the_end_of_the_turn_that_tells_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with Hanging() as slow:
            with fetching(slow.url()) as made:
                here = Afterwards.here()
                withins: asyncio.Queue[int] = asyncio.Queue()

                def note(handle: pycurl.Curl, _number: int, _: str) -> None:
                    made.multi.remove_handle(handle)
                    withins.put_nowait(here._depth)

                monkeypatch.setattr(made.driver, "_ended", note)
                made.start(milliseconds=50)
                assert 1 == await asyncio.wait_for(withins.get(), 5)
                made.add(milliseconds=50)
                made.driver.begin()
                assert 1 == await asyncio.wait_for(withins.get(), 5)
                assert 0 == here._depth

    run(test())


def test_one_that_is_closed_asks_for_nothing_more() -> None:
    async def test() -> None:
        async with Hanging() as slow:
            with fetching(slow.url()) as made:
                made.start(milliseconds=20)
                await asyncio.wait_for(slow.seen.wait(), 5)
            assert made.ended.empty()

    run(test())


def test_what_begins_because_something_has_ended_begins_in_the_same_turn() -> None:
    async def test() -> None:
        async with Echo() as target:
            with fetching(target.url()) as made:
                scheduled: list[object] = []

                def go_on(handle: pycurl.Curl, number: int, _: str) -> None:
                    made.multi.remove_handle(handle)
                    if len(made.handles) < 5:
                        made.add()
                        scheduled.append(made.driver._next_turn)
                    else:
                        made.ended.put_nowait((handle, number))

                made.driver._ended = go_on
                made.start()
                assert made.driver._next_turn is not None
                assert 0 == (await asyncio.wait_for(made.ended.get(), 5))[1]
                assert [None] * 4 == scheduled
                assert 5 == len(target.requests)

    run(test())


def test_a_fault_of_those_who_are_told_keeps_nothing_from_beginning(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with Echo() as target:
            with fetching(target.url()) as made:
                told = made.driver._ended

                def fail(handle: pycurl.Curl, number: int, said: str) -> None:
                    made.driver._ended = told
                    made.add()
                    told(handle, number, said)
                    raise ValueError("a fault")

                made.driver._ended = fail
                made.start()
                assert 0 == (await made.end())[1]
                assert 0 == (await made.end())[1]
                made.start()
                assert 0 == (await made.end())[1]

    run(test())
    assert ["ValueError"] == [record.exc_info[0].__name__ for record in caplog.records if record.exc_info]  # type: ignore[union-attr]  # it has one
    caplog.clear()
