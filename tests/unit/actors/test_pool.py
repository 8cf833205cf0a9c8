"""`IpPool` as an actor: what agents tell it, what it leases, and what it counts."""

from __future__ import annotations

import asyncio
import time

from dispatcher.actors.loop_actor import ask
from dispatcher.actors.messages import (
    AgentGone,
    CountPlaces,
    DescribePool,
    ExitsChanged,
    ExitState,
    LeaseEnd,
    LeaseExits,
    Outcome,
    PoolStatus,
)
from dispatcher.actors.pool import EXITS_A_TURN, IpPool
from dispatcher.actors.setbacks import Finding
from dispatcher.wire.messages import AddressReport, AddressState
from tests.unit.actors.pooled import A, B, C, Connection, Pool, report
from tests.unit.loops import on_loop, turns


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
        assert LeaseEnd(lease.stay, Outcome.COMPLETED, Finding.WORKS) == lease.worked

    on_loop(test)


def test_a_lease_names_the_connection_that_told_of_the_exit_last() -> None:
    async def test() -> None:
        pool = Pool()
        pool.change("one", report(A))
        first, pool.connection = await pool.lease(), Connection.start()
        pool.change("one", report(A))
        second = await pool.lease()
        assert (pool.connection, first.stay) == (second.connection, second.stay)
        assert first.connection != second.connection

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
