"""What the tests of the pool share: a pool, and the shorthand to tell and ask it."""

from __future__ import annotations

from collections.abc import Callable

from dispatcher.actors.loop_actor import LoopActor, ask
from dispatcher.actors.messages import (
    CountExits,
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
from dispatcher.actors.pool import IpPool
from dispatcher.actors.setbacks import Finding
from dispatcher.wire.messages import AddressReport, AddressState

A, B, C = "2001:db8::a", "2001:db8::b", "2001:db8::c"
PREFERRED = AddressState.PREFERRED


class Connection(LoopActor):
    """Stands for an agent's connection; the pool only hands it out."""


def report(address: str, state: AddressState = PREFERRED, reason: str | None = None) -> AddressReport:
    return AddressReport(address, state, reason)


class Pool:
    """A pool, and the shorthand of its tests."""

    def __init__(self, pause: Callable[[int], float] = lambda _: 3600.0) -> None:
        self.ref = IpPool.start(pause)
        self.connection = Connection.start()

    def change(self, agent_id: str, *changed: AddressReport, gone: tuple[str, ...] = ()) -> None:
        self.ref.tell(ExitsChanged(agent_id, self.connection, changed, gone))

    async def lease(self) -> Lease:
        (lease,) = await ask(self.ref, LeaseExits())
        return lease

    async def leases(self, count: int) -> list[str]:
        return [(await self.lease()).address for _ in range(count)]

    def end(self, lease: Lease, outcome: Outcome = Outcome.COMPLETED, finding: Finding = Finding.WORKS) -> None:
        self._tell(LeaseEnd(lease.stay, outcome, finding))

    def fail(self, lease: Lease, why: str = "source_address in execution 1") -> None:
        self._tell(LeaseEnd(lease.stay, Outcome.FAILED, Finding.FAILS, why))

    def _tell(self, end: LeaseEnd) -> None:
        self.ref.tell(LeasesEnded((end,)))

    def let_back(self, lease: Lease) -> None:
        """End a pause as its timer does."""
        self.ref.tell(PauseOver(lease.stay))

    async def describe(self) -> PoolStatus:
        return await ask(self.ref, DescribePool())

    async def counts(self) -> dict[ExitState, int]:
        """The states that any exit has."""
        return {state: count for state, count in (await ask(self.ref, CountExits())).items() if count}

    async def exit(self, address: str) -> ExitStatus:
        return next(found for found in (await self.describe()).exits if found.address == address)
