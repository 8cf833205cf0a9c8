"""When transfers begin, how many at a time and in which order; with real handles."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pycurl

from dispatcher.agent.transfers import driver as module
from tests.support.driving import NotingMulti, fetching
from tests.support.executing import run
from tests.support.targets import Echo

if TYPE_CHECKING:
    import pytest


def test_of_many_transfers_few_begin_at_a_time_and_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BEGUN", 4)

    async def test() -> None:
        async with Echo() as target:
            with fetching(target.url()) as made:
                noting = NotingMulti(made, monkeypatch)
                handles = [made.start() for _ in range(10)]
                await asyncio.sleep(0)
                late = made.start()
                assert {*handles, late} == {(await made.end())[0] for _ in range(11)}
                begun = [each for each in noting.begun if each]
                assert [4, 4, 3] == [len(each) for each in begun]
                assert [*handles, late] == [handle for each in begun for handle in each]

    run(test())


def test_one_that_is_stopped_before_it_has_begun_never_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BEGUN", 1)

    async def test() -> None:
        async with Echo() as target:
            with fetching(target.url()) as made:
                first, second, third = (made.start() for _ in range(3))
                made.driver.disregard(second)
                made.multi.remove_handle(second)
                assert {first, third} == {(await made.end())[0] for _ in range(2)}
                assert 2 == len(target.requests)
                assert made.ended.empty()

    run(test())


def test_those_that_are_added_together_leave_at_once_when_they_are_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with Echo() as target:
            with fetching(target.url()) as made:
                noting = NotingMulti(made, monkeypatch)
                handles = [made.add() for _ in range(3)]
                assert [] == noting.calls
                made.driver.begin()
                assert [pycurl.SOCKET_TIMEOUT] == noting.calls
                made.driver.begin()
                assert [pycurl.SOCKET_TIMEOUT] == noting.calls
                assert set(handles) == {(await made.end())[0] for _ in handles}

    run(test())


def test_where_a_turn_is_to_come_those_that_are_added_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with Echo() as target:
            with fetching(target.url()) as made:
                noting = NotingMulti(made, monkeypatch)
                first = made.start()
                second = made.add()
                made.driver.begin()
                assert [] == noting.calls
                assert {first, second} == {(await made.end())[0] for _ in range(2)}

    run(test())
