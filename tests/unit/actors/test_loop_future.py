"""The future of an ask: one answer, from any thread, and one wake-up of the loop for many."""

from __future__ import annotations

import asyncio
import gc
import inspect
import queue
import threading
import weakref
from typing import Any

import pykka
import pytest

from dispatcher.actors.loop_future import LoopFuture
from tests.unit.loops import WAIT, on_loop, turns


def test_pykkas_futures_have_what_ours_implements() -> None:
    future = pykka.Future[Any]()
    assert future._get_hook is None
    future.set_get_hook(lambda _: 1)
    assert (1, False) == (future.get(), future._get_hook is None)
    assert {"timeout"} == set(inspect.signature(pykka.Future.get).parameters) - {"self"}
    own = {name for name in vars(pykka.ThreadingFuture) if not name.startswith("_")}
    assert {"get", "set", "set_exception", "set_get_hook"} == own


def test_a_future_takes_one_answer() -> None:
    future = LoopFuture()
    future.set(1)
    for take in (future.set, future.set_exception):
        with pytest.raises(queue.Full):
            take(None)
    assert 1 == future.get()


def test_a_future_blocks_a_thread_until_its_answer_or_the_end_of_the_time() -> None:
    future = LoopFuture()
    with pytest.raises(pykka.Timeout, match=r"0\.01 seconds"):
        future.get(timeout=0.01)
    threading.Timer(0.05, future.set, args=("late",)).start()
    assert "late" == future.get(timeout=WAIT)
    mapped = LoopFuture()
    mapped.set_get_hook(lambda _: "by a hook")
    assert (True, "by a hook") == (mapped.has_answer, mapped.get(timeout=0))


def test_a_future_of_the_loop_may_be_waited_for_by_another_thread() -> None:
    async def test() -> None:
        future = LoopFuture()
        waiting = asyncio.create_task(asyncio.to_thread(future.get, timeout=WAIT))
        await turns()
        future.set("there")
        assert "there" == await waiting

    on_loop(test)


def test_the_loop_is_woken_once_for_all_that_a_thread_answers_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        wake_ups: list[Any] = []
        wake_up = loop.call_soon_threadsafe

        def counted(callback: Any, *arguments: Any, **how: Any) -> Any:
            wake_ups.append(callback)
            return wake_up(callback, *arguments, **how)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        for _ in range(2):
            futures = [LoopFuture() for _ in range(100)]
            thread = threading.Thread(target=lambda asked=futures: [each.set(1) for each in asked])
            thread.start()
            thread.join(WAIT)  # the loop stands still until all are answered
            async with asyncio.timeout(WAIT):
                await asyncio.gather(*(each.answered for each in futures if each.answered is not None))
            assert [1] * 100 == [each.get(timeout=0) for each in futures]
        assert 2 == len(wake_ups)

    on_loop(test)


def test_an_answer_that_comes_when_the_loop_is_closed_is_dropped() -> None:
    future: LoopFuture | None = None

    async def make() -> None:
        nonlocal future
        future = LoopFuture()

    asyncio.run(make())
    assert future is not None
    thread = threading.Thread(target=future.set, args=(1,))
    thread.start()
    thread.join(WAIT)
    assert future.get(timeout=0) == 1


def test_a_loop_is_not_kept_by_what_woke_it() -> None:
    async def make() -> LoopFuture:
        return LoopFuture()

    loop = asyncio.new_event_loop()
    future = loop.run_until_complete(make())
    thread = threading.Thread(target=future.set, args=(1,))
    thread.start()
    thread.join(WAIT)
    loop.run_until_complete(turns())
    kept = weakref.ref(loop)
    loop.close()
    del loop, future, thread
    gc.collect()
    assert kept() is None
