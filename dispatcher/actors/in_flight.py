"""What one agent has been given to do, and the one end of each: step 8 of a request's way, on the event loop.

A plain class that `AgentConnection` uses; it knows neither links' lives nor messages. An execution remembers the link
that it was given on, because an agent that comes back on another one may never have got it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.actors.messages import Ended, Outcome
from dispatcher.deadlines import Deadlines
from dispatcher.errors import FailureKind
from dispatcher.wire import messages as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dispatcher.actors.messages import Link, Run


class InFlight:
    """The executions of one agent. `counts` are how those that ended did."""

    def __init__(self, on_late: Callable[[Run], None]) -> None:
        """Start with none; `on_late` ends what nothing else has ended in its time."""
        self._running: dict[str, tuple[Run, Link]] = {}
        self._on_late = on_late
        self._deadlines: Deadlines[str] = Deadlines(self._time_out)
        self.counts = dict.fromkeys(Outcome, 0)

    def __len__(self) -> int:
        """How many have not ended."""
        return len(self._running)

    def __iter__(self) -> Iterator[Run]:
        """Those that have not ended; they may end meanwhile."""
        return iter([run for run, _ in self._running.values()])

    def not_given_on(self, link: Link) -> list[Run]:
        """Return those that have not ended and were given on another link."""
        return [run for run, given_on in self._running.values() if given_on is not link]

    def get(self, execution_id: str) -> Run | None:
        """Return an execution that has not ended."""
        running = self._running.get(execution_id)
        return None if running is None else running[0]

    def begin(self, run: Run, link: Link, late_at: float) -> None:
        """Take an execution that is given on `link`; it is late at `late_at`, in the loop's own time."""
        execution_id = run.execute.id
        self._running[execution_id] = run, link
        self._deadlines.set(execution_id, late_at)

    def end(self, execution_id: str, outcome: Outcome, result: wire.Result) -> None:
        """End an execution that has not ended."""
        run, _ = self._running.pop(execution_id)
        self._deadlines.forget(execution_id)
        self.counts[outcome] += 1
        run.on_ended(run, Ended(outcome, result))

    def _time_out(self, execution_id: str) -> None:
        run = self.get(execution_id)
        if run is not None:  # else one that was late too has ended it
            self._on_late(run)


def judge(execute: wire.Execute, result: wire.Result) -> tuple[Outcome, wire.Result]:
    """Return how a result of valid fields ends its execution: as it says, or as a failure where it cannot be so."""
    if (detail := _contradiction(execute, result)) is not None:
        return Outcome.FAILED, failed(execute.id, FailureKind.INVALID_RESULT, detail)
    if result.error_kind is None and result.source_ip != execute.source:
        detail = f"the request left from {result.source_ip}, not from {execute.source}"
        return Outcome.FAILED, failed(execute.id, FailureKind.SOURCE_MISMATCH, detail)
    return (Outcome.COMPLETED if result.error_kind is None else Outcome.FAILED), result


def failed(execution_id: str, kind: FailureKind, detail: str) -> wire.Result:
    """Make the result of an execution that got none from its agent."""
    return wire.Result(id=execution_id, error_kind=kind, error_detail=detail)


def _contradiction(execute: wire.Execute, result: wire.Result) -> str | None:
    """Say what makes a result of valid fields impossible, or None."""
    if (result.status is None) == (result.error_kind is None):
        return "the result has neither a status nor an error, or both"
    if len(result.body) > execute.max_body_bytes:
        return f"the result has a body of {len(result.body)} bytes, more than the {execute.max_body_bytes} asked for"
    if result.body_size < len(result.body):
        return "the result says that fewer bytes were received than it has"
    if result.body_size > len(result.body) and not result.truncated:
        return "the result has fewer bytes than were received, and does not say so"
    return None
