"""The actors that may block: each has a thread of its own and takes all that waits for it as one batch.

Step 9 of a request's way runs here, off the event loop. What would surprise: the thread is a daemon. The coordinator
stops these actors in order, and a stop takes effect after everything that was sent before it; but where the process
ends without that (its main thread failed), a thread that is no daemon would keep it alive for ever. Nothing that was
answered is lost either way, because an answer comes after the commit, and SQLite rolls back what was under way.
"""

from __future__ import annotations

import logging
from queue import Empty
from typing import TYPE_CHECKING, Any, ClassVar

import pykka
from pykka.messages import _ActorStop

from dispatcher.actors.loop_actor import ActorFailedError
from dispatcher.actors.loop_future import LoopFuture
from dispatcher.actors.thread_inbox import ThreadInbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pykka._envelope import Envelope

_log = logging.getLogger(__name__)


class Request:
    """One message of a batch, and the way back to whoever asked. Only the first answer or failure counts."""

    __slots__ = ("_open", "_reply_to", "message")

    def __init__(self, envelope: Envelope[Any]) -> None:
        """Take over the envelope's message and its future."""
        self.message = envelope.message
        self._reply_to = envelope.reply_to
        self._open = True

    def answer(self, value: object) -> None:
        """Give the asker its answer; a message that was told has none."""
        if self._open:
            self._open = False
            if self._reply_to is not None:
                self._reply_to.set(value)

    def fail(self, error: BaseException) -> None:
        """Raise `error` in the asker; log it where nobody asked."""
        if not self._open:
            return
        self._open = False
        if self._reply_to is None:
            _log.error("a told %s failed", type(self.message).__name__, exc_info=error)
        else:
            given = error if isinstance(error, Exception) else _stand_in(error)
            self._reply_to.set_exception((type(given), given, given.__traceback__))


class BatchingActor(pykka.ThreadingActor):
    """An actor whose subclass answers many messages together (`on_batch`) or one after the other (`on_receive`).

    Whatever a handler raises, the actor lives on: Pykka would end it after an exception in a told message, and all
    actors of the process after a `BaseException` in any.
    """

    actor_inbox: ThreadInbox
    use_daemon_thread = True
    max_batch: ClassVar[int] = 256
    """The most messages that one batch takes."""

    @staticmethod
    def _create_actor_inbox() -> ThreadInbox:
        return ThreadInbox()

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return LoopFuture()

    @property
    def idle_seconds(self) -> float | None:
        """After how long without a message `on_idle` is called, as things are now; None: not at all."""
        return None

    def on_idle(self) -> None:
        """Do what waited for a pause."""

    def on_batch(self, requests: Sequence[Request]) -> None:
        """Answer each request, in this order unless a subclass says otherwise."""
        for request in requests:
            self.handle(request)

    def handle(self, request: Request) -> None:
        """Answer one request with what `on_receive` makes of its message."""
        try:
            request.answer(self.on_receive(request.message))
        except BaseException as error:  # noqa: BLE001  (contained: Pykka would stop every actor of the process)
            if not isinstance(error, Exception):
                _log.exception("%s met a %s", self, type(error).__name__)
            request.fail(error)

    def on_receive(self, message: Any) -> Any:
        """Refuse a message that no subclass took.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"{type(self).__name__} takes no {type(message).__name__}")

    def _actor_loop_running(self) -> None:
        while not self.actor_stopped.is_set():
            self._turn()

    def _turn(self) -> None:
        envelopes = self._take_batch()
        if not envelopes:
            self._rest()
            return
        stop = envelopes.pop() if isinstance(envelopes[-1].message, _ActorStop) else None
        if envelopes:
            self._run([Request(envelope) for envelope in envelopes])
        if stop is not None:
            self._end(stop)

    def _take_batch(self) -> list[Envelope[Any]]:
        """Wait for one envelope, then take those that are there already; a stop ends the batch. Empty after a pause."""
        inbox = self.actor_inbox
        try:
            taken = [inbox.get(timeout=self.idle_seconds)]
        except Empty:
            return []
        # This thread alone takes from the inbox, so what it shows stays.
        while not inbox.empty() and len(taken) < self.max_batch and not isinstance(taken[-1].message, _ActorStop):
            taken.append(inbox.get())
        return taken

    def _actor_loop_teardown(self) -> None:
        # Pykka's own answers what is there then, and nobody who comes a moment later.
        self.actor_inbox.close(self._refuse)

    def _refuse(self, envelope: Envelope[Any]) -> None:
        if isinstance(envelope.message, _ActorStop):
            Request(envelope).answer(None)
        elif envelope.reply_to is not None:
            Request(envelope).fail(pykka.ActorDeadError(f"{self.actor_ref} stopped before handling the message"))

    def _run(self, requests: Sequence[Request]) -> None:
        try:
            self.on_batch(requests)
        except BaseException as error:  # noqa: BLE001  (as in `handle`)
            _log.exception("a batch of %s failed", self)
            for request in requests:
                request.fail(_stand_in(error))

    def _rest(self) -> None:
        try:
            self.on_idle()
        except BaseException:  # noqa: BLE001  (as in `handle`)
            _log.exception("%s failed over what waited for a pause", self)

    def _end(self, stop: Envelope[Any]) -> None:
        """Let Pykka unregister the actor and call `on_stop`; the rest of the inbox is told that the actor is dead."""
        try:
            self._handle_receive(stop.message)
        except BaseException:  # noqa: BLE001  (as in `handle`)
            _log.exception("%s did not stop cleanly", self)
        if stop.reply_to is not None:
            stop.reply_to.set(None)


def _stand_in(error: BaseException) -> ActorFailedError:
    """Make what an asker gets where the handler's own exception would end the asker, or be raised in many at once."""
    stand_in = ActorFailedError(f"the handler failed with {type(error).__name__}: {error}")
    stand_in.__cause__ = error
    return stand_in
