"""`IpPool`, step 2 of a request's way: owns the exits of all agents and leases the next one. Runs on the event loop.

It is told what comes and goes and asks nobody, so it cannot be part of a deadlock.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dispatcher.actors.loop_actor import LoopActor, tell_or_drop
from dispatcher.actors.messages import (
    AgentGone,
    CountExits,
    CountPlaces,
    DescribePool,
    ExitsChanged,
    ExitState,
    ExitStatus,
    Lease,
    LeaseEnd,
    LeaseExits,
    LeasesEnded,
    Outcome,
    PauseOver,
    PoolStatus,
)
from dispatcher.actors.rotation import Rotation, Tier
from dispatcher.actors.setbacks import Finding, Setbacks, pause
from dispatcher.wire.messages import AddressState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dispatcher.wire.messages import AddressReport

logger = logging.getLogger(__name__)

Key = tuple[str, str]

EXITS_A_TURN = 2000
"""How many exits are described before the loop goes on: about 8 ms."""

_TIERS = {ExitState.PREFERRED: Tier.FIRST, ExitState.DEPRECATED: Tier.RESERVE}

_COMPLETED, _FAILED, _FAILS = Outcome.COMPLETED, Outcome.FAILED, Finding.FAILS
"""What each end of a lease is compared with: Python 3.11 is slow to look up a member of an enum."""


@dataclass(slots=True, eq=False)
class _Exit:
    """One exit and what it did since it came. `lease` is what everyone gets who leases it."""

    lease: Lease
    state: ExitState
    reason: str | None = None
    counted: ExitState | None = None
    """The state that this exit is counted under, if it is."""
    leased: int = 0
    last_used_at: float | None = None
    completed: int = 0
    failed: int = 0
    unknown: int = 0
    setbacks: Setbacks | None = None
    """What went wrong; None, as for nearly all of them, where nothing did since it came."""
    pause: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int:
        """How many leases have not ended."""
        return self.leased - self.completed - self.failed - self.unknown

    @property
    def is_aside(self) -> bool:
        """Whether it must not be leased for what went wrong."""
        return self.setbacks is not None and self.setbacks.is_aside

    @property
    def shown(self) -> ExitState:
        """The state as it is told: what is put aside could be bound as far as its agent knows."""
        return ExitState.ASIDE if self.is_aside and self.state in _TIERS else self.state

    @property
    def status(self) -> ExitStatus:
        """The exit as it is described."""
        return ExitStatus(
            agent_id=self.lease.agent_id,
            address=self.lease.address,
            state=self.shown,
            reason=self.setbacks.reason if self.setbacks and self.shown is ExitState.ASIDE else self.reason,
            in_flight=self.in_flight,
            leased=self.leased,
            completed=self.completed,
            failed=self.failed,
            unknown=self.unknown,
            last_used_at=self.last_used_at,
        )

    def count_end(self, outcome: Outcome) -> None:
        """Count the end of a lease."""
        if outcome is _COMPLETED:
            self.completed += 1
        elif outcome is _FAILED:
            self.failed += 1
        else:
            self.unknown += 1

    def forgive(self) -> None:
        """Forget what went wrong, and wait for nothing."""
        self.setbacks = None
        self.wait_no_more()

    def wait_no_more(self) -> None:
        """Forget that a pause would end."""
        if self.pause is not None:
            self.pause.cancel()


class IpPool(LoopActor):
    """The pool. Its messages stand in `actors/messages.py`."""

    def __init__(self, pause: Callable[[int], float] = pause) -> None:
        """Start empty; after so many failures in a row an exit is put aside for `pause` of them in seconds."""
        super().__init__()
        self._pause = pause
        self._rotation: Rotation[_Exit] = Rotation()
        self._exits: dict[int, _Exit] = {}  # by `Lease.stay`
        self._of_agent: dict[str, dict[str, _Exit]] = {}  # by address
        self._places: dict[str, int] = {}
        self._stays = itertools.count(1)
        self._by_state: Counter[ExitState] = Counter()

    def on_receive(self, message: Any) -> Any:
        """Handle one message."""
        if isinstance(message, LeaseExits):  # those of each execution first: a `match` makes a set and a list for each
            return self._lease(message.count, message.passing_over)
        if isinstance(message, LeasesEnded):
            return self._end_leases(message.ends)
        match message:
            case PauseOver():
                self._end_pause(message.stay)
            case ExitsChanged():
                self._change_exits(message)
            case AgentGone():
                self._remove_agent(message.agent_id)
            case CountPlaces():
                return self._count_places()
            case DescribePool():
                return self._describe(with_exits=message.exits)
            case CountExits():
                return dict(self._by_state)
            case _:
                return super().on_receive(message)
        return None

    def _lease(self, count: int, passing_over: frozenset[Key]) -> tuple[Lease, ...]:
        leases: list[Lease] = []
        tried = {known for key in passing_over if (known := self._find(*key)) is not None} if passing_over else ()
        now = time.time()
        for _ in range(count):
            leased = self._rotation.lease(tried)
            if leased is None:
                break
            leased.leased += 1
            leased.last_used_at = now
            if leased.setbacks is not None:
                leased.setbacks.leased()
                self._place(leased)
            leases.append(leased.lease)
        return tuple(leases)

    def _find(self, agent_id: str, address: str) -> _Exit | None:
        return self._of_agent.get(agent_id, {}).get(address)

    def _end_leases(self, ends: tuple[LeaseEnd, ...]) -> None:
        for end in ends:
            used = self._exits.get(end.stay)
            if used is None:
                continue  # it went, and if it came back, then for another stay
            used.count_end(end.outcome)
            if end.finding is _FAILS or used.setbacks is not None:
                self._learn(used, end)

    def _learn(self, used: _Exit, end: LeaseEnd) -> None:
        setbacks = used.setbacks = used.setbacks or Setbacks()
        failures = setbacks.failures
        if setbacks.ended(end.finding, end.why):
            over = PauseOver(end.stay)
            loop = asyncio.get_running_loop()
            used.pause = loop.call_later(self._pause(setbacks.failures), tell_or_drop, self.actor_ref, over)
        if news := setbacks.news(failures):
            logger.info("exit %s of %s %s", used.lease.address, used.lease.agent_id, news)
        self._place(used)
        if not setbacks.failures:
            used.setbacks = None  # it works again

    def _end_pause(self, stay: int) -> None:
        paused = self._exits.get(stay)
        if paused is not None and paused.setbacks is not None:
            paused.setbacks.pause_over()
            self._place(paused)

    def _place(self, placed: _Exit) -> None:
        tier = Tier.NEVER if placed.is_aside else _TIERS.get(placed.state, Tier.NEVER)
        self._rotation.put(placed, tier)
        self._count(placed, placed.shown)

    def _count(self, counted: _Exit, state: ExitState | None) -> None:
        if counted.counted is state:
            return
        if counted.counted is not None:
            self._by_state[counted.counted] -= 1
        if state is not None:
            self._by_state[state] += 1
        counted.counted = state

    def _count_places(self) -> int:
        """An agent with a third of all exits gets a third of the executions, so it bounds them at three times its own.

        Those set aside are counted too: a step an agent, and not one an exit.
        """
        bounds = [self._places[agent] * len(self._exits) // len(used) for agent, used in self._of_agent.items()]
        return min(bounds, default=0)

    def _change_exits(self, change: ExitsChanged) -> None:
        for address in change.gone:
            self._remove(change.agent_id, address)
        for report in change.changed:
            if report.state is AddressState.EXCLUDED:
                self._remove(change.agent_id, report.address)
            else:
                self._put(change, report)
        if change.agent_id in self._of_agent:
            self._places[change.agent_id] = change.max_concurrency

    def _put(self, change: ExitsChanged, report: AddressReport) -> None:
        state = ExitState(report.state)
        known = self._find(change.agent_id, report.address)
        if known is None:
            known = self._add(change, report.address, state)
        elif known.state not in _TIERS and state in _TIERS:
            known.forgive()  # the agent has tried the address itself
        if known.lease.connection is not change.connection:
            known.lease = replace(known.lease, connection=change.connection)
        known.state, known.reason = state, report.reason
        self._place(known)

    def _add(self, change: ExitsChanged, address: str, state: ExitState) -> _Exit:
        stay = next(self._stays)
        worked = LeaseEnd(stay, Outcome.COMPLETED, Finding.WORKS)
        added = self._exits[stay] = _Exit(Lease(change.agent_id, address, change.connection, stay, worked), state)
        self._of_agent.setdefault(change.agent_id, {})[address] = added
        return added

    def _remove(self, agent_id: str, address: str) -> None:
        removed = self._find(agent_id, address)
        if removed is None:
            return
        self._forget(removed)
        exits = self._of_agent[agent_id]
        del exits[address]
        if not exits:
            del self._of_agent[agent_id]
            self._places.pop(agent_id, None)

    def _remove_agent(self, agent_id: str) -> None:
        """Remove all exits of an agent in one turn: none of them may be leased any more. 16,384 take some 10 ms."""
        for removed in self._of_agent.pop(agent_id, {}).values():
            self._forget(removed)
        self._places.pop(agent_id, None)

    def _forget(self, removed: _Exit) -> None:
        del self._exits[removed.lease.stay]
        removed.wait_no_more()
        self._count(removed, None)
        self._rotation.remove(removed)

    def _describe(self, *, with_exits: bool) -> PoolStatus | asyncio.Future[PoolStatus]:
        first = self._rotation.next
        key = None if first is None else (first.lease.agent_id, first.lease.address)
        pool = PoolStatus(len(self._rotation), self._rotation.available, key, ())
        if not with_exits:
            return pool
        described: asyncio.Future[PoolStatus] = asyncio.get_running_loop().create_future()
        self._describe_exits(iter(tuple(self._rotation)), [], pool, described)
        return described

    def _describe_exits(
        self, exits: Iterator[_Exit], found: list[ExitStatus], pool: PoolStatus, described: asyncio.Future[PoolStatus]
    ) -> None:
        """Describe a slice a turn; an exit that goes between two of them is left out."""
        slice_of_exits = tuple(itertools.islice(exits, EXITS_A_TURN))
        found.extend(known.status for known in slice_of_exits if known.lease.stay in self._exits)
        if len(slice_of_exits) < EXITS_A_TURN:
            described.set_result(replace(pool, exits=tuple(found)))
        else:
            asyncio.get_running_loop().call_soon(self._describe_exits, exits, found, pool, described)
