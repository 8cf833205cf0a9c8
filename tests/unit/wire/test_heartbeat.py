from __future__ import annotations

import asyncio
import time

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
