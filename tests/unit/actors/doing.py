"""What the tests of loop actors share: an actor that does what it is told, and the ways to tell it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pykka

from dispatcher.actors.loop_actor import LoopActor, ask_then
from dispatcher.actors.loop_future import LoopFuture
from dispatcher.actors.messages import Message


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


class DoerOnThread(pykka.ThreadingActor):
    """Does what it is told on a thread of its own, and wakes the loop with its answer."""

    _create_future = staticmethod(LoopFuture)

    def on_receive(self, message: Any) -> Any:
        return message.work()


class FailsToStart(Doer):
    """Cannot begin."""

    def on_start(self) -> None:
        raise OSError("no luck")


def hold_the_loop(seconds: float) -> None:
    """Turn in place, as a process that is stopped stands still."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
