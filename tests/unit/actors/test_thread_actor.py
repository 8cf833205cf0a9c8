"""Actors with a thread of their own: batches, faults of handlers, the end; and what all this leans on in Pykka."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

import pykka
import pytest
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from dispatcher.actors.loop_actor import ActorFailedError, ask
from dispatcher.actors.loop_future import LoopFuture, Reply
from dispatcher.actors.messages import ReadTotals
from dispatcher.actors.thread_actor import BatchingActor, Request
from tests.unit.actors.stored import WAIT, Hold, answer, held, running


class Echo(BatchingActor):
    """Answers a message with itself, raises it where it is an exception, and notes each batch."""

    max_batch = 3

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[Any]] = []

    def on_batch(self, requests: Sequence[Request]) -> None:
        self.batches.append([request.message for request in requests])
        super().on_batch(requests)

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        if isinstance(message, Hold):
            message.entered.set()
            return message.released.wait(WAIT)
        return self.batches if message == "batches" else message


class FailsInBatches(BatchingActor):
    """Answers the first request of a batch and fails before the second."""

    def on_batch(self, requests: Sequence[Request]) -> None:
        requests[0].answer("early")
        raise ZeroDivisionError("no batch for you")


class Rests(BatchingActor):
    """Has something to do in a pause as long as it is told so, and fails over it the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 0
        self.rests: list[int] = []

    @property
    def idle_seconds(self) -> float | None:
        return 0.001 if self.left else None

    def on_idle(self) -> None:
        self.rests.append(self.left)
        self.left -= 1
        if len(self.rests) == 1:
            raise SystemExit(1)
        if not self.left:
            self.is_done.set()

    def on_receive(self, message: Any) -> Any:
        self.left, self.is_done = message
        return self.rests


class FailsToStop(BatchingActor):
    """Cannot clean up."""

    def on_stop(self) -> None:
        raise SystemExit(1)


def test_all_that_waits_comes_as_one_batch_up_to_the_bound() -> None:
    with running(Echo) as echo:
        with held(echo):
            futures = [echo.ask(number, block=False) for number in range(4)]
        assert [0, 1, 2, 3] == [future.get(timeout=WAIT) for future in futures]
        assert [[0, 1, 2], [3]] == answer(echo, "batches")[1:3]


def test_an_exception_reaches_the_asker_and_the_actor_lives_on() -> None:
    with running(Echo) as echo:
        with pytest.raises(ValueError, match="bad"):
            answer(echo, ValueError("bad"))
        assert 1 == answer(echo, 1)


