from __future__ import annotations

import asyncio
import os
import re
import selectors
import signal
import subprocess
import sys
import time

import pytest

from dispatcher.lifecycle import Stop, watch_loop
from tests.unit.loops import WAIT, on_loop, turns

WATCHED = "the event loop was held for"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_waited_for(number: signal.Signals) -> None:
    async def test() -> None:
        stop = Stop()
        assert stop.is_set is False
        os.kill(os.getpid(), number)
        await stop.wait()
        assert stop.is_set is True

    on_loop(test)


_WAITS_FOR_EVER = """
import asyncio, threading
from dispatcher.lifecycle import Stop

async def main():
    threading.Thread(target=threading.Event().wait).start()
    stop = Stop()
    print("ready", flush=True)
    await stop.wait()
    print("stopping", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_the_second_signal_ends_a_process_with_0_whatever_its_threads_do() -> None:
    argv = [sys.executable, "-c", _WAITS_FOR_EVER]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for expected, number in (("ready\n", signal.SIGTERM), ("stopping\n", signal.SIGINT)):
                assert expected == process.stdout.readline()
                process.send_signal(number)
            _, said = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (0, "ended at once by a second signal\n") == (process.returncode, said)


def work(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def _watched(hold_loop: float, warn_seconds: float) -> None:
    watching = asyncio.create_task(watch_loop(warn_seconds))
    await asyncio.sleep(0)
    work(hold_loop)
    await asyncio.wait([watching], timeout=0.1)
    watching.cancel()


def test_a_stall_is_told_with_the_work_that_was_in_it(caplog: pytest.LogCaptureFixture) -> None:
    on_loop(lambda: _watched(0.2, 0.05))
    told = re.fullmatch(WATCHED + r" (\d+) ms \((\d+) ms of work\)", caplog.messages[0])
    assert told is not None
    assert 150 <= int(told[2]) <= int(told[1])


def test_a_loop_that_has_no_processor_is_told_apart_from_one_that_works(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        watching = asyncio.create_task(watch_loop(0.05))
        await asyncio.sleep(0)
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.2)"], check=True)  # noqa: ASYNC221 - the stall
        await asyncio.wait([watching], timeout=0.1)
        watching.cancel()

    on_loop(test)
    told = re.search(r"held for (\d+) ms \((\d+) ms of work\)", caplog.messages[0])
    assert told is not None
    assert int(told[2]) < int(told[1]) / 2


def test_nothing_is_watched_where_nobody_wants_to_be_warned(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        await watch_loop(0.0)

    on_loop(test)
    assert [] == caplog.messages


@pytest.mark.parametrize("warn_seconds", [0.0, 0.1])
def test_the_lag_is_told_of_every_look_warned_of_or_not(caplog: pytest.LogCaptureFixture, warn_seconds: float) -> None:
    lags: list[float] = []
    looked_twice = asyncio.Event()

    def on_lag(seconds: float) -> None:
        lags.append(seconds)
        if len(lags) == 2:
            looked_twice.set()

    async def test() -> None:
        watching = asyncio.create_task(watch_loop(warn_seconds, on_lag))
        await asyncio.sleep(0)
        work(0.3)
        await looked_twice.wait()
        watching.cancel()

    on_loop(test)
    assert lags[0] > 0.2
    assert min(lags) >= 0.0
    assert (warn_seconds > 0) == (WATCHED in caplog.text)


class CountingSelector(selectors.DefaultSelector):
    """Counts the turns of its loop, each of which asks it once."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.turns += 1
        return super().select(timeout)


def test_a_look_takes_one_turn_of_the_loop() -> None:
    selector = CountingSelector()
    begun: list[int] = []

    async def test() -> None:
        looked = asyncio.Event()

        def on_lag(_: float) -> None:
            begun.append(selector.turns)
            if len(begun) == 11:
                looked.set()

        watching = asyncio.create_task(watch_loop(0.01, on_lag))
        async with asyncio.timeout(WAIT):
            await looked.wait()
        watching.cancel()

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(test())
    assert 10 == begun[10] - begun[0]


def test_a_watch_that_is_ended_looks_no_more() -> None:
    lags: list[float] = []

    async def test() -> None:
        watching = asyncio.create_task(watch_loop(1e-9, lags.append))  # looks in each turn
        await turns(20)
        assert lags
        watching.cancel()
        await asyncio.wait([watching])
        lags.clear()
        await turns(20)
        assert [] == lags

    on_loop(test)
