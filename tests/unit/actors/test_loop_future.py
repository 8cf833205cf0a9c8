"""The ways back of an ask: one answer, from any thread, that wakes the loop."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pykka
import pytest

from dispatcher.actors.loop_future import LoopFuture, Reply
from tests.unit.loops import WAIT, on_loop, turns


def elsewhere(work: Callable[[], object]) -> None:
    """Do something in another thread while the loop stands still."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(WAIT)


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


def test_a_future_of_the_loop_that_another_thread_answers_wakes_it() -> None:
    async def test() -> None:
        futures = [LoopFuture() for _ in range(100)]
        elsewhere(lambda: [each.set(1) for each in futures])
        async with asyncio.timeout(WAIT):
            await asyncio.gather(*(each.answered for each in futures if each.answered is not None))
        assert [1] * 100 == [each.get(timeout=0) for each in futures]

    on_loop(test)


def test_an_answer_that_comes_when_the_loop_is_closed_is_dropped() -> None:
    future: LoopFuture | None = None

    async def make() -> None:
        nonlocal future
        future = LoopFuture()

    asyncio.run(make())
    assert future is not None
    elsewhere(functools.partial(future.set, 1))
    assert future.get(timeout=0) == 1


def test_a_loop_is_not_kept_by_what_woke_it() -> None:
    async def make() -> LoopFuture:
        return LoopFuture()

    loop = asyncio.new_event_loop()
    future = loop.run_until_complete(make())
    elsewhere(functools.partial(future.set, 1))
    loop.run_until_complete(turns())
    kept = weakref.ref(loop)
    loop.close()
    del loop, future
    gc.collect()
    assert kept() is None


class Taken:
    """What the `then` of an `ask_then` was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, BaseException | None]] = []

    def __call__(self, value: Any, error: BaseException | None) -> None:
        self.calls.append((value, error))


def test_a_reply_is_taken_by_the_loop_that_asked_in_the_turn_in_which_it_wakes() -> None:
    async def test() -> None:
        taken = Taken()
        threads: list[int] = []
        reply = Reply(lambda *answer: (taken(*answer), threads.append(threading.get_ident())))
        elsewhere(functools.partial(reply.set, "there"))
        await asyncio.sleep(0)
        assert [] == taken.calls
        await asyncio.sleep(0)
        assert ([("there", None)], [threading.get_ident()]) == (taken.calls, threads)

    on_loop(test)


def test_replies_are_taken_in_the_order_in_which_they_were_given() -> None:
    async def test() -> None:
        taken = Taken()
        replies = [Reply(taken) for _ in range(3)]

        def answer() -> None:
            for number in (2, 0, 1):
                replies[number].set(number)

        elsewhere(answer)
        await turns()
        assert [(2, None), (0, None), (1, None)] == taken.calls

    on_loop(test)


def test_a_reply_may_be_what_went_wrong() -> None:
    async def test() -> None:
        taken = Taken()
        error = ZeroDivisionError("by nought")
        Reply(taken).set_exception((ZeroDivisionError, error, None))
        try:
            raise error
        except ZeroDivisionError:
            Reply(taken).set_exception()
        await turns()
        assert [(None, error)] * 2 == taken.calls

    on_loop(test)


def test_there_is_one_reply() -> None:
    async def test() -> None:
        taken = Taken()
        reply = Reply(taken)
        reply.set(1)
        for take in (reply.set, reply.set_exception):
            with pytest.raises(queue.Full):
                take(None)
        await turns()
        assert [(1, None)] == taken.calls

    on_loop(test)


def test_a_reply_has_what_pykka_uses_of_a_future() -> None:
    assert {"set", "set_exception"} <= set(dir(Reply))
    for name in ("set", "set_exception"):
        assert inspect.signature(getattr(pykka.Future, name)).parameters.keys() == (
            inspect.signature(getattr(Reply, name)).parameters.keys()
        )


def test_a_reply_that_comes_when_the_loop_is_closed_tells_nobody() -> None:
    taken = Taken()

    async def make() -> Reply:
        return Reply(taken)

    reply = asyncio.run(make())
    elsewhere(functools.partial(reply.set, 1))
    assert [] == taken.calls
