"""Asking an actor of the event loop without a turn of the loop, where nothing is overtaken by it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pykka
import pytest

from dispatcher.actors import loop_actor
from dispatcher.actors.loop_actor import ActorFailedError, ask_then, stop_actor, tell_at_once
from tests.unit.actors.doing import Do, Doer, DoerOnThread, FailsToStart, ask_at_once, fail, hold_the_loop, say
from tests.unit.loops import on_loop, turns


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
    async def test() -> None:
        ref = DoerOnThread.start()
        assert threading.get_ident() != await ask_at_once(ref, Do(threading.get_ident))
        await stop_actor(ref)

    on_loop(test)


def test_what_is_told_at_once_is_handled_before_the_loop_turns_and_after_what_was_told_before() -> None:
    async def test() -> None:
        ref = Doer.start()
        order: list[str] = []
        ref.tell(Do(lambda: order.append("told")))
        tell_at_once(ref, Do(lambda: order.append("told at once")))
        assert ["told", "told at once"] == order

    on_loop(test)


def test_what_is_told_at_once_to_an_actor_in_the_midst_of_a_message_waits_for_its_turn() -> None:
    async def test() -> None:
        ref = Doer.start()
        order: list[str] = []

        def work() -> None:
            tell_at_once(ref, Do(lambda: order.append("told")))
            order.append("done")

        await ask_at_once(ref, Do(work))
        assert ["done"] == order
        await turns()
        assert ["done", "told"] == order

    on_loop(test)


def test_what_an_actor_raises_over_what_it_is_told_at_once_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        ref = Doer.start()
        for error in (ZeroDivisionError("by nought"), SystemExit(1)):
            tell_at_once(ref, fail(error))
        assert await ask_at_once(ref, say("alive")) == "alive"

    on_loop(test)
    found = [one for one in caplog.records if "failed over Do" in one.getMessage()]
    assert [ZeroDivisionError, SystemExit] == [one.exc_info and one.exc_info[0] for one in found]


def test_telling_a_dead_actor_at_once_harms_nobody() -> None:
    async def test() -> None:
        ref = Doer.start()
        await stop_actor(ref)
        order: list[str] = []
        tell_at_once(ref, Do(lambda: order.append("told")))
        await turns()
        assert [] == order

    on_loop(test)


def test_an_actor_on_a_thread_may_be_told_at_once_too() -> None:
    async def test() -> None:
        ref = DoerOnThread.start()
        threads: list[int] = []
        tell_at_once(ref, Do(lambda: threads.append(threading.get_ident())))
        await stop_actor(ref)
        assert len(threads) == 1
        assert threading.get_ident() not in threads

    on_loop(test)
