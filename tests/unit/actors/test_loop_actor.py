"""Actors on the event loop, the way to ask them, and what all this leans on in Pykka."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pykka
import pytest
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from dispatcher.actors import loop_actor
from dispatcher.actors.loop_actor import (
    ActorFailedError,
    LoopActor,
    ask,
    ask_then,
    stop_actor,
    tell_or_drop,
)
from dispatcher.actors.loop_future import BlockingOnLoopError, LoopFuture
from dispatcher.actors.messages import Message
from tests.unit.loops import WAIT, on_loop, turns


async def ask_at_once(ref: pykka.ActorRef[Any], message: Message[Any]) -> Any:
    """Do as `ask` does with `ask_then`; without a turn of the loop where the answer is there at once."""
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def take(answer: object, error: Exception | None) -> None:
        if error is None:
            answered.set_result(answer)
        else:
            answered.set_exception(error)

    ask_then(ref, message, take)
    return await answered


@dataclass(frozen=True)
class Do(Message[Any]):
    """Have the actor call something and answer with what it returns."""

    work: Callable[[], Any]


def say(value: object) -> Do:
    return Do(lambda: value)


def fail(error: BaseException) -> Do:
    def work() -> None:
        raise error

    return Do(work)


class Doer(LoopActor):
    """Does what it is told, and notes where."""

    def __init__(self, on_stop: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._on_stop = on_stop

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Do):
            return message.work()
        return super().on_receive(message)

    def on_stop(self) -> None:
        self._on_stop()


class FailsToStart(Doer):
    """Cannot begin."""

    def on_start(self) -> None:
        raise OSError("no luck")


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


def hold_the_loop(seconds: float) -> None:
    """Turn in place, as a process that is stopped stands still."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


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


# Asking at once


def test_an_answer_that_is_there_at_once_takes_no_turn_of_the_loop() -> None:
    async def test() -> None:
        ref = Doer.start()
        passed: list[str] = []
        asyncio.get_running_loop().call_soon(passed.append, "a turn")
        assert await ask_at_once(ref, say("at once")) == "at once"
        assert [] == passed

    on_loop(test)


def test_nothing_overtakes_what_was_said_before_to_any_actor() -> None:
    async def test() -> None:
        seen: list[str] = []
        first, second = Doer.start(), Doer.start()
        second.tell(Do(lambda: seen.append("second, told")))
        first.tell(Do(lambda: second.tell(Do(lambda: seen.append("second, told by the first")))))
        first.tell(Do(lambda: seen.append("first, told")))
        await ask_at_once(first, Do(lambda: seen.append("first, asked")))
        await ask_at_once(second, Do(lambda: seen.append("second, asked")))
        assert ["second, told", "first, told", "first, asked", "second, told by the first", "second, asked"] == seen
        await turns()
        assert 5 == len(seen)

    on_loop(test)


def test_an_actor_in_the_midst_of_a_message_takes_no_other() -> None:
    async def test() -> None:
        ref, other = Doer.start(), Doer.start()
        order: list[str] = []

        def work() -> None:
            ask_then(ref, Do(lambda: order.append("asked of itself")), lambda *_: order.append("answered"))
            ask_then(other, Do(lambda: order.append("asked of another")), lambda *_: None)
            ref.tell(Do(lambda: order.append("told")))
            ask_then(other, Do(lambda: order.append("asked again")), lambda *_: None)
            order.append("done")

        await ask_at_once(ref, Do(work))
        await turns()
        ref.tell(Do(work))
        await turns()
        once = ["asked of another", "asked again", "done", "asked of itself", "told", "answered"]
        assert [*once, *once] == order

    on_loop(test)


def test_whoever_asks_at_once_waits_behind_an_actor_with_much_to_do() -> None:
    async def test() -> None:
        ref = Doer.start()
        order: list[str] = []

        def work() -> None:
            hold_the_loop(loop_actor.TURN_SECONDS)
            order.append("told")

        for _ in range(3):
            ref.tell(Do(work))
        await ask_at_once(ref, Do(lambda: order.append("asked")))
        assert ["told", "told", "told", "asked"] == order

    on_loop(test)


