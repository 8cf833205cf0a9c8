"""Actors on the event loop, the way to ask them, and what all this leans on in Pykka."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import threading
from collections.abc import Callable
from typing import Any

import pykka
import pytest
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from dispatcher.actors import loop_actor
from dispatcher.actors.loop_actor import ActorFailedError, ask, stop_actor
from dispatcher.actors.loop_future import BlockingOnLoopError, LoopFuture
from dispatcher.actors.messages import Message
from tests.unit.actors.doing import Do, Doer, DoerOnThread, fail, hold_the_loop, say
from tests.unit.loops import WAIT, on_loop, turns

# What this leans on in Pykka


def test_pykkas_hooks_are_where_we_override_them() -> None:
    for name in ("_create_actor_inbox", "_create_future", "_start_actor_loop"):
        assert name in vars(pykka.Actor)
    actor = vars(pykka.Actor)
    for name in ("_actor_loop_setup", "_actor_loop_running", "_actor_loop_teardown", "_handle_receive", "_stop"):
        assert callable(actor[name])
    assert ["self", "message"] == list(inspect.signature(pykka.Actor._handle_receive).parameters)
    assert issubclass(_ActorStop, object)
    assert {"message", "reply_to"} <= set(inspect.signature(Envelope).parameters)


def test_pykka_asks_the_class_for_the_future_of_an_ask() -> None:
    async def test() -> None:
        ref = Doer.start()
        future = ref.ask(say(1), block=False)
        assert isinstance(future, LoopFuture)
        assert await ask(ref, say(2)) == 2

    on_loop(test)


def test_pykka_runs_the_loop_of_an_actor_only_through_the_hook() -> None:
    async def test() -> None:
        before = threading.active_count()
        Doer.start()
        assert before == threading.active_count()

    on_loop(test)


# Asking


def test_messages_are_handled_in_order_on_the_loops_thread() -> None:
    async def test() -> None:
        ref = Doer.start()
        seen: list[Any] = []
        for number in range(100):
            ref.tell(Do(functools.partial(seen.append, number)))
        assert threading.get_ident() == await ask(ref, Do(threading.get_ident))
        assert list(range(100)) == seen

    on_loop(test)


def test_what_an_actor_raises_is_raised_in_the_asker_and_the_actor_lives_on() -> None:
    async def test() -> None:
        ref = Doer.start()
        with pytest.raises(ZeroDivisionError, match="by nought"):
            await ask(ref, fail(ZeroDivisionError("by nought")))
        assert await ask(ref, say("alive")) == "alive"

    on_loop(test)


def test_what_an_actor_raises_over_a_told_message_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        ref = Doer.start()
        ref.tell(fail(ZeroDivisionError("by nought")))
        assert await ask(ref, say("alive")) == "alive"

    on_loop(test)
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "failed over Do" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
@pytest.mark.parametrize("is_asked", [True, False])
def test_a_base_exception_stops_nobody(error: BaseException, is_asked: bool) -> None:
    async def test() -> None:
        ref, other = Doer.start(), Doer.start()
        if is_asked:
            with pytest.raises(ActorFailedError, match=type(error).__name__) as raised:
                await ask(ref, fail(error))
            assert raised.value.__cause__ is error
        else:
            ref.tell(fail(error))
        assert [1, 2] == [await ask(ref, say(1)), await ask(other, say(2))]

    on_loop(test)


def test_an_answer_that_a_stop_of_the_whole_process_made_late_counts() -> None:
    async def test() -> None:
        ref = Doer.start()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()
        loop.call_later(0.04, answer.set_result, "in time")
        loop.call_later(0.01, hold_the_loop, 0.2)
        assert "in time" == await ask(ref, Do(lambda: answer), timeout=0.05)

    on_loop(test)


def test_an_ask_ends_at_its_deadline_and_a_late_answer_harms_nobody() -> None:
    async def test() -> None:
        ref = Doer.start()
        late: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        with pytest.raises(TimeoutError):
            await ask(ref, Do(lambda: late), timeout=0.01)
        late.set_result("too late")
        await turns()
        assert await ask(ref, say("alive")) == "alive"

    on_loop(test)


def test_an_asker_that_is_cancelled_leaves_the_actor_alone() -> None:
    async def test() -> None:
        ref = Doer.start()
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        asking = asyncio.create_task(ask(ref, Do(lambda: answer)))
        await turns()
        asking.cancel()
        await asyncio.wait([asking])
        answer.set_result("to nobody")
        await turns()
        assert await ask(ref, say("alive")) == "alive"

    on_loop(test)


def test_a_deferred_answer_comes_when_it_is_there() -> None:
    async def test() -> None:
        ref = Doer.start()
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        asking = asyncio.create_task(ask(ref, Do(lambda: answer)))
        assert await ask(ref, say("meanwhile")) == "meanwhile"
        assert not asking.done()
        answer.set_result("now")
        assert await asking == "now"

    on_loop(test)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (lambda future: future.set_exception(ZeroDivisionError("by nought")), ZeroDivisionError),
        (lambda future: future.cancel(), ActorFailedError),
    ],
)
def test_a_deferred_answer_may_be_an_error(end: Callable[[Any], Any], expected: type[Exception]) -> None:
    async def test() -> None:
        ref = Doer.start()
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        asking = asyncio.create_task(ask(ref, Do(lambda: answer)))
        await turns()
        end(answer)
        with pytest.raises(expected):
            await asking

    on_loop(test)


# What must not be done


def test_a_blocking_ask_on_the_loop_raises_at_once() -> None:
    async def test() -> None:
        ref = Doer.start()
        with pytest.raises(BlockingOnLoopError):
            ref.ask(say(1), timeout=5)
        with pytest.raises(BlockingOnLoopError):
            ref.ask(say(1), block=False).get(timeout=5)

    on_loop(test)


def test_a_blocking_stop_on_the_loop_raises_at_once() -> None:
    async def test() -> None:
        with pytest.raises(BlockingOnLoopError):
            Doer.start().stop()

    on_loop(test)


def test_awaiting_a_future_of_an_ask_raises_at_once() -> None:
    async def test() -> None:
        future = Doer.start().ask(say(1), block=False)
        with pytest.raises(BlockingOnLoopError, match=r"use ask\(\)"):
            await future

    on_loop(test)


def test_an_answer_that_is_there_may_be_taken_on_the_loop() -> None:
    async def test() -> None:
        future = Doer.start().ask(say(1), block=False)
        await turns()
        assert future.get() == 1

    on_loop(test)


# Other threads


def test_other_threads_may_tell_and_ask() -> None:
    async def test() -> None:
        ref = Doer.start()
        seen: list[tuple[int, int]] = []

        def work(thread: int) -> int:
            for number in range(200):
                ref.tell(Do(functools.partial(seen.append, (thread, number))))
            answer: Any = ref.ask(say(thread), timeout=WAIT)
            return int(answer)

        assert [0, 1, 2, 3] == await asyncio.gather(*(asyncio.to_thread(work, thread) for thread in range(4)))
        for thread in range(4):
            assert list(range(200)) == [number for by, number in seen if by == thread]

    on_loop(test)


def test_an_actor_on_a_thread_wakes_the_loop_with_its_answer() -> None:
    async def test() -> None:
        ref = DoerOnThread.start()
        assert threading.get_ident() != await ask(ref, Do(threading.get_ident))
        with pytest.raises(ZeroDivisionError):
            await ask(ref, fail(ZeroDivisionError()))
        await stop_actor(ref)

    on_loop(test)


# Turns


def test_an_actor_with_much_to_do_lets_others_have_their_turn() -> None:
    async def test() -> None:
        busy, other = Doer.start(), Doer.start()
        order: list[str] = []

        def work() -> None:
            hold_the_loop(loop_actor.TURN_SECONDS)
            order.append("busy")

        for _ in range(5):
            busy.tell(Do(work))
        other.tell(Do(lambda: order.append("other")))
        await ask(busy, say(None))
        assert ["busy", "other", "busy", "busy", "busy", "busy"] == order

    on_loop(test)


def test_an_unknown_message_is_logged_and_answered_with_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        assert await ask(Doer.start(), Message()) is None

    on_loop(test)
    assert "Unexpected message" in caplog.text
