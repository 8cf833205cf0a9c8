"""A Pykka actor that runs on the event loop, and the one crossing between the loop and actors of either kind.

A thread for each actor costs a wait for the interpreter lock at every hop, so the pool and the connections live on
the loop; the actors that wait for a disk keep their threads. What would surprise: nothing may `await` a Pykka future.
The stock one blocks the loop until the answer is there, so `LoopFuture` refuses; `ask()` is the way, with a deadline.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar

import pykka
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from dispatcher.actors.loop_future import LoopFuture, Reply
from dispatcher.actors.loop_inbox import LoopInbox
from dispatcher.afterwards import TURN_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykka import ActorRef

    from dispatcher.actors.messages import Message

R = TypeVar("R")

logger = logging.getLogger(__name__)

ASK_TIMEOUT_SECONDS = 10.0
"""How long an `ask` waits unless told otherwise: far over any answer, far under a user's patience."""

LATE_SECONDS = 0.05
"""How long an answer is looked out for past its deadline: a process that was stopped for long finds all its deadlines
past at once, and an answer that one of them makes is a few turns of the loop behind the deadline of whoever asked."""


class ActorFailedError(Exception):
    """An actor met something that is no ordinary exception while it handled a message."""


async def ask(ref: ActorRef[Any], message: Message[R], *, timeout: float = ASK_TIMEOUT_SECONDS) -> R:  # noqa: ASYNC109 (the deadline is the point of this function)
    """Send `message` and wait for the answer without blocking the loop, `timeout` seconds at most.

    Raises:
        TimeoutError: no answer in time.
        pykka.ActorDeadError: the actor is stopped, or stopped before it came to this message.
        Exception: whatever the actor raised over the message.
    """
    return await _ask(ref, message, timeout)  # type: ignore[no-any-return]  # Message[R] declares its answer


async def stop_actor(ref: ActorRef[Any], *, timeout: float = ASK_TIMEOUT_SECONDS) -> None:  # noqa: ASYNC109 (as above)
    """Stop an actor after the messages it already has, and wait until its `on_stop` is through."""
    try:
        await _ask(ref, _ActorStop(), timeout)
    except pykka.ActorDeadError:
        logger.debug("%s was stopped already", ref)


def ask_then(ref: ActorRef[Any], message: Message[R], then: Callable[[R | None, Exception | None], None]) -> None:
    """Send `message`, and have `then` called once with the answer, or with what `ask` would raise. It raises nothing.

    Where an actor of this loop has the answer at once, that is before this returns. What was said before to any actor
    of this loop is handled before, as it would be in the loop's next turn. There is no deadline.
    """
    inbox = ref.actor_inbox
    if not (isinstance(inbox, LoopInbox) and inbox.catch_up()):
        _ask_later(ref, message, then)
        return
    try:
        response = inbox.handle(message)
    except BaseException as error:  # noqa: BLE001 (whatever the actor raised is the answer)
        then(None, _as_exception(error))
        return
    if isinstance(response, asyncio.Future):
        response.add_done_callback(lambda done: then(*_outcome(done)))
    else:
        then(response, None)


def _ask_later(ref: ActorRef[Any], message: Any, then: Callable[[Any, Any], None]) -> None:
    # As `ActorRef.ask` does it, which gives the answer to a future.
    reply = Reply(then)
    if ref.is_alive():
        ref.actor_inbox.put(Envelope(message, reply_to=reply))  # type: ignore[arg-type]  # it has what is used of one
    else:
        reply.set_exception((pykka.ActorDeadError, pykka.ActorDeadError(f"{ref} not found"), None))


def _outcome(done: asyncio.Future[Any]) -> tuple[Any, Exception | None]:
    if done.cancelled():
        return None, _stand_in(asyncio.CancelledError())
    error = done.exception()
    if error is None:
        return done.result(), None
    return None, _as_exception(error)


async def _ask(ref: ActorRef[Any], message: Any, seconds: float) -> Any:
    future = ref.ask(message, block=False)
    assert isinstance(future, LoopFuture)
    assert future.answered is not None
    await _wait(future.answered, seconds)
    if not future.has_answer:
        await asyncio.sleep(LATE_SECONDS)
        if not future.has_answer:
            raise TimeoutError
    return future.get(timeout=0)


async def _wait(answered: asyncio.Future[None], seconds: float) -> None:
    """Wait until `answered` is done; after `seconds` it is so without an answer."""
    # Not `asyncio.timeout`, which costs three times as much.
    timer = answered.get_loop().call_later(seconds, _give_up, answered)
    try:
        await answered
    finally:
        timer.cancel()


