"""One execution from its lease to its committed record: steps 2 to 9 of a request's way in the order they happen.

Runs on the event loop, each execution in a task of its own: a caller that goes away does not end what it started,
because the request may have left already and the record must say how it ended. Only one that still waits for its turn
may be abandoned: nothing of it was sent, so it leaves the queue and no record.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pykka

from dispatcher.actors.loop_actor import ask, tell_or_drop
from dispatcher.actors.messages import (
    Ended,
    Lease,
    LeaseEnded,
    LeaseExit,
    NotTaken,
    Outcome,
    RunExecution,
)
from dispatcher.errors import FailureKind, Party
from dispatcher.ids import IdMaker
from dispatcher.record import Record, make_record
from dispatcher.recorder import Recorder, UnrecordedError
from dispatcher.slots import FullError, Slots
from dispatcher.wire.messages import Result

if TYPE_CHECKING:
    from dispatcher.redaction import Redactor
    from dispatcher.request import RequestSpec

logger = logging.getLogger(__name__)

ANSWER_MARGIN_SECONDS = 5.0
"""How much longer than its deadline an answer of `AgentConnection` is waited for; it always comes before."""


LEASES_AT_MOST = 8
"""How many agents may turn out to have just left before an execution gives up. Nothing was sent to any of them."""

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
        self._pool = pool
        self._recorder = Recorder(history, limits.history_body_bytes)
        self._redactor = redactor
        self._limits = limits
        self._on_finished = on_finished
        self._make_id = IdMaker()
        self._slots = Slots(limits.max_in_flight, limits.max_queue)
        self._tasks: dict[asyncio.Task[Record], asyncio.Future[None]] = {}
        self._is_draining = False

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

    def start(self, request: RequestSpec) -> asyncio.Task[Record]:
        """Begin an execution, or put it last in the queue, where its time passes already.

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
        task = asyncio.get_running_loop().create_task(self._run(request, slot))
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
        late = (await asyncio.wait(self._tasks, timeout=seconds))[1] if self._tasks else set()
        await self._recorder.commit_late()
        return not late

    async def check_store(self) -> str | None:
        """Try whether history can be written: None, or why not."""
        return await self._recorder.check()

    async def _run(self, request: RequestSpec, slot: asyncio.Future[None]) -> Record:
        identifier, started_at, begun = self._make_id(), time.time(), time.monotonic()
        waited = await _wait_for(slot, request.timeout)
        if slot.cancelled():
            lease, ended = None, _failed(identifier, FailureKind.TIMEOUT, _TIME_IS_UP, Party.COORDINATOR)
        else:
            await self._demand_store()
            lease, ended = await self._run_at_next_exit(request, identifier, begun)
        result = replace(ended.result, timings=_timings(ended.result, waited, (time.monotonic() - begun) * 1000))
        record = make_record(
            identifier=identifier,
            outcome=ended.outcome,
            exit_used=None if lease is None else (lease.agent_id, lease.address),
            request=request,
            result=result,
            failure=result.failure,
            started_at=started_at,
            # Not the clock again: it may have been set in between.
            finished_at=started_at + (time.monotonic() - begun),
            redactor=self._redactor,
        )
        await self._recorder.commit(record)
        self._on_finished(record)
        return record

    async def _demand_store(self) -> None:
        if self._recorder.problem is not None and (problem := await self.check_store()) is not None:
            raise StoreUnavailableError(problem)

    async def _run_at_next_exit(
        self, request: RequestSpec, identifier: str, begun: float
    ) -> tuple[Lease | None, Ended]:
        lease: Lease | None = None
        reason = ""
        for _ in range(LEASES_AT_MOST):
            lease = await ask(self._pool, LeaseExit())
            if lease is None:
                detail = "no exit is available: no connected agent has a usable address"
                return None, _failed(identifier, FailureKind.NO_EXIT, detail)
            ended = await self._run_at(lease, request, identifier, begun)
            if isinstance(ended, Ended):
                return lease, ended
            reason = ended.reason
        return lease, _failed(identifier, FailureKind.AGENT_LOST, reason)

    async def _run_at(self, lease: Lease, request: RequestSpec, identifier: str, begun: float) -> Ended | NotTaken:
        left = max(0.0, request.timeout - (time.monotonic() - begun))
        execute = request.to_execute(identifier, lease.address, left)
        patience = left + self._limits.grace_seconds + ANSWER_MARGIN_SECONDS
        try:
            ended = await ask(lease.connection, RunExecution(execute), timeout=patience)
        except pykka.ActorDeadError:
            ended = NotTaken(f"agent {lease.agent_id} was removed before the request was sent")
        except Exception:
            # It may have been sent before this went wrong, so nobody knows whether the target got it.
            logger.exception("execution %s failed inside the coordinator", identifier)
            detail = "the coordinator failed over it; its log says more"
            ended = Ended(Outcome.UNKNOWN, _failed(identifier, FailureKind.INTERNAL, detail).result)
        outcome = ended.outcome if isinstance(ended, Ended) else Outcome.FAILED
        tell_or_drop(self._pool, LeaseEnded(lease.agent_id, lease.address, lease.stay, outcome))
        return ended


async def _wait_for(slot: asyncio.Future[None], seconds: float) -> float:
    """Wait for the slot, which is cancelled when the time is up first; return the milliseconds that passed."""
    if slot.done():
        slot.result()
        return 0.0
    begun = time.monotonic()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(slot, seconds)
    return (time.monotonic() - begun) * 1000


def _timings(result: Result, waited: float, total: float) -> dict[str, float]:
    """Add the wait for a turn here to what the agent measured; where none did, what is known is the caller's wait."""
    if not result.timings:
        return {"queued": waited, "total": total}
    if not waited:
        return result.timings
    return {**result.timings, **{name: result.timings.get(name, 0.0) + waited for name in ("queued", "total")}}


def _failed(identifier: str, kind: FailureKind, detail: str, party: Party | None = None) -> Ended:
    return Ended(Outcome.FAILED, Result(id=identifier, error_kind=kind, error_detail=detail, error_party=party))
