from __future__ import annotations

import asyncio
import time

import pytest

from dispatcher.wire.heartbeat import Heartbeat
from tests.unit.loops import on_loop

FAST = 0.02


def test_a_peer_that_answers_pings_is_never_silent() -> None:
    async def test() -> None:
        enough = asyncio.Event()
        pings: list[bytes] = []

        def ping(data: bytes) -> None:
            pings.append(data)
            heartbeat.heard()
            if len(pings) == 5:
                enough.set()

        heartbeat = Heartbeat(ping, interval=FAST, timeout=5.0)
        running = asyncio.create_task(heartbeat.run())
        await enough.wait()
        assert not running.done()
        running.cancel()
        assert [b""] * 5 == pings

    on_loop(test)


def test_a_peer_that_says_nothing_is_silent_after_one_ping() -> None:
    async def test() -> None:
        pings: list[bytes] = []
        heartbeat = Heartbeat(pings.append, interval=FAST, timeout=0.05)
        begun = time.monotonic()
        assert "nothing came for 0.05 s, not even an answer to a ping" == await heartbeat.run()
        assert time.monotonic() - begun >= FAST + 0.05
        assert [b""] == pings

    on_loop(test)


def test_what_came_before_a_ping_is_no_answer_to_it() -> None:
    async def test() -> None:
        heartbeat = Heartbeat(lambda _: None, interval=FAST, timeout=0.05)
        heartbeat.heard()
        assert "nothing came" in await heartbeat.run()

    on_loop(test)


def test_anything_that_comes_after_a_ping_is_a_sign_of_life() -> None:
    async def test() -> None:
        pings: list[bytes] = []
        again = asyncio.Event()

        def ping(data: bytes) -> None:
            pings.append(data)
            if len(pings) == 1:
                asyncio.get_running_loop().call_later(FAST, heartbeat.heard)
            else:
                again.set()

        heartbeat = Heartbeat(ping, interval=FAST, timeout=5.0)
        running = asyncio.create_task(heartbeat.run())
        await again.wait()
        assert 2 == len(pings)
        running.cancel()

    on_loop(test)


def test_a_peer_that_is_asked_and_answers_is_there() -> None:
    async def test() -> None:
        pings: list[bytes] = []

        def ping(data: bytes) -> None:
            pings.append(data)
            asyncio.get_running_loop().call_later(FAST, heartbeat.heard)

        heartbeat = Heartbeat(ping, interval=60.0, timeout=60.0)
        assert await heartbeat.is_answered(10.0) is True
        assert [b""] == pings

    on_loop(test)


def test_what_came_before_the_question_does_not_answer_it() -> None:
    async def test() -> None:
        pings: list[bytes] = []
        heartbeat = Heartbeat(pings.append, interval=60.0, timeout=60.0)
        heartbeat.heard()
        begun = time.monotonic()
        assert await heartbeat.is_answered(0.05) is False
        assert time.monotonic() - begun >= 0.05
        assert [b""] == pings

    on_loop(test)


def test_a_question_between_two_pings_keeps_a_peer_that_answers_it_alive() -> None:
    async def test() -> None:
        pings: list[bytes] = []
        first, again = asyncio.Event(), asyncio.Event()

        def ping(data: bytes) -> None:
            pings.append(data)
            if len(pings) == 1:
                first.set()
            elif len(pings) == 2:
                asyncio.get_running_loop().call_soon(heartbeat.heard)
            else:
                again.set()

        heartbeat = Heartbeat(ping, interval=FAST, timeout=10.0)
        running = asyncio.create_task(heartbeat.run())
        await first.wait()
        assert await heartbeat.is_answered(10.0) is True
        await again.wait()
        assert not running.done()
        running.cancel()

    on_loop(test)


def test_a_ping_that_cannot_be_sent_is_the_askers_to_judge() -> None:
    def ping(_: bytes) -> None:
        raise OSError("the link is gone")

    async def test() -> None:
        with pytest.raises(OSError, match="the link is gone"):
            await Heartbeat(ping, interval=60.0, timeout=60.0).is_answered(10.0)

    on_loop(test)
