"""`IpPool` and exits that fail: put aside, let back, tried once, and back in the round."""

from __future__ import annotations

import logging

import pytest

from dispatcher.actors.messages import ExitState, Outcome
from dispatcher.actors.setbacks import Finding
from dispatcher.wire.messages import AddressState
from tests.unit.actors.pooled import A, B, C, Pool, report
from tests.unit.loops import on_loop, turns


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