@pytest.mark.parametrize("fault", [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError()])
def test_no_exception_of_a_handler_ends_other_actors(fault: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    with running(Echo) as echo, running(Echo) as bystander:
        with pytest.raises(ActorFailedError, match=type(fault).__name__) as caught:
            answer(echo, fault)
        assert fault is caught.value.__cause__
        assert (1, 2) == (answer(echo, 1), answer(bystander, 2))
    assert ["ERROR"] == [record.levelname for record in caplog.records]


def test_a_fault_of_one_message_leaves_the_others_of_its_batch_alone(caplog: pytest.LogCaptureFixture) -> None:
    with running(Echo) as echo:
        with held(echo):
            faulty = echo.ask(SystemExit(1), block=False)
            sound = echo.ask(2, block=False)
        assert 2 == sound.get(timeout=WAIT)
        with pytest.raises(ActorFailedError):
            faulty.get(timeout=WAIT)
    assert 1 == len(caplog.records)


def test_a_fault_in_a_told_message_is_logged_and_the_actor_lives_on(caplog: pytest.LogCaptureFixture) -> None:
    with running(Echo) as echo:
        echo.tell(ValueError("bad"))
        assert 1 == answer(echo, 1)
    assert ["a told ValueError failed"] == [record.message for record in caplog.records]


def test_a_batch_that_fails_fails_those_that_have_no_answer_yet(caplog: pytest.LogCaptureFixture) -> None:
    with running(FailsInBatches) as actor:
        assert "early" == answer(actor, "first")
    assert 1 == len(caplog.records)
    futures = [LoopFuture(), LoopFuture()]
    FailsInBatches()._run([Request(Envelope("two", reply_to=future)) for future in futures])
    assert "early" == futures[0].get(timeout=0)
    with pytest.raises(ActorFailedError, match="no batch for you"):
        futures[1].get(timeout=0)


def test_what_waits_for_a_pause_is_done_in_one_whatever_it_raises(caplog: pytest.LogCaptureFixture) -> None:
    is_done = threading.Event()
    with running(Rests) as actor:
        rests = answer(actor, (3, is_done))
        assert is_done.wait(WAIT)
        assert [3, 2, 1] == answer(actor, (0, is_done)) == rests
    assert ["failed over what waited for a pause"] == [one.message.partition(") ")[2] for one in caplog.records]


def test_a_message_that_nobody_takes_is_refused_by_name() -> None:
    with running(BatchingActor) as actor, pytest.raises(TypeError, match="BatchingActor takes no ReadTotals"):
        answer(actor, ReadTotals())


def test_a_stop_takes_effect_after_what_was_sent_before_it_and_before_what_came_later() -> None:
    with running(Echo) as echo:
        with held(echo):
            before = echo.ask("before", block=False)
            stop = echo.stop(block=False)
            after = echo.ask("after", block=False)
        assert "before" == before.get(timeout=WAIT)
        assert stop.get(timeout=WAIT)
        with pytest.raises(pykka.ActorDeadError):
            after.get(timeout=WAIT)


def test_an_actor_that_fails_to_stop_is_stopped_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    with running(FailsToStop) as actor:
        assert actor.stop(timeout=WAIT)
        assert not actor.is_alive()
    assert 1 == len(caplog.records)


def test_an_answer_wakes_the_event_loop() -> None:
    async def talk(echo: pykka.ActorRef[Echo]) -> object:
        return await ask(echo, "hello", timeout=WAIT)  # type: ignore[arg-type]  # Echo takes anything

    with running(Echo) as echo:
        assert "hello" == asyncio.run(talk(echo))


def test_an_answer_for_a_loop_that_is_closed_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    told: list[object] = []

    async def ways_back() -> list[Any]:
        return [LoopFuture(), Reply(lambda *answer: told.append(answer)), LoopFuture(), Reply(lambda *_: None)]

    caplog.set_level(logging.DEBUG, "dispatcher")
    ways = asyncio.run(ways_back())
    for way in ways[:2]:
        Request(Envelope("late", reply_to=way)).answer(1)
    for way in ways[2:]:
        Request(Envelope("late", reply_to=way)).fail(ValueError("too late"))
    assert ([], []) == (told, caplog.records)


def test_a_process_whose_main_thread_ends_is_not_kept_alive() -> None:
    code = "from dispatcher.actors.thread_actor import BatchingActor; BatchingActor.start(); print('started')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT, check=True)
    assert ("started\n", "") == (done.stdout, done.stderr)


def test_pykka_still_calls_the_private_hooks_that_are_overridden() -> None:
    assert {"message", "reply_to"} == set(Envelope.__slots__)
    called = threading.Event()

    class Hooked(pykka.ThreadingActor):
        def _actor_loop_running(self) -> None:
            envelope = self.actor_inbox.get()
            assert isinstance(envelope.message, _ActorStop)
            self._handle_receive(envelope.message)
            assert envelope.reply_to is not None
            envelope.reply_to.set(None)

        def on_stop(self) -> None:
            called.set()

        @staticmethod
        def _create_future() -> pykka.Future[Any]:
            return LoopFuture()

    ref = Hooked.start()
    future = ref.ask(_ActorStop(), block=False)
    assert isinstance(future, LoopFuture)
    assert None is future.get(timeout=WAIT)
    assert called.is_set()
    assert not ref.is_alive()


def test_whoever_asks_just_before_or_after_the_end_is_told_that_the_actor_is_dead() -> None:
    actor = Echo()
    early, late, stop = LoopFuture(), LoopFuture(), LoopFuture()
    actor.actor_inbox.put(Envelope("early", reply_to=early))
    actor._actor_loop_teardown()
    actor.actor_inbox.put(Envelope("told"))
    actor.actor_inbox.put(Envelope("late", reply_to=late))
    actor.actor_inbox.put(Envelope(_ActorStop(), reply_to=stop))
    for future in (early, late):
        with pytest.raises(pykka.ActorDeadError, match="stopped before handling the message"):
            future.get(timeout=0)
    assert None is stop.get(timeout=0)
