"""Runs an asynchronous test: with a deadline, with nothing that went wrong behind its back, and with no actor left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pykka

from dispatcher.actors.loop_actor import stop_actor

WAIT = 20.0
"""Seconds that a test waits for what should take milliseconds."""


def on_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `test` on a loop of its own and stop the actors that it started."""
    asyncio.run(_bounded(test))


async def _bounded(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    try:
        async with asyncio.timeout(WAIT):
            await test()
    finally:
        for ref in reversed(pykka.ActorRegistry.get_all()):
            await stop_actor(ref)
    assert [] == faults


async def turns(count: int = 5) -> None:
    """Let the loop turn, so that actors have handled what was told before and what they told each other."""
    for _ in range(count):
        await asyncio.sleep(0)
