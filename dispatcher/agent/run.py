"""One execution while the executor has it: from the queue through hop after hop to its one result. Event loop.

Step 6 of a request's way. An execution waits for one thing at a time (a slot, libcurl or the resolver), and goes on
when that calls; the deadline, a cancel and a vanished source all end that one wait, so no state of an execution can
outlive them. What would surprise: there is no task and no future of its own, which would cost more than all the rest;
and the deadline of a transfer is kept by libcurl, whose clock costs less than a timer of the loop's.
"""

from __future__ import annotations

import logging
import operator
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from dispatcher.agent import results
from dispatcher.agent.targets.resolver import why_no_ipv6
from dispatcher.agent.targets.target import ExecutionError
from dispatcher.agent.transfers import curl_errors
from dispatcher.agent.transfers.hop import FirstHops, canonical_sources, next_hop
from dispatcher.errors import Failure, FailureKind, Party
from dispatcher.slots import FullError, Slots
from dispatcher.wire.phases import PHASES

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Sequence

    from dispatcher.agent.targets.guard import TargetGuard
    from dispatcher.agent.transfers.engine import Engine
    from dispatcher.agent.transfers.hop import Hop
    from dispatcher.agent.transfers.transfer import Ending, Transfer
    from dispatcher.wire.messages import Execute, Result

    OnResult = Callable[[Result], None]

log = logging.getLogger(__name__)

_QUEUED, _DNS = PHASES.index("queued"), PHASES.index("dns")


class Interruption(Enum):
    """Why an execution ended early."""

    DEADLINE = "deadline"
    CANCELLED = "cancelled"
    SOURCE_GONE = "source gone"


@dataclass(frozen=True, slots=True)
class Means:
    """What executions are made with, the same for all of an executor's."""

    loop: asyncio.AbstractEventLoop
    slots: Slots
    guard: TargetGuard
    engine: Engine
    ended: Callable[[Run, Result | None], None]
    """Told of each execution once, with its result or, where it was cancelled, None."""
    first_hops: FirstHops = field(default_factory=FirstHops)
    secret_headers: frozenset[str] = frozenset()
    """Names in lower case that no redirect takes to another origin, beside those of `hop.py`."""


@dataclass(slots=True)
class _Wait:
    """A wait for something else than libcurl: in which of `PHASES`, since when (microseconds), and its deadline."""

    phase: int
    since: int
    timer: asyncio.TimerHandle


