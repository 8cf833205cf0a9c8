"""What other threads have the loop call: in the turn in which it wakes, in order, and with nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dispatcher.actors import loop_waker
from dispatcher.actors.loop_waker import Waker
from dispatcher.afterwards import Afterwards
from tests.unit.loops import WAIT, on_loop, turns


def elsewhere(work: Callable[[], None]) -> None:
    """Do something in another thread while the loop stands still."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(WAIT)


def descriptors() -> set[str]:
    return {each.name for each in Path("/dev/fd").iterdir()}


def test_a_call_of_another_thread_is_made_in_the_turn_in_which_the_loop_wakes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        waker = Waker.here()
        called: list[str] = []
        reads: list[int] = []
        read = os.read

        def counted(descriptor: int, most: int) -> bytes:
            reads.append(most)
            return read(descriptor, most)

        monkeypatch.setattr(os, "read", counted)
        elsewhere(lambda: waker.call(called.append, "woken"))
        asyncio.get_running_loop().call_soon(called.append, "the turn before")
        await asyncio.sleep(0)  # in which the loop sees it
        assert ["the turn before"] == called
        await asyncio.sleep(0)
        assert ["the turn before", "woken"] == called
        await turns()
        assert 1 == len(reads)

    on_loop(test)


def test_a_loop_is_woken_once_for_all_that_others_ask_for_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        waker = Waker.here()
        writes: list[bytes] = []
        write = os.write

        def counted(descriptor: int, content: bytes) -> int:
            writes.append(content)
            return write(descriptor, content)

        def work() -> None:
            for number in range(100):
                waker.call(called.append, number)

        monkeypatch.setattr(os, "write", counted)
        called: list[int] = []
        for _ in range(2):
            called.clear()
            elsewhere(work)
            assert [] == called
            await turns()
            assert [*range(100)] == called
        assert 2 == len(writes)

    on_loop(test)


def test_no_call_is_missed_and_each_threads_stay_in_order_however_they_meet() -> None:
    each = 2000

    async def test() -> None:
        waker = Waker.here()
        called: list[tuple[int, int]] = []
        done = asyncio.Event()

        def take(thread: int, number: int) -> None:
            called.append((thread, number))
            if len(called) == 3 * each:
                done.set()

        def work(thread: int) -> None:
            for number in range(each):
                waker.call(take, thread, number)

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(3)]
        for thread in threads:
            thread.start()
        await asyncio.wait_for(done.wait(), WAIT)
        for thread in threads:
            thread.join(WAIT)
        for number in range(3):
            assert [*range(each)] == [what for who, what in called if who == number]

    on_loop(test)


def test_the_loop_may_wake_itself() -> None:
    async def test() -> None:
        called: list[int] = []
        Waker.here().call(called.append, 1)
        assert [] == called
        await turns()
        assert [1] == called

    on_loop(test)


def test_the_loop_turns_while_it_makes_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        monkeypatch.setattr(loop_waker, "TURN_SECONDS", -1.0)
        waker = Waker.here()
        order: list[str] = []

        def call() -> None:
            order.append("call")
            asyncio.get_running_loop().call_soon(order.append, "turn")

        for _ in range(3):
            waker.call(call)
        await turns(10)
        assert ["call", "turn"] * 3 == order

    on_loop(test)


def test_what_the_calls_cause_is_done_once_after_all_of_them_in_the_same_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        order: list[str] = []
        done = asyncio.Event()
        make_calls = Waker._make_calls

        def noted(waker: Waker) -> None:
            make_calls(waker)
            order.append("the turn is over")

        def call() -> None:
            order.append("call")
            Afterwards.here().call(finish)

        def finish() -> None:
            order.append("afterwards")
            done.set()

        monkeypatch.setattr(Waker, "_make_calls", noted)
        waker = Waker.here()
        waker.call(call)
        waker.call(call)
        await done.wait()
        assert ["call", "call", "afterwards", "afterwards", "the turn is over"] == order

    on_loop(test)


def test_a_call_that_fails_keeps_no_other_from_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        told: list[dict[str, Any]] = []
        monkeypatch.setattr(asyncio.get_running_loop(), "call_exception_handler", told.append)
        called: list[int] = []

        def fail() -> None:
            raise ZeroDivisionError

        Waker.here().call(fail)
        Waker.here().call(called.append, 1)
        await turns()
        assert [1] == called
        assert [("what another thread had the loop call failed", ZeroDivisionError)] == [
            (each["message"], type(each["exception"])) for each in told
        ]

    on_loop(test)


def test_loops_that_are_closed_leave_no_descriptor_behind() -> None:
    async def make() -> None:
        Waker.here()

    gc.disable()  # so that nothing is left to it
    try:
        asyncio.run(make())
        before = descriptors()
        for _ in range(20):
            asyncio.run(make())
        assert before == descriptors()
    finally:
        gc.enable()


def test_a_loop_that_is_closed_has_no_waker_though_it_is_still_known_to_somebody() -> None:
    async def make() -> None:
        Waker.here()

    before = descriptors()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(make())
    loop.close()
    assert before == descriptors()


def test_a_closed_loop_may_still_be_woken_and_leaves_nothing_behind_then() -> None:
    waker: Waker | None = None

    async def make() -> None:
        nonlocal waker
        waker = Waker.here()

    before = descriptors()
    called: list[int] = []
    asyncio.run(make())
    assert waker is not None
    for _ in range(3):
        elsewhere(lambda: waker.call(called.append, 1))
    assert [] == called
    waker = None
    assert before == descriptors()


def test_each_loop_has_a_waker_of_its_own_and_one_only() -> None:
    async def find() -> Waker:
        assert Waker.here() is Waker.here()
        return Waker.here()

    assert asyncio.run(find()) is not asyncio.run(find())


def test_a_loop_is_not_kept_by_its_waker() -> None:
    async def find() -> Waker:
        return Waker.here()

    loop = asyncio.new_event_loop()
    waker = loop.run_until_complete(find())
    kept = weakref.ref(loop)
    loop.close()
    del loop
    gc.collect()
    assert kept() is None
    waker.call(print)


def test_a_process_that_ends_without_closing_its_loop_says_nothing_of_it() -> None:
    code = (
        "import asyncio\n"
        "from dispatcher.actors.loop_waker import Waker\n"
        "async def find():\n    return Waker.here()\n"
        "loop = asyncio.new_event_loop()\n"
        "waker = loop.run_until_complete(find())\n"
        "waker.call(print, 1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT, check=True)
    assert ("", "") == (done.stdout, done.stderr)
