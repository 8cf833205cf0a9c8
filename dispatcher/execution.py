"""One execution, from its place among those in flight to its committed record: steps 2 to 9 of a request's way.

Runs on the event loop, driven by callbacks: it goes on when what it waited for is there, without a task of its own,
which would cost as much as all else of it. What would surprise: only where it has to wait for its place or for the
store, before anything is leased, does it take a task. Whatever goes wrong inside ends it too, so each has one end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dispatcher.actors.messages import NotTaken, Outcome, Run
from dispatcher.attempts import failed, lease_ended, may_help, with_wait
from dispatcher.deadlines import Deadlines
from dispatcher.errors import FailureKind, Party
from dispatcher.not_accepted import NoExitError, StoreUnavailableError
from dispatcher.record import Attempt, make_record
from dispatcher.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.actors.messages import Ended, Lease
    from dispatcher.departures import Departures
    from dispatcher.record import Record
    from dispatcher.recorder import Recorder, UnrecordedError
    from dispatcher.redaction import Redactor
    from dispatcher.request import RequestSpec

logger = logging.getLogger(__name__)

ANSWER_MARGIN_SECONDS = 5.0
"""How much longer than its deadline an answer of `AgentConnection` is waited for; it always comes before."""

LEASES_AT_MOST = 8
"""How many agents may turn out to have just left before an attempt gives up. Nothing was sent to any of them."""

_TIME_IS_UP = "the time was up in phase queued, while waiting for a free place among those in flight at the coordinator"
_NO_EXIT = "no exit is available: no connected agent has a usable address that is not set aside"


@dataclass(frozen=True, slots=True)
class Means:
    """What all executions share. `on_recorded` is told of every record that is committed, `on_end` of every end."""

    departures: Departures
    recorder: Recorder
    redactor: Redactor
    make_id: Callable[[], str]
    grace_seconds: float
    on_recorded: Callable[[Record], None]
    on_end: Callable[[Execution], None]
    turns: Turns
    overdue: Deadlines[Execution]


class Execution:
    """One execution. At its one end `record` is there, or `error` says why none is.

    `caller` is whatever whoever began it wants to know it by, and `on_end` what to call then, once all is put in order.
    `on_answer` is called before, when its record is made and on its way to the store: nothing more leaves for it.
    """

    __slots__ = (
        "_attempt_began",
        "_began",
        "_deadline",
        "_id",
        "_is_over",
        "_key",
        "_lease",
        "_leases",
        "_made",
        "_means",
        "_name",
        "_needs_exit",
        "_preparing",
        "_request",
        "_run",
        "_started_at",
        "_waited_ms",
        "caller",
        "error",
        "is_answered",
        "on_answer",
        "on_end",
        "place",
        "record",
    )

    def __init__(  # noqa: PLR0913 (what it is, what it needs, and whom to tell)
        self,
        means: Means,
        request: RequestSpec,
        place: asyncio.Future[None],
        on_end: Callable[[Execution], None],
        caller: Any,
        *,
        on_answer: Callable[[Record], None] | None = None,
        key: str | None = None,
        needs_exit: bool = False,
    ) -> None:
        """Prepare; its time begins to pass.

        Where it `needs_exit` and none is there, its end is a `NoExitError` instead of a record. `key` is the
        `Idempotency-Key` that was claimed for it; its record is tied to it where anything was sent.
        """
        self._means = means
        self._request = request
        self.place = place
        self.on_end = on_end
        self.on_answer = on_answer
        self.is_answered = False
        self.caller = caller
        self._key = key
        self._needs_exit = needs_exit
        self._started_at = time.time()
        self._began = time.monotonic()
        self._deadline = self._began + request.timeout
        self._waited_ms = 0.0
        self._id = self._name = ""
        self._made: list[Attempt] = []
        self._lease: Lease | None = None
        self._run: Run | None = None
        self._is_over = False
        self._preparing: asyncio.Task[None] | None = None
        self.record: Record | None = None
        self.error: Exception | None = None

    def prepare(self, *, store_is_in_doubt: bool) -> bool:
        """Get ready to depart; False where it has to wait first, and departs by itself then."""
        if not store_is_in_doubt and self.place.done() and not self.place.cancelled():
            self._begin()
            return True
        self._preparing = asyncio.get_running_loop().create_task(self._wait())
        return False

    async def _wait(self) -> None:
        try:
            await self._wait_for_place()
            if self.place.cancelled():
                self._begin()
                self._end_in_queue()
                return
            await self._demand_store()
            self._begin()
            self._means.departures.begin((self,))
        except Exception as error:  # noqa: BLE001 (as in `take_lease`)
            self.fail(error)

    async def _wait_for_place(self) -> None:
        """Wait for the place, which is cancelled when the time is up first."""
        place = self.place
        if place.done():
            if not place.cancelled():
                place.result()
            return
        with contextlib.suppress(TimeoutError):
            # Not by `wait_for`: Python 3.11 wakes it some turns after the place is there, and others overtake it.
            async with asyncio.timeout(self._request.timeout):
                await place
        self._waited_ms = (time.monotonic() - self._began) * 1000

    async def _demand_store(self) -> None:
        recorder = self._means.recorder
        if recorder.is_in_doubt and (problem := await recorder.check()) is not None:
            raise StoreUnavailableError(problem)

    def _begin(self) -> None:
        # Not before the waits, where others may overtake: ids are in the order of the leases.
        self._id = self._name = self._means.make_id()
        self._begin_attempt()

    def _end_in_queue(self) -> None:
        ended = failed(self._id, FailureKind.TIMEOUT, _TIME_IS_UP, Party.COORDINATOR)
        self._made.append(Attempt(None, ended.outcome, with_wait(ended.result, self._waited_ms), self._started_at))
        self._conclude()

    # An attempt: a lease, and the run at its agent

    def _begin_attempt(self) -> None:
        self._attempt_began = time.monotonic()
        self._leases = 0

    def _depart_again(self) -> None:
        tried = frozenset(attempt.exit_used for attempt in self._made if attempt.exit_used)
        self._means.departures.begin((self,), tried)

    def take_lease(self, lease: Lease | None) -> Run | None:
        """Take an exit, or the word that there is none; return what its agent is to be given, if anything."""
        self._leases += 1
        try:
            if lease is None:
                self._end_attempt(None, failed(self._name, FailureKind.NO_EXIT, _NO_EXIT))
                return None
            self._lease = lease
            now = time.monotonic()
            left = max(0.0, self._deadline - now)
            self._means.overdue.set(self, now + left + self._means.grace_seconds + ANSWER_MARGIN_SECONDS)
            self._run = Run(self._request.to_execute(self._name, lease.address, left), self._hear_end)
        except Exception as error:  # noqa: BLE001 (nobody else would end it: its place would never be free again)
            self.fail(error)
        return self._run

    def hear_refusal(self, run: Run, refusal: NotTaken) -> None:
        """Nothing was sent: try another exit, if this one has not ended otherwise."""
        lease = self._lease
        if run is not self._run or lease is None:
            return
        try:
            self._let_go(lease, refusal)
            if self._leases < LEASES_AT_MOST:
                self._depart_again()
            else:
                self._end_attempt(lease, failed(self._name, FailureKind.AGENT_LOST, refusal.reason))
        except Exception as error:  # noqa: BLE001 (as in `take_lease`)
            self.fail(error)

    def _hear_end(self, run: Run, ended: Ended) -> None:
        self._means.turns.call(self._take_end, (run, ended))

    def _take_end(self, ended_run: tuple[Run, Ended]) -> None:
        run, ended = ended_run
        lease = self._lease
        if run is not self._run or lease is None:
            return  # it is too late: it was given up
        try:
            self._let_go(lease, ended)
            self._end_attempt(lease, ended)
        except Exception as error:  # noqa: BLE001 (as in `take_lease`)
            self.fail(error)

    def give_up(self) -> None:
        """Wait no longer for an answer that should have come long ago."""
        self.fail(TimeoutError("its agent's connection did not answer"))

    def fail(self, error: Exception) -> None:
        """Something went wrong inside the coordinator. What may have been sent before has its record all the same."""
        if self._run is None:
            self._end(error)
        else:
            self.lose(self._run, error)

    def lose(self, run: Run, error: Exception) -> None:
        """Something went wrong after this run was given: nobody knows whether the target got the request."""
        logger.error("execution %s failed inside the coordinator", self._name, exc_info=error)
        ended = failed(self._name, FailureKind.INTERNAL, "the coordinator failed over it; its log says more")
        self._take_end((run, replace(ended, outcome=Outcome.UNKNOWN)))

    def _let_go(self, lease: Lease, ended: Ended | NotTaken) -> None:
        self._lease = self._run = None
        self._means.overdue.forget(self)
        self._means.departures.lease_ended(lease_ended(lease, ended, self._request, self._means.redactor))

    def _end_attempt(self, lease: Lease | None, ended: Ended) -> None:
        result = ended.result
        if not result.timings:
            # No agent measured it: what is known is how long it was waited for.
            result = replace(result, timings={"total": (time.monotonic() - self._attempt_began) * 1000})
        if self._waited_ms and not self._made:
            result = with_wait(result, self._waited_ms)
        exit_used = None if lease is None else (lease.agent_id, lease.address)
        # Where no other exit is there, how the last attempt failed says more than that.
        if exit_used is not None or not self._made:
            began_at = self._at(self._attempt_began)
            self._made.append(Attempt(exit_used, ended.outcome, result, began_at))
            if self._request.retries and self._may_try_again():
                # An id of its own on the wire: a late answer to the last attempt must not be taken for one to this.
                self._name = f"{self._id}.{len(self._made) + 1}"
                self._begin_attempt()
                self._depart_again()
                return
        self._conclude()

    def _may_try_again(self) -> bool:
        request = self._request
        is_left = len(self._made) <= request.retries
        return is_left and may_help(request, self._made[-1]) and time.monotonic() < self._deadline

    # Its record

    def _conclude(self) -> None:
        attempts = self._made
        last = attempts[-1]
        failure = last.result.failure
        if self._needs_exit and failure is not None and failure.kind is FailureKind.NO_EXIT:
            raise NoExitError(failure.detail)
        self.record = make_record(
            identifier=self._id,
            outcome=last.outcome,
            exit_used=last.exit_used,
            request=self._request,
            result=last.result,
            failure=failure,
            started_at=self._started_at,
            finished_at=self._at(time.monotonic()),
            redactor=self._means.redactor,
            attempts=attempts if self._request.retries else (),
            idempotency_key=self._key and self._key_to_tie(),
        )
        if self.on_answer is not None:
            self.is_answered = True
            self.on_answer(self.record)
        self._means.recorder.keep(self.record, self._kept)

    def _key_to_tie(self) -> str | None:
        return self._key if any(attempt.may_have_been_sent for attempt in self._made) else None

    def _at(self, monotonic: float) -> float:
        """Return a moment in seconds since 1970. Not by the clock: it may have been set since the beginning."""
        return self._started_at + (monotonic - self._began)

    def _kept(self, error: UnrecordedError | None) -> None:
        try:
            if error is None:
                assert self.record is not None
                self._means.on_recorded(self.record)
            self._end(error)
        except Exception as fault:  # noqa: BLE001 (as in `take_lease`)
            self.fail(fault)

    def _end(self, error: Exception | None) -> None:
        if self._is_over:
            logger.error("an execution ended twice", exc_info=error)
            return
        self._is_over = True
        self.error = error
        if error is not None:
            self.record = None
        if self._lease is not None:
            self._let_go(self._lease, NotTaken("the coordinator failed over it"))
        self._means.on_end(self)
