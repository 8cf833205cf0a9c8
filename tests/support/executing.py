"""What every test of the executor needs: an executor that is closed again, an execution, and a bound on the test."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from typing import TYPE_CHECKING, Any, TypeVar

from dispatcher.agent.executor import Executor
from dispatcher.wire.messages import Execute, Result

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

T = TypeVar("T")
_ids = itertools.count(1)


def run(test: Coroutine[Any, Any, T], *, seconds: float = 30.0) -> T:
    """Run an async test, `seconds` at most."""
    return asyncio.run(asyncio.wait_for(test, seconds))


def execution(url: str, *, source: str = "::1", method: str = "GET", timeout: float = 5.0, **rest: Any) -> Execute:
    """Make an execution with an id of its own."""
    body = rest.pop("body", None)
    known_id = rest.pop("id", f"x{next(_ids)}")
    return Execute(
        id=known_id,
        source=source,
        method=method,
        url=url,
        timeout=timeout,
        has_body=body is not None,
        body=body or b"",
        **rest,
    )


@contextlib.asynccontextmanager
async def executor(kind: type[Executor] = Executor, **options: Any) -> AsyncIterator[Executor]:
    """An executor for the length of a test."""
    made = kind(**options)
    try:
        yield made
    finally:
        made.close()


def echoed(result: Result) -> dict[str, Any]:
    """What the echo target saw."""
    assert result.error_kind is None, result.error_detail
    seen: dict[str, Any] = json.loads(result.body)
    return seen


@contextlib.asynccontextmanager
async def watched_loop(every: float = 0.005) -> AsyncIterator[list[float]]:
    """Measure the loop's stalls: the list gets how many seconds each tick came late."""
    late: list[float] = []
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []

    def tick(due: float) -> None:
        late.append(loop.time() - due)
        following = loop.time() + every
        timers[:] = [loop.call_at(following, tick, following)]

    tick(loop.time())
    try:
        yield late
    finally:
        timers[0].cancel()


def elapsed(since: float) -> float:
    """Seconds since a `time.monotonic()`."""
    return time.monotonic() - since