class Run:
    """An execution under way. `source` is canonical text; `on_result` wants its result.

    `phases` are microseconds of each of `PHASES` but the total.
    """

    __slots__ = (
        "_hops",
        "_is_over",
        "_means",
        "_transfer",
        "_wait",
        "execute",
        "hop",
        "on_result",
        "phases",
        "slot",
        "source",
        "started",
    )

    hop: Hop

    def __init__(self, execute: Execute, on_result: OnResult, means: Means) -> None:
        self.execute = execute
        self.on_result = on_result
        self._means = means
        self.started = time.monotonic()  # the loop's clock
        self.source = ""
        self.slot: asyncio.Future[None] | None = None
        self.phases: Sequence[int] = results.NO_PHASES
        self._transfer: Transfer | None = None
        self._wait: _Wait | None = None
        self._hops = 0
        self._is_over = False

    def elapsed(self, now: float) -> int:
        """Microseconds since it came."""
        return int((now - self.started) * 1_000_000)

    def start(self) -> None:
        """Begin, or wait for a slot. What has failed by then is told in the next turn of the loop."""
        try:
            self.source = canonical_sources[self.execute.source]
            self.hop = self._means.first_hops.of(self.execute)
            self.slot = slot = self._means.slots.take()
            if slot.done():
                self._ask(self.started)
            else:
                self._wait_for(slot, _QUEUED, self._ask_late)
        except Exception as error:  # noqa: BLE001 - an execution has one result, whatever is wrong with us
            self._means.loop.call_soon(self._end, self._failed(error))

    def interrupt(self, why: Interruption) -> None:
        """End it now, whatever it waits for."""
        if self._is_over:
            return
        phase, place = self._stop()
        if why is Interruption.CANCELLED:
            self._end(None)
        elif why is Interruption.SOURCE_GONE:
            detail = f"the source address {self.source} left this machine"
            self._end(self._failed(ExecutionError.of(FailureKind.SOURCE_ADDRESS, detail)))
        else:
            self._end(self._failed(ExecutionError(curl_errors.timeout(phase, place))))

    def add_hop(self, phases: Iterable[int]) -> None:
        """Add the microseconds of one hop, from dns to receive."""
        if self._hops:
            phases = map(operator.add, self.phases[1:], phases)
        self.phases = (self.phases[0], *phases)
        self._hops += 1

    def _ask(self, now: float) -> None:
        """Begin a hop."""
        target = self.hop.target
        refusal = self._means.guard.name_refusals[target.host]
        if refusal is not None:
            raise ExecutionError.of(FailureKind.BLOCKED_TARGET, refusal)
        seconds = self.execute.timeout - (now - self.started)
        if seconds <= 0:
            raise ExecutionError(self._too_late(now))
        self._transfer = self._means.engine.start(self.hop, self.source, self._answered, now=now, seconds=seconds)

    def _too_late(self, now: float) -> Failure:
        """Say whose fault it is that no time is left to begin a hop."""
        if self._hops:
            return curl_errors.timeout(PHASES[_DNS], self.hop.target.place)
        if now > self.started:
            return curl_errors.timeout(PHASES[_QUEUED], "")
        return Failure.of(FailureKind.TIMEOUT, "no time was left when the agent got the request", Party.COORDINATOR)

    def _ask_late(self, _: None) -> None:
        """Begin the first hop, with those who have got their slots at the same time."""
        self._ask(time.monotonic())
        self._means.engine.turn_soon()

    def _answered(self, transfer: Transfer, ending: Ending) -> None:
        """A hop has ended: conclude from it, or go on to the next."""
        self._transfer = None
        try:
            self.add_hop(ending.phases)
            if ending.errno == curl_errors.NO_SUCH_NAME:
                self._explain_name(transfer, ending)
                return
            response = results.response_of(transfer, ending)
            secret = self._means.secret_headers
            following = next_hop(self.hop, response, secret) if self.hop.follow_redirects else None
            if following is not None:
                self._follow(following, transfer.ended)
                return
            result: Result = results.completed(self, response, transfer, ending)
        except Exception as error:  # noqa: BLE001 - as in `start`
            result = self._failed(error)
        self._end(result)

    def _follow(self, hop: Hop, now: float) -> None:
        self.hop = hop
        if self._hops > self.execute.max_redirects:
            detail = f"more than {self.execute.max_redirects} redirects, the last to {hop.target.place}"
            raise ExecutionError.of(FailureKind.HTTP_PROTOCOL, detail)
        self._ask(now)

    def _explain_name(self, transfer: Transfer, ending: Ending) -> None:
        def fail(failure: Failure) -> None:
            raise ExecutionError(failure)

        otherwise = curl_errors.failure_of(ending, transfer)
        self._wait_for(why_no_ipv6(transfer.hop.target.host, otherwise), _DNS, fail)

    def _wait_for(self, future: asyncio.Future[Any], phase: int, then: Callable[[Any], None]) -> None:
        """Call `then` with the result of `future`, which only this run waits for, unless the deadline comes first."""
        deadline = self.started + self.execute.timeout
        timer = self._means.loop.call_at(deadline, self.interrupt, Interruption.DEADLINE)
        self._wait = _Wait(phase, self.elapsed(time.monotonic()), timer)
        future.add_done_callback(lambda done: self._go_on(done, then))

    def _go_on(self, done: asyncio.Future[Any], then: Callable[[Any], None]) -> None:
        if self._is_over:
            return
        self._end_wait()
        try:
            then(done.result())
        except Exception as error:  # noqa: BLE001 - as in `start`
            self._end(self._failed(error))

    def _stop(self) -> tuple[str, str]:
        """Wait no more; return in which phase that was, and for whom."""
        transfer, self._transfer = self._transfer, None
        if transfer is not None:
            ending = self._means.engine.stop(transfer)
            self.add_hop(ending.phases)
            return ending.phase, self.hop.target.place
        phase = self._end_wait()
        return PHASES[phase], self.hop.target.place if phase else ""

    def _end_wait(self) -> int:
        """Count what has been waited; return its phase."""
        wait, self._wait = self._wait, None
        if wait is None:
            return _QUEUED  # it has failed, which is to be told in the next turn
        wait.timer.cancel()
        phases = list(self.phases)
        phases[wait.phase] += self.elapsed(time.monotonic()) - wait.since
        self.phases = phases
        return wait.phase

    def _failed(self, error: Exception) -> Result:
        if isinstance(error, ExecutionError):
            failure = error.failure
        elif isinstance(error, FullError):
            slots = self._means.slots
            detail = f"the agent has {slots.size} transfers and {slots.max_waiting} waiting ones already"
            failure = Failure.of(FailureKind.OVERLOADED, detail)
        else:
            log.error("execution %s failed by a fault of the agent", self.execute.id, exc_info=error)
            failure = Failure.of(FailureKind.INTERNAL, "the agent has a fault; its log says more", Party.AGENT)
        return results.failed(self.execute, failure, self.phases, self.elapsed(time.monotonic()))

    def _end(self, result: Result | None) -> None:
        if not self._is_over:
            self._is_over = True
            self._means.ended(self, result)
