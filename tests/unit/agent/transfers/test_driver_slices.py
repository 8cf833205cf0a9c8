"""How long libcurl holds the loop at a time where much is ready; with real handles."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import pycurl

from dispatcher.agent.transfers import driver as module
from tests.support.driving import NotingMulti, fetching
from tests.support.executing import run
from tests.support.targets import Echo

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def test_what_takes_long_leaves_the_loop_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE_SECONDS", -1.0)

    async def test() -> None:
        turns = 0

        def tick() -> None:
            nonlocal turns
            turns += 1
            asyncio.get_running_loop().call_soon(tick)

        async with Echo() as target:
            with fetching(target.url()) as made:
                for _ in range(10):
                    made.start()
                asyncio.get_running_loop().call_soon(tick)
                before = []
                for _ in range(10):
                    await made.end()
                    before.append(turns)
                assert len(set(before)) > 1

    run(test())


async def turns_of_the_loop(noting: NotingMulti, until: Callable[[], bool]) -> list[list[int]]:
    """Turn the loop until something is so, and return the calls of each turn that had some."""
    turns: list[list[int]] = []
    async with asyncio.timeout(5):
        while not until():
            before = len(noting.calls)
            await asyncio.sleep(0)
            turns.append(noting.calls[before:])
    return [calls for calls in turns if calls]


def test_a_turn_of_the_loop_has_no_second_slice_for_what_is_still_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        with fetching("http://[::1]/") as made, contextlib.ExitStack() as stack:
            noting = NotingMulti(made, monkeypatch)
            noting.take_long()
            for _ in range(4):
                near, far = (stack.enter_context(each) for each in socket.socketpair())
                far.send(b"x")  # which nobody takes, so it stays ready
                made.driver._want_socket(pycurl.POLL_IN, near.fileno(), None, None)
            turns = await turns_of_the_loop(noting, lambda: len(noting.calls) >= 20)
            assert [1] * 20 == [len(calls) for calls in turns]

    run(test())


def test_a_time_limit_that_comes_has_no_second_slice_either(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        with fetching("http://[::1]/") as made, contextlib.ExitStack() as stack:
            noting = NotingMulti(made, monkeypatch)
            noting.take_long()
            for _ in range(2):
                near, far = (stack.enter_context(each) for each in socket.socketpair())
                far.send(b"x")
                made.driver._want_socket(pycurl.POLL_IN, near.fileno(), None, None)
            made.driver._look()
            made.driver._timer_fired()
            assert 1 == len(noting.calls)
            await turns_of_the_loop(noting, lambda: len(noting.calls) >= 2)
            assert pycurl.SOCKET_TIMEOUT == noting.calls[1]

    run(test())
