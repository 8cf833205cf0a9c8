"""`IpPool` as an actor: what agents tell it, what it leases, and what it counts."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pykka
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dispatcher.actors.loop_actor import LoopActor, ask, stop_actor
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
from dispatcher.actors.pool import EXITS_A_TURN, IpPool
from dispatcher.actors.setbacks import Finding
from dispatcher.wire.messages import AddressReport, AddressState
from tests.unit.loops import on_loop, turns

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
        self._tell(LeaseEnd(lease.agent_id, lease.address, lease.stay, outcome, finding))

    def fail(self, lease: Lease, why: str = "source_address in execution 1") -> None:
        self._tell(LeaseEnd(lease.agent_id, lease.address, lease.stay, Outcome.FAILED, Finding.FAILS, why))

    def _tell(self, end: LeaseEnd) -> None:
        self.ref.tell(LeasesEnded((end,)))

    def let_back(self, lease: Lease) -> None:
        """End a pause as its timer does."""
        self.ref.tell(PauseOver(lease.agent_id, lease.address, lease.stay))

    async def describe(self) -> PoolStatus:
        return await ask(self.ref, DescribePool())

    async def counts(self) -> dict[ExitState, int]:
        """The states that any exit has."""
        return {state: count for state, count in (await ask(self.ref, CountExits())).items() if count}

    async def exit(self, address: str) -> ExitStatus:
        return next(found for found in (await self.describe()).exits if found.address == address)


def test_several_leases_are_as_if_asked_for_one_by_one() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("agent-01", *(AddressReport(f"2001:db8::{number}", AddressState.PREFERRED) for number in range(3)))
        leases = await ask(pool.ref, LeaseExits(4))
        assert [f"2001:db8::{number}" for number in (0, 1, 2, 0)] == [lease.address for lease in leases]
        assert [2, 1, 1] == sorted((found.leased for found in (await pool.describe()).exits), reverse=True)
        assert "2001:db8::1" == (await pool.lease()).address

    on_loop(test)


def test_of_several_leases_an_exit_on_trial_has_one() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("agent-01", AddressReport("2001:db8::1", AddressState.PREFERRED))
        lease = await pool.lease()
        pool.fail(lease)
        assert () == await ask(pool.ref, LeaseExits(3))
        pool.let_back(lease)
        assert ["2001:db8::1"] == [lease.address for lease in await ask(pool.ref, LeaseExits(3))]

    on_loop(test)


def test_an_empty_pool_leases_nothing_and_says_so() -> None:
    async def test() -> None:
        pool = Pool()
        assert () == await ask(pool.ref, LeaseExits(3))
        assert PoolStatus(0, 0, None, ()) == await pool.describe()

    on_loop(test)


def test_leases_go_round_over_all_agents() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A), report(B))
        pool.change("two", report(C))
        assert [A, B, C, A] == await pool.leases(4)

    on_loop(test)


def test_a_lease_names_the_exit_and_its_connection() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A))
        lease = await pool.lease()
        assert ("one", A, pool.connection) == (lease.agent_id, lease.address, lease.connection)

    on_loop(test)


def test_two_agents_may_have_the_same_address() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A))
        pool.change("two", report(A))
        assert ["one", "two", "one"] == [(await pool.lease()).agent_id for _ in range(3)]

    on_loop(test)


def test_what_cannot_be_used_is_shown_with_its_reason_and_not_leased() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A, AddressState.DADFAILED, "duplicate"), report(B))
        assert [B, B] == await pool.leases(2)
        shown = await pool.exit(A)
        assert (ExitState.DADFAILED, "duplicate") == (shown.state, shown.reason)
        status = await pool.describe()
        assert (2, 1, ("one", B)) == (status.size, status.available, status.next)

    on_loop(test)


def test_what_is_excluded_is_not_in_the_pool() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A), report(B, AddressState.EXCLUDED, "loopback"))
        pool.change("one", report(A, AddressState.EXCLUDED))
        assert 0 == (await pool.describe()).size

    on_loop(test)


def test_an_address_that_goes_and_comes_in_one_message_is_new() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A), report(B))
        pool.change("one", report(A), gone=(A,))
        assert [B, A] == await pool.leases(2)

    on_loop(test)


def test_an_agent_that_is_gone_takes_all_its_exits_and_no_others() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A), report(B))
        pool.change("two", report(C))
        pool.ref.tell(AgentGone("one"))
        pool.ref.tell(AgentGone("nobody"))
        assert [C, C] == await pool.leases(2)
        assert 1 == (await pool.describe()).size

    on_loop(test)


def test_a_lease_and_its_end_are_counted() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A))
        before = time.time()
        leases = [await pool.lease() for _ in range(4)]
        assert (4, 4) == ((await pool.exit(A)).in_flight, (await pool.exit(A)).leased)
        for lease, outcome in zip(leases, [*Outcome, Outcome.COMPLETED], strict=True):
            pool.end(lease, outcome)
        shown = await pool.exit(A)
        assert (0, 4) == (shown.in_flight, shown.leased)
        assert (2, 1, 1) == (shown.completed, shown.failed, shown.unknown)
        assert shown.last_used_at is not None
        assert before <= shown.last_used_at <= time.time()

    on_loop(test)


def test_the_end_of_a_lease_of_an_exit_that_left_counts_nowhere() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A))
        lease = await pool.lease()
        pool.change("one", gone=(A,))
        pool.end(lease)
        assert 0 == (await pool.describe()).size

    on_loop(test)


def test_an_exit_that_came_back_does_not_count_the_end_of_a_lease_of_before() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A))
        before = await pool.lease()
        pool.change("one", gone=(A,))
        pool.change("one", report(A))
        after = await pool.lease()
        pool.end(before, Outcome.FAILED)
        assert (1, 0) == ((await pool.exit(A)).in_flight, (await pool.exit(A)).failed)
        pool.end(after)
        assert (0, 1) == ((await pool.exit(A)).in_flight, (await pool.exit(A)).completed)

    on_loop(test)


def test_a_pool_can_be_described_without_its_exits() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A), report(B))
        assert PoolStatus(2, 2, ("one", A), ()) == await ask(pool.ref, DescribePool(exits=False))

    on_loop(test)


def test_exits_are_counted_by_the_state_that_is_shown() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A), report(B, AddressState.TENTATIVE), report(C))
        assert {ExitState.PREFERRED: 2, ExitState.TENTATIVE: 1} == await pool.counts()
        pool.change("one", report(B), gone=(C,))
        assert {ExitState.PREFERRED: 2} == await pool.counts()
        lease = await pool.lease()
        pool.fail(lease)
        assert {ExitState.PREFERRED: 1, ExitState.ASIDE: 1} == await pool.counts()
        pool.let_back(lease)
        assert {ExitState.PREFERRED: 2} == await pool.counts()
        pool.ref.tell(AgentGone("one"))
        assert {} == await pool.counts()

    on_loop(test)


def test_the_places_of_agents_are_as_many_as_give_none_more_than_it_takes() -> None:
    async def test() -> None:
        pool = IpPool.start()
        connection = Connection.start()

        async def places(agent_id: str, count: int, takes: int) -> int:
            reports = tuple(AddressReport(f"2001:db8::{n + 1:x}", AddressState.PREFERRED) for n in range(count))
            pool.tell(ExitsChanged(agent_id, connection, reports, max_concurrency=takes))
            return await ask(pool, CountPlaces())

        assert 0 == await ask(pool, CountPlaces())
        assert 5 == await places("one", 3, 5)
        # A quarter of all leases are of the second: with 4 x 1 of them it has one.
        assert 4 == await places("two", 1, 1)
        assert 6 == await places("two", 1, 100)
        pool.tell(AgentGone("one"))
        assert 100 == await ask(pool, CountPlaces())
        changed = (AddressReport("2001:db8::1", AddressState.TENTATIVE),)
        pool.tell(ExitsChanged("two", connection, changed, ("2001:db8::1",), 7))
        assert 7 == await ask(pool, CountPlaces())
        pool.tell(ExitsChanged("two", connection, (), ("2001:db8::1",), 7))
        assert 0 == await ask(pool, CountPlaces())

    on_loop(test)


def test_an_exit_that_fails_is_put_aside_with_its_reason_and_comes_back_to_the_back() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A), report(B), report(C))
        lease = await pool.lease()
        pool.fail(lease)
        shown = await pool.exit(A)
        assert ExitState.ASIDE == shown.state
        assert "set aside, failure 1 in a row: source_address in execution 1" == shown.reason
        assert (3, 2) == ((await pool.describe()).size, (await pool.describe()).available)
        assert [B, C, B] == await pool.leases(3)
        pool.let_back(lease)
        assert (ExitState.PREFERRED, None) == ((await pool.exit(A)).state, (await pool.exit(A)).reason)
        assert [C, B, A] == await pool.leases(3)

    on_loop(test)


def test_an_exit_that_is_put_aside_and_comes_back_is_logged_once_each(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A))
        for _ in range(3):
            lease = await pool.lease()
            pool.fail(lease, "no route")
            pool.let_back(lease)
        for _ in range(2):
            await pool.lease()
            pool.end(lease, Outcome.COMPLETED, Finding.WORKS)
        await turns()

    caplog.set_level(logging.INFO, "dispatcher.actors.pool")
    on_loop(test)
    expected = [f"exit {A} of one is set aside: no route", f"exit {A} of one works again, after 3 failures in a row"]
    assert expected == [record.getMessage() for record in caplog.records if record.name == "dispatcher.actors.pool"]


def test_the_pause_ends_by_itself_and_grows_with_each_failure() -> None:
    async def test() -> None:
        asked: list[int] = []

        def pause(failures: int) -> float:
            asked.append(failures)
            return 0.001

        pool = Pool(pause)
        pool.change("one", report(A))
        for _ in range(3):
            pool.fail(await pool.lease())
            while not (await pool.describe()).available:
                await turns(1)
        pool.end(await pool.lease())
        pool.fail(await pool.lease())
        await turns()
        assert [1, 2, 3, 1] == asked

    on_loop(test)


def test_an_exit_that_comes_back_is_given_one_execution_until_that_has_ended() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A), report(B))
        failed = await pool.lease()
        pool.fail(failed)
        pool.let_back(failed)
        assert [B, A] == await pool.leases(2)
        shown = await pool.exit(A)
        assert (ExitState.ASIDE, "being tried again after: source_address in execution 1") == (
            shown.state,
            shown.reason,
        )
        assert [B, B] == await pool.leases(2)
        pool.end(failed, Outcome.FAILED, Finding.WORKS)
        assert [B, A, B, A] == await pool.leases(4)

    on_loop(test)


def test_a_trial_that_told_nothing_is_made_again() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A))
        failed = await pool.lease()
        pool.fail(failed)
        pool.let_back(failed)
        pool.end(await pool.lease(), Outcome.UNKNOWN, Finding.NOTHING)
        assert ExitState.PREFERRED == (await pool.exit(A)).state
        await pool.lease()
        assert ExitState.ASIDE == (await pool.exit(A)).state

    on_loop(test)


def test_executions_that_failed_together_are_one_failure() -> None:
    async def test() -> None:
        asked: list[int] = []
        pool = Pool(lambda failures: asked.append(failures) or 3600.0)
        pool.change("one", report(A))
        for lease in [await pool.lease() for _ in range(5)]:
            pool.fail(lease)
        await turns()
        assert [1] == asked

    on_loop(test)


@pytest.mark.parametrize("finding", [Finding.WORKS, Finding.NOTHING])
@pytest.mark.parametrize("outcome", Outcome)
def test_what_the_target_did_never_puts_an_exit_aside(outcome: Outcome, finding: Finding) -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A), report(B))
        for _ in range(10):
            pool.end(await pool.lease(), outcome, finding)
        assert [A, B, A, B] == await pool.leases(4)

    on_loop(test)


def test_an_exit_that_left_takes_what_went_wrong_with_it() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A))
        failed = await pool.lease()
        pool.fail(failed)
        pool.change("one", gone=(A,))
        pool.change("one", report(A))
        pool.let_back(failed)
        assert [A, A] == await pool.leases(2)

    on_loop(test)


def test_the_agents_word_that_an_address_works_again_ends_its_pause() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A))
        pool.fail(await pool.lease())
        pool.change("one", report(A))
        assert ExitState.ASIDE == (await pool.exit(A)).state
        pool.change("one", report(A, AddressState.UNBINDABLE, "EADDRNOTAVAIL"))
        assert (ExitState.UNBINDABLE, "EADDRNOTAVAIL") == ((await pool.exit(A)).state, (await pool.exit(A)).reason)
        pool.change("one", report(A))
        assert [A, A] == await pool.leases(2)

    on_loop(test)


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


def test_a_large_pool_is_described_in_slices_without_holding_the_loop() -> None:
    async def test() -> None:
        pool = Pool()
        addresses = [f"2001:db8::{number:x}" for number in range(1, 3 * EXITS_A_TURN + 1)]
        pool.change("one", *map(report, addresses))
        described = asyncio.create_task(pool.describe())
        await turns(2)
        assert not described.done()

        pool.change("one", gone=(addresses[-1],))
        status = await described
        assert addresses[:-1] == [known.address for known in status.exits]
        assert 3 * EXITS_A_TURN == status.size

    on_loop(test)


def test_a_pool_of_one_slice_is_described_as_it_is_in_one_moment() -> None:
    async def test() -> None:
        pool = Pool()
        addresses = [f"2001:db8::{number:x}" for number in range(1, EXITS_A_TURN + 1)]
        pool.change("one", *map(report, addresses))
        described = asyncio.create_task(pool.describe())
        pool.change("one", gone=(addresses[-1],))
        assert EXITS_A_TURN - 1 == len((await described).exits)

    on_loop(test)