def _give_up(answered: asyncio.Future[None]) -> None:
    if not answered.done():
        answered.set_result(None)


def tell_or_drop(ref: ActorRef[Any], message: Message[Any]) -> bool:
    """Send `message` to an actor that may be dead; False where it was. Telling a dead actor would raise here."""
    try:
        ref.tell(message)
    except pykka.ActorDeadError:
        logger.debug("%s is stopped; dropped %s", ref, type(message).__name__)
        return False
    return True


def tell_at_once(ref: ActorRef[Any], message: Message[Any]) -> None:
    """Send `message` as `tell_or_drop` does, and have it handled before this returns where `ask_then` would."""
    inbox = ref.actor_inbox
    if not (isinstance(inbox, LoopInbox) and inbox.catch_up()):
        tell_or_drop(ref, message)
        return
    try:
        inbox.handle(message)
    except BaseException:  # (as in `LoopActor._handle`)
        logger.exception("%s failed over %s", ref, type(message).__name__)


class _Flag:
    """What an actor needs of a `threading.Event`, which is ten objects for each of thousands of agents."""

    __slots__ = ("_is_set",)

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set


class LoopActor(pykka.Actor):
    """An actor on the event loop that it was started on. Handlers must not wait for anything.

    Two things differ from a stock actor. A handler may return an `asyncio.Future`: the asker gets what that one gets.
    And a message whose handler raises is logged, but the actor lives on: a pool that dies of one message would take
    every gateway with it.
    """

    actor_inbox: LoopInbox

    def __init__(self) -> None:
        """Start with a flag of our own in both places where Pykka looks for it."""
        super().__init__()
        self.actor_stopped = self.actor_ref.actor_stopped = _Flag()  # type: ignore[assignment]  # it does what is used

    @staticmethod
    def _create_actor_inbox() -> LoopInbox:
        return LoopInbox()

    @staticmethod
    def _create_future() -> LoopFuture:
        return LoopFuture()

    def _start_actor_loop(self) -> None:
        self._actor_loop_setup()
        self.actor_inbox.attach(asyncio.get_running_loop(), self._actor_loop_running, self.on_receive)
        if self.actor_stopped.is_set():
            self.actor_inbox.detach()  # it failed to start

    def _actor_loop_running(self) -> None:
        end = time.monotonic() + TURN_SECONDS
        while not self.actor_inbox.empty() and not self.actor_stopped.is_set():
            self._handle(self.actor_inbox.get())
            if time.monotonic() > end:
                self.actor_inbox.schedule()
                return
        if self.actor_stopped.is_set():
            self._actor_loop_teardown()

    def _actor_loop_teardown(self) -> None:
        self.actor_inbox.detach()
        super()._actor_loop_teardown()

    def _handle(self, envelope: Envelope[Any]) -> None:
        try:
            response = self._handle_receive(envelope.message)
        except BaseException as error:  # noqa: BLE001 (a BaseException here would stop every actor of the process)
            self._answer_error(envelope, error)
            return
        if envelope.reply_to is None:
            return
        if isinstance(response, asyncio.Future):
            response.add_done_callback(lambda done: _pass_on(done, envelope.reply_to))
        else:
            envelope.reply_to.set(response)

    def _answer_error(self, envelope: Envelope[Any], error: BaseException) -> None:
        if envelope.reply_to is None:
            logger.error("%s failed over %s", self, type(envelope.message).__name__, exc_info=error)
        else:
            envelope.reply_to.set_exception(_exc_info(error))


def _pass_on(done: asyncio.Future[Any], reply_to: pykka.Future[Any] | None) -> None:
    assert reply_to is not None
    if done.cancelled():
        reply_to.set_exception(_exc_info(asyncio.CancelledError()))
    elif (error := done.exception()) is not None:
        reply_to.set_exception(_exc_info(error))
    else:
        reply_to.set(done.result())


def _exc_info(error: BaseException) -> tuple[type[BaseException], BaseException, Any]:
    if not isinstance(error, Exception):
        failed = _stand_in(error)
        return type(failed), failed, None
    return type(error), error, error.__traceback__ or sys.exc_info()[2]


def _as_exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else _stand_in(error)


def _stand_in(error: BaseException) -> ActorFailedError:
    """Make what an asker gets where the handler's own exception would end the asker."""
    failed = ActorFailedError(f"{type(error).__name__} in an actor")
    failed.__cause__ = error
    return failed
