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

    from pykka import ActorRef

logger = logging.getLogger(__name__)

Key = tuple[str, str]

EXITS_A_TURN = 2000
"""How many exits are described before the loop goes on: about 8 ms."""

_TIERS = {ExitState.PREFERRED: Tier.FIRST, ExitState.DEPRECATED: Tier.RESERVE}


@dataclass(slots=True)
class _Exit:
    """One exit and what it did since it came."""

    connection: ActorRef[Any]
    state: ExitState
    reason: str | None
    counted: ExitState | None = None
    """The state that this exit is counted under, if it is."""
    stay: int = 0
    in_flight: int = 0
    leased: int = 0
    last_used_at: float | None = None
    completed: int = 0
    failed: int = 0
    unknown: int = 0
    setbacks: Setbacks | None = None
    """What went wrong; None, as for nearly all of them, where nothing did since it came."""
    pause: asyncio.TimerHandle | None = None

    @property
    def is_aside(self) -> bool:
        """Whether it must not be leased for what went wrong."""
        return self.setbacks is not None and self.setbacks.is_aside

    @property
    def shown(self) -> ExitState:
        """The state as it is told: what is put aside could be bound as far as its agent knows."""
        return ExitState.ASIDE if self.is_aside and self.state in _TIERS else self.state

    def count_end(self, outcome: Outcome) -> None:
        """Count the end of a lease."""
        self.in_flight -= 1
        if outcome is Outcome.COMPLETED:
            self.completed += 1
        elif outcome is Outcome.FAILED:
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
        self._rotation: Rotation[Key] = Rotation()
        self._exits: dict[Key, _Exit] = {}
        self._of_agent: dict[str, set[str]] = {}
        self._places: dict[str, int] = {}
        self._stays = itertools.count(1)
        self._by_state: Counter[ExitState] = Counter()

    def on_receive(self, message: Any) -> Any:
        """Handle one message."""
        match message:
            case LeaseExits():
                return self._lease(message.count, message.passing_over)
            case LeasesEnded():
                for end in message.ends:
                    self._end_lease(end)
            case PauseOver():
                self._end_pause(message)
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
        now = time.time()
        for _ in range(count):
            key = self._rotation.lease(passing_over)
            if key is None:
                break
            leased = self._exits[key]
            leased.leased += 1
            leased.in_flight += 1
            leased.last_used_at = now
            if leased.setbacks is not None and leased.setbacks.failures:
                leased.setbacks.leased()
                self._place(key, leased)
            leases.append(Lease(key[0], key[1], leased.connection, leased.stay))
        return tuple(leases)

    def _end_lease(self, ended: LeaseEnd) -> None:
        # An exit that went, or went and came back, has forgotten this lease.
        used = self._exits.get((ended.agent_id, ended.address))
        if used is not None and used.stay == ended.stay:
            used.count_end(ended.outcome)
            self._learn((ended.agent_id, ended.address), used, ended)

    def _learn(self, key: Key, used: _Exit, ended: LeaseEnd) -> None:
        setbacks = used.setbacks
        if ended.finding is not Finding.FAILS and (setbacks is None or not setbacks.failures):
            return  # it worked before, and nothing says that it does not now
        if setbacks is None:
            setbacks = used.setbacks = Setbacks()
        failures = setbacks.failures
        if setbacks.ended(ended.finding, ended.why):
            seconds = self._pause(setbacks.failures)
            over = PauseOver(*key, used.stay)
            used.pause = asyncio.get_running_loop().call_later(seconds, tell_or_drop, self.actor_ref, over)
        if news := setbacks.news(failures):
            logger.info("exit %s of %s %s", key[1], key[0], news)
        self._place(key, used)

    def _end_pause(self, over: PauseOver) -> None:
        key = (over.agent_id, over.address)
        paused = self._exits.get(key)
        if paused is not None and paused.stay == over.stay and paused.setbacks is not None:
            paused.setbacks.pause_over()
            self._place(key, paused)

    def _place(self, key: Key, placed: _Exit) -> None:
        tier = Tier.NEVER if placed.is_aside else _TIERS.get(placed.state, Tier.NEVER)
        self._rotation.put(key, tier)
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
        bounds = (self._places[agent] * len(self._exits) // len(used) for agent, used in self._of_agent.items())
        return min(bounds, default=0)

    def _change_exits(self, change: ExitsChanged) -> None:
        for address in change.gone:
            self._remove((change.agent_id, address))
        for report in change.changed:
            key = (change.agent_id, report.address)
            if report.state is AddressState.EXCLUDED:
                self._remove(key)
            else:
                self._put(key, _Exit(change.connection, ExitState(report.state), report.reason))
        if change.agent_id in self._of_agent:
            self._places[change.agent_id] = change.max_concurrency

    def _put(self, key: Key, reported: _Exit) -> None:
        known = self._exits.get(key)
        if known is None:
            known = self._exits[key] = reported
            known.stay = next(self._stays)
        elif known.state not in _TIERS and reported.state in _TIERS:
            known.forgive()  # the agent has tried the address itself
        known.connection, known.state, known.reason = reported.connection, reported.state, reported.reason
        self._of_agent.setdefault(key[0], set()).add(key[1])
        self._place(key, known)

    def _remove(self, key: Key) -> None:
        if key not in self._exits:
            return
        self._forget(key)
        addresses = self._of_agent[key[0]]
        addresses.discard(key[1])
        if not addresses:
            del self._of_agent[key[0]]
            self._places.pop(key[0], None)

    def _remove_agent(self, agent_id: str) -> None:
        """Remove all exits of an agent in one turn: none of them may be leased any more. 16,384 take some 20 ms."""
        for address in self._of_agent.pop(agent_id, ()):
            self._forget((agent_id, address))
        self._places.pop(agent_id, None)

    def _forget(self, key: Key) -> None:
        removed = self._exits.pop(key)
        removed.wait_no_more()
        self._count(removed, None)
        self._rotation.remove(key)

    def _describe(self, *, with_exits: bool) -> PoolStatus | asyncio.Future[PoolStatus]:
        pool = PoolStatus(len(self._rotation), self._rotation.available, self._rotation.next, ())
        if not with_exits:
            return pool
        described: asyncio.Future[PoolStatus] = asyncio.get_running_loop().create_future()
        self._describe_exits(iter(tuple(self._rotation)), [], pool, described)
        return described

    def _describe_exits(
        self, keys: Iterator[Key], found: list[ExitStatus], pool: PoolStatus, described: asyncio.Future[PoolStatus]
    ) -> None:
        """Describe a slice a turn; an exit that goes between two of them is left out."""
        slice_of_keys = tuple(itertools.islice(keys, EXITS_A_TURN))
        found.extend(self._status(key) for key in slice_of_keys if key in self._exits)
        if len(slice_of_keys) < EXITS_A_TURN:
            described.set_result(replace(pool, exits=tuple(found)))
        else:
            asyncio.get_running_loop().call_soon(self._describe_exits, keys, found, pool, described)

    def _status(self, key: Key) -> ExitStatus:
        known = self._exits[key]
        return ExitStatus(
            agent_id=key[0],
            address=key[1],
            state=known.shown,
            reason=known.setbacks.reason if known.setbacks and known.shown is ExitState.ASIDE else known.reason,
            in_flight=known.in_flight,
            leased=known.leased,
            completed=known.completed,
            failed=known.failed,
            unknown=known.unknown,
            last_used_at=known.last_used_at,
        )
