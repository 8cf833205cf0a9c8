"""One execution from its place in the queue to its committed record: steps 2 to 9 of a request's way.

Runs on the event loop, each execution in a task of its own: a caller that goes away does not end what it started,
because the request may have left already and the record must say how it ended. Only one that still waits for its turn
may be abandoned: nothing of it was sent, so it leaves the queue and no record.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pykka

from dispatcher.attempts import Attempts, failed, with_wait
from dispatcher.errors import FailureKind, Party
from dispatcher.ids import IdMaker
from dispatcher.record import Attempt, Record, make_record
from dispatcher.recorder import Recorder, UnrecordedError
from dispatcher.slots import FullError, Slots

if TYPE_CHECKING:
    from dispatcher.meters import Commits
    from dispatcher.redaction import Redactor
    from dispatcher.request import RequestSpec

logger = logging.getLogger(__name__)

_TIME_IS_UP = "the time was up in phase queued, while waiting for a free place among those in flight at the coordinator"


class NotAcceptedError(Exception):
    """The execution was not begun; the text says why. Nothing was sent and nothing is recorded."""


class OverloadedError(NotAcceptedError):
    """As many executions as allowed are in flight, and as many as allowed wait."""


class AbandonedError(NotAcceptedError):
    """Its caller went away while it waited for its turn."""


class DrainingError(NotAcceptedError):
    """The coordinator is shutting down."""


class StoreUnavailableError(NotAcceptedError):
    """History cannot be written, so nothing is executed that could not be recorded."""


class NoExitError(NotAcceptedError):
    """No exit is there for an execution of a batch, which can wait for one."""


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
        self._redactor = redactor
        self._limits = limits
        self._on_finished = on_finished
        self._make_id = IdMaker()
        self._attempts = Attempts(pool, limits.grace_seconds)
        self._slots = Slots(limits.max_in_flight, limits.max_queue)
        self._tasks: dict[asyncio.Task[Record], asyncio.Future[None]] = {}
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
    def commits(self) -> Commits:
        """What is known of the records on their way into the history."""
        return self._recorder.commits

    def start(self, request: RequestSpec, *, key: str | None = None) -> asyncio.Task[Record]:
        """Begin an execution, or put it last in the queue, where its time passes already.

        `key` is the `Idempotency-Key` that was claimed for it; its record is tied to it where anything was sent.

        Raises:
            NotAcceptedError: it was not begun. The task itself may raise `StoreUnavailableError` or `AbandonedError`
                before anything is sent, and `UnrecordedError` after.
        """
        if self._is_draining:
            raise DrainingError("the coordinator is shutting down")
        try:
            slot = self._slots.take()
        except FullError as error:
            full = (
                f"{self.in_flight} executions are in flight and {self.queued} wait, as many as this coordinator takes"
            )
            raise OverloadedError(full) from error
        return self._begin(self._run(request, slot, key), slot)

    def take_place(self) -> asyncio.Future[None]:
        """Wait for a place among those in flight, in order with all others; done when `begin` may take it.

        To be asked for one at a time, and to be given to `begin` or back. Raises `DrainingError`.
        """
        if self._is_draining:
            raise DrainingError("the coordinator is shutting down")
        return self._slots.take(is_patient=True)

    def return_place(self, place: asyncio.Future[None]) -> None:
        """Give back a place of `take_place` that was not used, whether it is there yet or not."""
        self._slots.give_back(place)

    def begin(self, request: RequestSpec, place: asyncio.Future[None], *, needs_exit: bool) -> asyncio.Task[Record]:
        """Begin an execution in a place that is there.

        The task may raise what that of `start` may; where it `needs_exit` and none is there, `NoExitError` instead of
        a record that says so.
        """
        return self._begin(self._run(request, place, None, needs_exit=needs_exit), place)

    def add_batch(self, batch: Stoppable) -> None:
        """Have a batch stopped when the coordinator drains."""
        self._batches.add(batch)

    def discard_batch(self, batch: Stoppable) -> None:
        """Forget a batch that is over."""
        self._batches.discard(batch)

    def _begin(self, run: Coroutine[Any, Any, Record], slot: asyncio.Future[None]) -> asyncio.Task[Record]:
        task = asyncio.get_running_loop().create_task(run)
        self._tasks[task] = slot
        task.add_done_callback(self._forget)
        return task

    def abandon(self, task: asyncio.Task[Record]) -> None:
        """Take an execution whose caller went away out of the queue; one that has begun goes on to its record."""
        slot = self._tasks.get(task)
        if slot is not None and not slot.done():
            slot.set_exception(AbandonedError("its caller went away while it waited"))

    def _forget(self, task: asyncio.Task[Record]) -> None:
        self._slots.give_back(self._tasks.pop(task))
        # Looking at the exception marks it as seen: a caller that went away cannot.
        error = None if task.cancelled() else task.exception()
        if isinstance(error, UnrecordedError):
            logger.error("%s", error)
        elif error is not None and not isinstance(error, NotAcceptedError):
            logger.error("an execution failed inside the coordinator", exc_info=error)

    async def drain(self, seconds: float) -> bool:
        """Refuse what is new and wait for what is in flight; False where some of it outlasted `seconds`."""
        self._is_draining = True
        for batch in list(self._batches):
            batch.stop("the coordinator is shutting down")
        late = (await asyncio.wait(self._tasks, timeout=seconds))[1] if self._tasks else set()
        await self._recorder.commit_late()
        return not late

    async def check_store(self) -> str | None:
        """Try whether history can be written: None, or why not."""
        return await self._recorder.check()

    async def _run(
        self, request: RequestSpec, slot: asyncio.Future[None], key: str | None, *, needs_exit: bool = False
    ) -> Record:
        started_at, begun = time.time(), time.monotonic()
        waited_ms = await _wait_for(slot, request.timeout)
        if not slot.cancelled():
            await self._demand_store()
        # Not before the waits, where others may overtake: ids are in the order of the leases.
        identifier = self._make_id()
        if slot.cancelled():
            attempts = [_out_of_time(identifier, started_at, waited_ms)]
        else:
            attempts = await self._attempts.make(request, identifier, started_at, waited_ms)
        last = attempts[-1]
        if needs_exit and last.result.error_kind is FailureKind.NO_EXIT:
            raise NoExitError(last.result.error_detail)
        record = make_record(
            identifier=identifier,
            outcome=last.outcome,
            exit_used=last.exit_used,
            request=request,
            result=last.result,
            failure=last.result.failure,
            started_at=started_at,
            # Not the clock again: it may have been set in between.
            finished_at=started_at + (time.monotonic() - begun),
            redactor=self._redactor,
            attempts=attempts if request.retries else (),
            idempotency_key=key if any(attempt.may_have_been_sent for attempt in attempts) else None,
        )
        await self._recorder.commit(record)
        self._on_finished(record)
        return record

    async def _demand_store(self) -> None:
        if self._recorder.is_in_doubt and (problem := await self.check_store()) is not None:
            raise StoreUnavailableError(problem)


async def _wait_for(slot: asyncio.Future[None], seconds: float) -> float:
    """Wait for the slot, which is cancelled when the time is up first; return the milliseconds that passed."""
    if slot.done():
        slot.result()
        return 0.0
    begun = time.monotonic()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(slot, seconds)
    return (time.monotonic() - begun) * 1000


def _out_of_time(identifier: str, started_at: float, waited_ms: float) -> Attempt:
    ended = failed(identifier, FailureKind.TIMEOUT, _TIME_IS_UP, Party.COORDINATOR)
    return Attempt(None, ended.outcome, with_wait(ended.result, waited_ms), started_at)
