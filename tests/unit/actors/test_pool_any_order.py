"""`IpPool` against a model of it: any story told to both ends alike."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pykka
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dispatcher.actors.loop_actor import ask, stop_actor
from dispatcher.actors.messages import AgentGone, DescribePool, Lease, LeaseExits, Outcome
from dispatcher.actors.setbacks import Finding
from dispatcher.wire.messages import AddressReport, AddressState
from tests.unit.actors.pooled import Pool

AGENTS = st.sampled_from(["one", "two", "three"])
ADDRESSES = st.sampled_from([f"2001:db8::{number}" for number in range(6)])
LEASABLE = {AddressState.PREFERRED: 0, AddressState.DEPRECATED: 1}
HIDDEN = {AddressState.EXCLUDED}


@dataclass
class ModelExit:
    """What an exit is and has done since it came."""

    state: AddressState
    leased: int = 0
    ended: Counter[Outcome] = field(default_factory=Counter)
    failures: int = 0
    is_paused: bool = False
    is_tried: bool = False

    @property
    def tier(self) -> int:
        """0 and 1 are leased, in this order."""
        return 2 if self.is_paused or self.is_tried else LEASABLE.get(self.state, 2)


class AgainstAModel(RuleBasedStateMachine):
    """The same story told to a pool and to a model; the pool lives on a loop of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.pool = self.loop.run_until_complete(self._start())
        self.exits: dict[tuple[str, str], ModelExit] = {}
        self.order: list[tuple[str, str]] = []
        self.open: list[tuple[Lease, ModelExit]] = []
        self.paused: list[tuple[Lease, ModelExit]] = []

    async def _start(self) -> Pool:
        return Pool()

    def _ask(self, message: Any) -> Any:
        return self.loop.run_until_complete(ask(self.pool.ref, message))

    def _take_out(self, key: tuple[str, str]) -> None:
        self.exits.pop(key, None)
        if key in self.order:
            self.order.remove(key)

    def _model_report(self, key: tuple[str, str], state: AddressState) -> None:
        if state in HIDDEN:
            self._take_out(key)
            return
        known = self.exits.setdefault(key, ModelExit(state))
        before = known.tier if key in self.order else None
        if known.state not in LEASABLE and state in LEASABLE:
            known.failures, known.is_paused, known.is_tried = 0, False, False
        known.state = state
        self._move(key, before)

    def _move(self, key: tuple[str, str], before: int | None) -> None:
        """Put an exit whose tier is another than before at the back."""
        if self.exits[key].tier != before:
            self.order = [*(other for other in self.order if other != key), key]

    @rule(
        agent=AGENTS,
        changed=st.lists(st.tuples(ADDRESSES, st.sampled_from(AddressState)), max_size=4),
        gone=st.lists(ADDRESSES, max_size=3),
    )
    def change(self, agent: str, changed: list[tuple[str, AddressState]], gone: list[str]) -> None:
        reports = tuple(AddressReport(address, state) for address, state in changed)
        self.pool.change(agent, *reports, gone=tuple(gone))
        for address in gone:
            self._take_out((agent, address))
        for address, state in changed:
            self._model_report((agent, address), state)

    @rule(agent=AGENTS)
    def lose(self, agent: str) -> None:
        self.pool.ref.tell(AgentGone(agent))
        for key in [key for key in self.order if key[0] == agent]:
            self._take_out(key)

    def _leasable(self) -> list[tuple[str, str]]:
        tiers = [[key for key in self.order if self.exits[key].tier == tier] for tier in (0, 1)]
        return tiers[0] or tiers[1]

    @rule()
    def lease(self) -> None:
        leases = self._ask(LeaseExits())
        expected = next(iter(self._leasable()), None)
        if expected is None:
            assert () == leases
            return
        (lease,) = leases
        assert expected == (lease.agent_id, lease.address)
        self.order = [*(key for key in self.order if key != expected), expected]
        self.exits[expected].leased += 1
        self.exits[expected].is_tried = self.exits[expected].failures > 0
        self.open.append((lease, self.exits[expected]))

    @rule(data=st.data(), outcome=st.sampled_from(Outcome), finding=st.sampled_from(Finding))
    def end(self, data: st.DataObject, outcome: Outcome, finding: Finding) -> None:
        if not self.open:
            return
        lease, known = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        self.pool.end(lease, outcome, finding)
        known.ended[outcome] += 1
        key = (lease.agent_id, lease.address)
        before = known.tier
        if not known.is_paused:
            known.is_tried, known.is_paused = False, finding is Finding.FAILS
            known.failures = {Finding.WORKS: 0, Finding.FAILS: known.failures + 1}.get(finding, known.failures)
        if self.exits.get(key) is known:
            self._move(key, before)
            if finding is Finding.FAILS:
                self.paused.append((lease, known))

    @rule(data=st.data())
    def let_back(self, data: st.DataObject) -> None:
        if not self.paused:
            return
        lease, known = self.paused.pop(data.draw(st.integers(0, len(self.paused) - 1)))
        key, before = (lease.agent_id, lease.address), known.tier
        self.pool.let_back(lease)
        known.is_paused = False
        if self.exits.get(key) is known:
            self._move(key, before)

    @invariant()
    def the_status_is_the_models(self) -> None:
        status = self._ask(DescribePool())
        tiers = [[key for key in self.order if self.exits[key].tier == tier] for tier in (0, 1, 2)]
        assert [key for tier in tiers for key in tier] == [(one.agent_id, one.address) for one in status.exits]
        leasable = self._leasable()
        assert (len(self.exits), len(leasable)) == (status.size, status.available)
        assert next(iter(leasable), None) == status.next
        for one in status.exits:
            known = self.exits[one.agent_id, one.address]
            ended = known.ended
            is_aside = known.state in LEASABLE and known.tier == 2
            assert ("aside" if is_aside else str(known.state)) == str(one.state)
            assert known.leased == one.leased
            assert known.leased - ended.total() == one.in_flight
            assert ended[Outcome.COMPLETED] == one.completed
            assert (ended[Outcome.FAILED], ended[Outcome.UNKNOWN]) == (one.failed, one.unknown)

    def teardown(self) -> None:
        for ref in pykka.ActorRegistry.get_all():
            self.loop.run_until_complete(stop_actor(ref))
        self.loop.close()


TestAgainstAModel = AgainstAModel.TestCase
TestAgainstAModel.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
