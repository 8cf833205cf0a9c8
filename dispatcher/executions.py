"""Starts executions and knows those in flight: steps 2 to 9 of a request's way, each in `execution.py`.

Runs on the event loop. A caller that goes away does not end what it started, because the request may have left already
and the record must say how it ended. Only one that still waits for its turn may be abandoned: nothing of it was sent,
so it leaves the queue and no record.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pykka

from dispatcher.deadlines import Deadlines
from dispatcher.departures import Departures
from dispatcher.execution import Execution, Means
from dispatcher.ids import make_ids
from dispatcher.not_accepted import AbandonedError, DrainingError, NotAcceptedError, OverloadedError
from dispatcher.record import Record
from dispatcher.recorder import Recorder, UnrecordedError
from dispatcher.slots import FullError, Slots
from dispatcher.turns import Turns

if TYPE_CHECKING:
    from dispatcher.meters import Commits
    from dispatcher.redaction import Redactor
    from dispatcher.request import RequestSpec

logger = logging.getLogger(__name__)

OnEnd = Callable[[Execution], None]


class Stoppable(Protocol):
    """What begins executions by itself: a batch."""

    def stop(self, reason: str) -> None:
        """Begin no more of them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds executions.

    `max_in_flight` at once, then `max_queue` that wait; how late an agent may be, and how much of a body history keeps.
    """

    max_in_flight: int
    max_queue: int
    grace_seconds: float
    history_body_bytes: int


class Executions:
    """Starts executions and knows those in flight."""

    def __init__(
        self,
        *,
        pool: pykka.ActorRef[Any],
        history: pykka.ActorRef[Any],
        redactor: Redactor,
        limits: Limits,
        on_finished: Callable[[Record], None],
    ) -> None:
        """Tell `on_finished` of every record once it is committed."""
        self._recorder = Recorder(history, limits.history_body_bytes)
        self._means = Means(
            departures=Departures(pool),
            recorder=self._recorder,
            redactor=redactor,
            make_id=make_ids().__next__,
            grace_seconds=limits.grace_seconds,
            on_recorded=on_finished,
            on_end=self._end,
            turns=Turns(),
            overdue=Deadlines(Execution.give_up),
        )
        self._slots = Slots(limits.max_in_flight, limits.max_queue)
        self._queued: dict[asyncio.Future[Record], Execution] = {}
        self._not_ended = 0
        self._all_ended = asyncio.Event()  # for `drain` alone
        self._is_draining = False
        self._batches: set[Stoppable] = set()

    @property
    def in_flight(self) -> int:
        """How many executions have begun and not ended."""
        return self._slots.taken

    @property
    def queued(self) -> int:
        """How many executions wait for one of those in flight to end."""
        return self._slots.waiting

    @property
    def is_draining(self) -> bool:
        """Whether new executions are refused for good."""
        return self._is_draining

    @property
    def store_is_in_doubt(self) -> bool:
        """Whether what begins now has to wait until the store has been tried."""
        return self._recorder.is_in_doubt

    @property
    def commits(self) -> Commits:
        """What is known of the records on their way into the history."""
        return self._recorder.commits

    def start(self, request: RequestSpec, *, key: str | None = None) -> asyncio.Future[Record]:
        """Begin an execution as `start_for` does, and return its record, or its error, for whoever waits for it."""
        ended: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        execution = self.start_for(ended, request, self._settle, key=key)
        if not execution.place.done():
            self._queued[ended] = execution
        return ended

    def start_for(self, caller: object, request: RequestSpec, on_end: OnEnd, *, key: str | None = None) -> Execution:
        """Begin an execution, or put it last in the queue, where its time passes already.

        `on_end` gets it once, maybe before this returns, when it has its record or an error: `StoreUnavailableError` or
        `AbandonedError` before anything is sent, `UnrecordedError` after. `caller` is the execution's. `key` is the
        `Idempotency-Key` that was claimed for it; its record is tied to it where anything was sent.

        Raises:
            NotAcceptedError: it was not begun.
        """
        if self._is_draining:
            raise DrainingError("the coordinator is shutting down")
        try:
            place = self._slots.take()
        except FullError as error:
            full = (
                f"{self.in_flight} executions are in flight and {self.queued} wait, as many as this coordinator takes"
            )
            raise OverloadedError(full) from error
        execution = Execution(self._means, request, place, on_end, caller, key=key)
        self.begin((execution,))
        return execution

    def take_place(self) -> asyncio.Future[None]:
        """Wait for a place among those in flight, in order with all others; done when `make` may take it.

        To be asked for one at a time, and to be given to `make` or back. Raises `DrainingError`.
        """
        if self._is_draining:
            raise DrainingError("the coordinator is shutting down")
        return self._slots.take(is_patient=True)

    def return_place(self, place: asyncio.Future[None]) -> None:
        """Give back a place of `take_place` that was not used, whether it is there yet or not."""
        self._slots.give_back(place)

    def make(  # noqa: PLR0913 (what it is, and whom to tell)
        self,
        request: RequestSpec,
        place: asyncio.Future[None],
        caller: object,
        *,
        on_answer: Callable[[Record], None],
        on_end: OnEnd,
        needs_exit: bool,
    ) -> Execution:
        """Make an execution for a place that is there; `on_end` gets it once it has its record, or an error.

        The error may be any that `start_for` may end in; where it `needs_exit` and none is there,
        `NoExitError` instead of a record that says so. `caller` is the execution's then. `on_answer` gets the record
        before it is committed.
        """
        return Execution(self._means, request, place, on_end, caller, on_answer=on_answer, needs_exit=needs_exit)

    def begin(self, executions: Sequence[Execution]) -> None:
        """Begin executions that were made just now, in this order."""
        if not executions:
            return
        self._not_ended += len(executions)
        is_in_doubt = self._recorder.is_in_doubt
        ready = [execution for execution in executions if execution.prepare(store_is_in_doubt=is_in_doubt)]
        if ready:
            self._means.departures.begin(ready)

    def _end(self, execution: Execution) -> None:
        self._slots.give_back(execution.place)
        self._not_ended -= 1
        if self._is_draining and not self._not_ended:
            self._all_ended.set()
        if execution.error is not None:
            _log(execution.error)
        execution.on_end(execution)

    def _settle(self, execution: Execution) -> None:
        ended: asyncio.Future[Record] = execution.caller
        self._queued.pop(ended, None)
        if ended.done():
            return  # whoever waited has cancelled it
        if execution.error is None:
            assert execution.record is not None
            ended.set_result(execution.record)
        else:
            ended.set_exception(execution.error)
            ended.exception()  # marks it as seen: a caller that went away cannot

    def abandon(self, ended: asyncio.Future[Record]) -> None:
        """Do as `leave_queue` does with what `start` began."""
        execution = self._queued.get(ended)
        if execution is not None:
            self.leave_queue(execution)

    @staticmethod
    def leave_queue(execution: Execution) -> None:
        """Take an execution whose caller went away out of the queue; one that has begun goes on to its record."""
        if not execution.place.done():
            execution.place.set_exception(AbandonedError("its caller went away while it waited"))

    def add_batch(self, batch: Stoppable) -> None:
        """Have a batch stopped when the coordinator drains."""
        self._batches.add(batch)

    def discard_batch(self, batch: Stoppable) -> None:
        """Forget a batch that is over."""
        self._batches.discard(batch)

    async def drain(self, seconds: float) -> bool:
        """Refuse what is new and wait for what is in flight; False where some of it outlasted `seconds`."""
        self._is_draining = True
        for batch in list(self._batches):
            batch.stop("the coordinator is shutting down")
        if self._not_ended:
            self._all_ended.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_ended.wait(), seconds)
        is_in_time = not self._not_ended
        await self._recorder.commit_late()
        return is_in_time

    async def check_store(self) -> str | None:
        """Try whether history can be written: None, or why not."""
        return await self._recorder.check()


def _log(error: Exception) -> None:
    if not isinstance(error, NotAcceptedError | UnrecordedError):  # of those the recorder has told, all at once
        logger.error("an execution failed inside the coordinator", exc_info=error)
