"""Exits for executions, and their way to the agents: steps 2 and 3 of a request's way. Runs on the event loop.

Executions that begin in one go ask the pool together, and each agent's connection is given all that is its own
together: a message for each would cost as much as what is done about it. For the same reason the ends of leases are
told once a turn of the loop. What would surprise: they are told before the next exit is asked for, whoever asks, so a
lease never misses how the ones before it ended.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any, Protocol

import pykka

from dispatcher.actors.loop_actor import ask_then, tell_at_once
from dispatcher.actors.messages import LeaseExits, LeasesEnded, NotTaken, RunExecutions
from dispatcher.afterwards import Afterwards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dispatcher.actors.messages import Lease, LeaseEnd, Run


class Departing(Protocol):
    """An execution that wants an exit. Its methods raise nothing."""

    def take_lease(self, lease: Lease | None) -> Run | None:
        """Take an exit, or the word that there is none; return what its agent is to be given, if anything."""

    def hear_refusal(self, run: Run, refusal: NotTaken) -> None:
        """Nothing was sent: another exit may be tried."""

    def lose(self, run: Run, error: Exception) -> None:
        """Something went wrong inside the coordinator; it may have been sent before."""

    def fail(self, error: Exception) -> None:
        """Something went wrong inside the coordinator."""


class Departures:
    """Asks `pool` for exits and tells it of the ends of leases."""

    def __init__(self, pool: pykka.ActorRef[Any]) -> None:
        """Start with nothing to tell."""
        self._pool = pool
        self._afterwards = Afterwards.here()
        self._ends: list[LeaseEnd] = []

    def begin(self, executions: Sequence[Departing], passing_over: frozenset[tuple[str, str]] = frozenset()) -> None:
        """Lease the next exits that are not in `passing_over`, in order, and give the executions to their agents."""
        if self._ends:
            self._tell_ends()
        ask_then(self._pool, LeaseExits(len(executions), passing_over), functools.partial(self._give, executions))

    def lease_ended(self, end: LeaseEnd) -> None:
        """Have the pool know of it before its next lease, or afterwards."""
        if not self._ends:
            self._afterwards.call(self._tell_ends)
        self._ends.append(end)

    def _tell_ends(self) -> None:
        if self._ends:
            ends, self._ends = tuple(self._ends), []
            tell_at_once(self._pool, LeasesEnded(ends))

    def _give(self, executions: Sequence[Departing], leases: tuple[Lease, ...] | None, error: Exception | None) -> None:
        if error is not None:
            for execution in executions:
                execution.fail(error)
            return
        given: dict[pykka.ActorRef[Any], tuple[str, list[tuple[Departing, Run]]]] = {}
        for execution, lease in itertools.zip_longest(executions, leases or ()):
            run = execution.take_lease(lease)
            if run is not None:
                given.setdefault(lease.connection, (lease.agent_id, []))[1].append((execution, run))
        for connection, (agent_id, theirs) in given.items():
            runs = tuple([run for _, run in theirs])
            ask_then(connection, RunExecutions(runs), functools.partial(self._hear_answer, agent_id, theirs))

    @staticmethod
    def _hear_answer(
        agent_id: str, given: list[tuple[Departing, Run]], refusal: NotTaken | None, error: Exception | None
    ) -> None:
        """Hear that a connection took them, or did not; that some of them ended may have been said before."""
        if isinstance(error, pykka.ActorDeadError):
            refusal, error = NotTaken(f"agent {agent_id} was removed before the request was sent"), None
        if refusal is None and error is None:
            return
        for execution, run in given:
            if refusal is not None:
                execution.hear_refusal(run, refusal)
            elif error is not None:
                execution.lose(run, error)
