"""What one agent has been given to do, and the one end of each: step 8 of a request's way, on the event loop.

A plain class that `AgentConnection` uses; it knows nothing of links' lives. An execution remembers the link that it was
given on, because an agent that comes back on another one may never have got it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from typing import TYPE_CHECKING

from dispatcher.actors.messages import Ended, Outcome
from dispatcher.deadlines import Alarm, sort_out
from dispatcher.errors import FailureKind
from dispatcher.wire import messages as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from dispatcher.actors.messages import Link, Run
    from dispatcher.wire.codec import Invalid

logger = logging.getLogger(__name__)

CANCELLED_AT_ONCE = 1024
"""Executions that an agent is told to drop in one turn of the loop; each takes 2 us."""

_COMPLETED, _FAILED = Outcome.COMPLETED, Outcome.FAILED
"""What each result is one of: Python 3.11 is slow to look up a member of an enum."""


class InFlight:
    """The executions of agent `agent_id`. `counts` are how those that ended did."""

    def __init__(
        self, agent_id: str, grace_seconds: float, on_late: Callable[[Run], None], on_empty: Callable[[], None]
    ) -> None:
        """Start with none; one is late `grace_seconds` after its timeout.

        `on_late` ends what nothing else has ended in its time; `on_empty` hears that the last one has ended.
        """
        self._agent_id = agent_id
        self._grace_seconds = grace_seconds
        self._running: dict[str, tuple[Run, Link, float]] = {}
        self._on_late = on_late
        self._on_empty = on_empty
        self._alarm = Alarm(self._tell_late)
        self.counts = dict.fromkeys(Outcome, 0)

    def __len__(self) -> int:
        """How many have not ended."""
        return len(self._running)

    def give(self, runs: Sequence[Run], link: Link) -> None:
        """Send executions over `link`; what finds no room there ends at once."""
        bound = time.monotonic() + self._grace_seconds
        for run in runs:
            execute = run.execute
            late_at = bound + execute.timeout
            self._running[execute.id] = run, link, late_at
            if late_at < self._alarm.rings_at:
                self._alarm.set(late_at)
            if not link.send(execute):
                detail = f"too much waits to be sent to agent {self._agent_id}"
                self._fail(execute.id, Outcome.FAILED, FailureKind.OVERLOADED, detail)

    def expect_all(self, link: Link) -> None:
        """Let `link` take the results of what was given before it."""
        for run, _, _ in self._running.values():
            link.expect(run.execute)

    def withdraw_all(self, link: Link) -> frozenset[str]:
        """Take back what has not left on `link`; the ids of that."""
        return frozenset(execution_id for execution_id in self._running if link.withdraw(execution_id))

    # What ends them

    def end(self, result: wire.Result) -> None:
        """End an execution with what its agent says of it."""
        running = self._running.get(result.id)
        if running is None:
            said = "agent %s answered execution %r, which has ended before: it was told again, or came too late"
            logger.info(said, self._agent_id, result.id)
        else:
            self._end(result.id, judge(running[0].execute, result))

    def end_invalid(self, invalid: Invalid) -> None:
        """End the execution whose result could not be read, if that says which it is."""
        if invalid.id is None or invalid.id not in self._running:
            logger.warning("agent %s sent a %s that is not valid: %s", self._agent_id, invalid.tag, invalid.detail)
        else:
            detail = f"agent {self._agent_id} sent a result that is not valid: {invalid.detail}"
            self._fail(invalid.id, Outcome.FAILED, FailureKind.INVALID_RESULT, detail)

    def end_unsent(self, unsent: Collection[str], reason: str) -> None:
        """End those of these ids, which never left."""
        detail = f"agent {self._agent_id} was lost before the request left the coordinator: {reason}"
        self._fail_all([each for each in self._running if each in unsent], Outcome.FAILED, detail)

    def end_all(self, reason: str) -> None:
        """End what the agent had when its link was lost: nobody waits for it any longer."""
        detail = f"agent {self._agent_id} was lost while it had the request: {reason}"
        self._fail_all(list(self._running), Outcome.UNKNOWN, detail)

    def compare(self, link: Link, held: Collection[str]) -> None:
        """The agent came back on `link` with these: what else it was given before is not known to it any more."""
        lost = [each for each, (_, given_on, _) in self._running.items() if given_on is not link and each not in held]
        detail = f"agent {self._agent_id} came back after its link was lost, and without this execution"
        self._fail_all(lost, Outcome.UNKNOWN, detail)
        _cancel(link, iter([execution_id for execution_id in held if execution_id not in self._running]))

    def time_out(self, run: Run, link: Link | None) -> None:
        """End an execution that nothing else has ended in its time, and have the agent drop it over `link`."""
        execution_id = run.execute.id
        never_left = link is not None and link.withdraw(execution_id)
        if link is not None and not never_left:
            link.send(wire.Cancel(execution_id))
        waited = run.execute.timeout + self._grace_seconds
        detail = f"agent {self._agent_id} did not answer within {waited:g} s"
        outcome = Outcome.FAILED if never_left else Outcome.UNKNOWN
        self._fail(execution_id, outcome, FailureKind.AGENT_TIMEOUT, detail)

    def _tell_late(self, now: float) -> None:
        late, then = sort_out([(each, late_at) for each, (_, _, late_at) in self._running.items()], now)
        self._alarm.set(then)
        for execution_id in late:
            running = self._running.get(execution_id)
            if running is not None:  # else one that was late too has ended it
                self._on_late(running[0])

    def _fail_all(self, execution_ids: list[str], outcome: Outcome, detail: str) -> None:
        for execution_id in execution_ids:
            if execution_id in self._running:  # else the end of another one has ended it
                self._fail(execution_id, outcome, FailureKind.AGENT_LOST, detail)

    def _fail(self, execution_id: str, outcome: Outcome, kind: FailureKind, detail: str) -> None:
        self._end(execution_id, Ended(outcome, failed(execution_id, kind, detail)))

    def _end(self, execution_id: str, ended: Ended) -> None:
        run, _, _ = self._running.pop(execution_id)
        self.counts[ended.outcome] += 1
        run.on_ended(run, ended)
        if not self._running:
            self._on_empty()


def _cancel(link: Link, execution_ids: Iterator[str]) -> None:
    """Have the agent drop these, some in each turn of the loop: an agent may say that it holds 32,768."""
    some = list(itertools.islice(execution_ids, CANCELLED_AT_ONCE))
    if all(link.send(wire.Cancel(each)) for each in some) and len(some) == CANCELLED_AT_ONCE:
        asyncio.get_running_loop().call_soon(_cancel, link, execution_ids)


def judge(execute: wire.Execute, result: wire.Result) -> Ended:
    """Return how a result of valid fields ends its execution: as it says, or as a failure where it cannot be so."""
    if (detail := _contradiction(execute, result)) is not None:
        return Ended(_FAILED, failed(execute.id, FailureKind.INVALID_RESULT, detail))
    if result.error_kind is not None:
        return Ended(_FAILED, result)
    if result.source_ip != execute.source:
        detail = f"the request left from {result.source_ip}, not from {execute.source}"
        return Ended(_FAILED, failed(execute.id, FailureKind.SOURCE_MISMATCH, detail))
    return Ended(_COMPLETED, result)


def failed(execution_id: str, kind: FailureKind, detail: str) -> wire.Result:
    """Make the result of an execution that got none from its agent."""
    return wire.Result(id=execution_id, error_kind=kind, error_detail=detail)


def _contradiction(execute: wire.Execute, result: wire.Result) -> str | None:
    """Say what makes a result of valid fields impossible, or None."""
    if (result.status is None) == (result.error_kind is None):
        return "the result has neither a status nor an error, or both"
    size = len(result.body)
    if size > execute.max_body_bytes:
        return f"the result has a body of {size} bytes, more than the {execute.max_body_bytes} asked for"
    if result.body_size < size:
        return "the result says that fewer bytes were received than it has"
    if result.body_size > size and not result.truncated:
        return "the result has fewer bytes than were received, and does not say so"
    return None
