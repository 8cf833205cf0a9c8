"""What every test of the executor needs: an executor that is closed again, an execution, and a bound on the test."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from dispatcher.agent.answer import in_full
from dispatcher.agent.executor import Executor
from dispatcher.agent.targets.guard import TargetGuard
from dispatcher.wire.messages import Execute, Result
from tests.support.stalls import collecting_only_what_is_new

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

T = TypeVar("T")
TEST_TARGETS = ("::1", "2001:db8:f::1", "2001:db8::/32")
"""What tests allow as targets: this machine's addresses by name, other machines' as the range they are all in."""
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
    """An executor for the length of a test; it may ask where tests have their targets."""
    options.setdefault("guard", TargetGuard(allow=TEST_TARGETS))
    made = kind(**options)
    try:
        yield made
    finally:
        made.close()


async def executed(made: Executor, asked: Execute) -> Result:
    """Start an execution and return its result in full, which comes once."""
    results: asyncio.Queue[Result] = asyncio.Queue(1)
    made.start(asked, results.put_nowait)
    assert results.empty(), "a result comes after `start` has returned"
    made.begin()
    return in_full(await results.get())


def echoed(result: Result) -> dict[str, Any]:
    """What the echo target saw."""
    assert result.error_kind is None, result.error_detail
    seen: dict[str, Any] = json.loads(result.body)
    return seen


@dataclass
class Stalls:
    """How the loop was held up, in seconds: how late each tick came, and the CPU time used since the one before.

    CPU time does not depend on what else the machine does; but waiting (for a lock, a disk) shows in `late` alone.
    """

    late: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)


@contextlib.asynccontextmanager
async def watched_loop(every: float = 0.005) -> AsyncIterator[Stalls]:
    """Tick `every` so many seconds and measure the loop's stalls."""
    stalls = Stalls()
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []

    def tick(due: float, cpu_before: float) -> None:
        cpu = time.thread_time()
        stalls.late.append(loop.time() - due)
        stalls.busy.append(cpu - cpu_before)
        following = loop.time() + every
        timers[:] = [loop.call_at(following, tick, following, cpu)]

    with collecting_only_what_is_new():
        tick(loop.time(), time.thread_time())
        try:
            yield stalls
        finally:
            timers[0].cancel()


def elapsed(since: float) -> float:
    """Seconds since a `time.monotonic()`."""
    return time.monotonic() - since


@contextlib.contextmanager
def target_process(address: str = "::1") -> Iterator[str]:
    """An echo target in a process of its own; gives its base URL."""
    argv = [sys.executable, "-m", "tests.support.targets", "--address", address]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            word, port = process.stdout.readline().split()
            assert word == "ready"
            yield f"http://[{address}]:{port}"
        finally:
            process.terminate()