def test_a_deferred_answer_to_who_asks_at_once_comes_when_it_is_there() -> None:
    async def test() -> None:
        ref = Doer.start()
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        asking = asyncio.create_task(ask_at_once(ref, Do(lambda: answer)))
        await turns()
        assert not asking.done()
        answer.set_result("now")
        assert await asking == "now"
        assert await ask_at_once(ref, Do(lambda: answer)) == "now"

    on_loop(test)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (lambda future: future.set_exception(ZeroDivisionError("by nought")), ZeroDivisionError),
        (lambda future: future.cancel(), ActorFailedError),
    ],
)
def test_a_deferred_answer_to_who_asks_at_once_may_be_an_error(
    end: Callable[[Any], Any], expected: type[Exception]
) -> None:
    async def test() -> None:
        ref = Doer.start()
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        asking = asyncio.create_task(ask_at_once(ref, Do(lambda: answer)))
        await turns()
        end(answer)
        with pytest.raises(expected):
            await asking

    on_loop(test)


@pytest.mark.parametrize(
    ("error", "expected"), [(ZeroDivisionError(), ZeroDivisionError), (SystemExit(1), ActorFailedError)]
)
def test_what_an_actor_raises_at_once_is_raised_in_the_asker(error: BaseException, expected: type[Exception]) -> None:
    async def test() -> None:
        ref = Doer.start()
        with pytest.raises(expected):
            await ask_at_once(ref, fail(error))
        assert await ask_at_once(ref, say("alive")) == "alive"

    on_loop(test)


def test_asking_a_dead_actor_at_once_raises() -> None:
    async def test() -> None:
        ref, dying = Doer.start(), Doer.start()
        await stop_actor(ref)
        dying.stop(block=False)
        for dead in (ref, dying, FailsToStart.start()):
            with pytest.raises(pykka.ActorDeadError):
                await ask_at_once(dead, say(1))

    on_loop(test)


def test_an_actor_on_a_thread_may_be_asked_at_once_too() -> None:
    class OnThread(pykka.ThreadingActor):
        _create_future = staticmethod(LoopFuture)

        def on_receive(self, message: Any) -> Any:
            return message.work()

    async def test() -> None:
        ref = OnThread.start()
        assert threading.get_ident() != await ask_at_once(ref, Do(threading.get_ident))
        await stop_actor(ref)

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


# Dead actors


def test_telling_a_dead_actor_is_dropped_and_asking_it_raises() -> None:
    async def test() -> None:
        ref = Doer.start()
        assert tell_or_drop(ref, say(1))
        await stop_actor(ref)
        assert not tell_or_drop(ref, say(1))
        with pytest.raises(pykka.ActorDeadError):
            await ask(ref, say(1))
        await stop_actor(ref)

    on_loop(test)


def test_an_actor_stops_after_what_it_already_has_and_then_is_gone() -> None:
    async def test() -> None:
        seen: list[str] = []
        ref = Doer.start(lambda: seen.append("on_stop"))
        ref.tell(Do(lambda: seen.append("told")))
        await stop_actor(ref)
        assert ["told", "on_stop"] == seen
        assert [] == pykka.ActorRegistry.get_all()

    on_loop(test)


def test_what_waits_behind_a_stop_is_answered_that_the_actor_is_dead() -> None:
    async def test() -> None:
        ref = Doer.start()
        stopping = asyncio.create_task(stop_actor(ref))
        asking = [asyncio.create_task(ask(ref, say(number))) for number in range(3)]
        stopping_again = asyncio.create_task(stop_actor(ref))
        found = await asyncio.gather(*asking, return_exceptions=True)
        assert [pykka.ActorDeadError] * 3 == [type(one) for one in found]
        await asyncio.gather(stopping, stopping_again)

    on_loop(test)


@pytest.mark.parametrize("error", [ZeroDivisionError(), SystemExit(1), asyncio.CancelledError()])
def test_an_actor_that_fails_to_stop_is_stopped_all_the_same(error: BaseException) -> None:
    def on_stop() -> None:
        raise error

    async def test() -> None:
        ref, other = Doer.start(on_stop), Doer.start()
        waiting = asyncio.create_task(ask(ref, Do(lambda: ref.stop(block=False))))
        await waiting
        await turns()
        assert not ref.is_alive()
        assert await ask(other, say("alive")) == "alive"

    on_loop(test)


def test_an_actor_that_fails_to_start_is_dead() -> None:
    async def test() -> None:
        ref = FailsToStart.start()
        assert not ref.is_alive()
        with pytest.raises(pykka.ActorDeadError):
            await ask(ref, say(1))

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
    class OnThread(pykka.ThreadingActor):
        _create_future = staticmethod(LoopFuture)

        def on_receive(self, message: Any) -> Any:
            return message.work()

    async def test() -> None:
        ref = OnThread.start()
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
            end = time.monotonic() + loop_actor.TURN_SECONDS
            while time.monotonic() < end:
                pass
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
