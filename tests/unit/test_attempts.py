"""Retries: when there is another attempt, where it goes, and what the record says of each."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import Any

import pytest

from dispatcher.actors.loop_actor import ask
from dispatcher.actors.messages import Ended, ExitState, Lease, LeaseEnd, LeaseExits, NotTaken, Outcome
from dispatcher.actors.setbacks import Finding
from dispatcher.attempts import RETRIED, failed, judge, lease_ended
from dispatcher.errors import FailureKind, Party
from dispatcher.redaction import Redactor
from dispatcher.request import RequestSpec
from dispatcher.wire import messages as wire
from tests.unit.loops import on_loop
from tests.unit.scripted import ADDRESSES, SPEC, Coordinator, Script, completed

TWICE = replace(SPEC, retries=1)
TEN_TIMES = replace(SPEC, retries=10)
KEYED = replace(SPEC, method="POST", headers=(("Idempotency-Key", "k"),), retries=1)


def fails(execute: wire.Execute, kind: FailureKind = FailureKind.CONNECT, outcome: Outcome = Outcome.FAILED) -> Ended:
    return Ended(outcome, wire.Result(execute.id, error_kind=kind, error_detail=f"so it was at {execute.url}"))


def failing(times: int, kind: FailureKind = FailureKind.CONNECT, outcome: Outcome = Outcome.FAILED) -> Script:
    """Fail so often, then answer."""
    left = iter(range(times))
    return lambda execute: completed(execute) if next(left, None) is None else fails(execute, kind, outcome)


def sources(coordinator: Coordinator) -> list[str]:
    return [execute.source for execute in coordinator.sent]


def test_without_retries_there_is_one_attempt_and_the_record_says_nothing_of_it() -> None:
    async def test() -> None:
        coordinator = Coordinator(failing(1))
        record = await coordinator.execute()
        assert (1, Outcome.FAILED) == (len(coordinator.sent), record.outcome)
        assert "attempts" not in coordinator.recorded[0]

    on_loop(test)


def test_each_attempt_goes_out_on_the_next_exit_and_all_of_them_are_in_the_record() -> None:
    async def test() -> None:
        coordinator = Coordinator(failing(2), exits=4)
        record = await coordinator.execute(replace(SPEC, retries=3))
        assert list(ADDRESSES[:3]) == sources(coordinator)
        assert (Outcome.COMPLETED, ADDRESSES[2]) == (record.outcome, record.source_ip)
        (shown,) = coordinator.recorded
        attempts = shown["attempts"]
        assert list(ADDRESSES[:3]) == [attempt["source_ip"] for attempt in attempts]
        assert ["agent-01"] * 3 == [attempt["agent_id"] for attempt in attempts]
        assert ["failed", "failed", "completed"] == [attempt["outcome"] for attempt in attempts]
        assert ["connect", "connect"] == [attempt["error"]["kind"] for attempt in attempts[:2]]
        last = {name: shown[name] for name in ("agent_id", "source_ip", "outcome", "timings", "error")}
        assert last == {name: value for name, value in attempts[-1].items() if name != "started_at"}
        starts = [attempt["started_at"] for attempt in attempts]
        assert sorted(starts) == starts
        assert shown["started_at"] <= starts[0]

    on_loop(test)


def test_an_execution_that_asked_for_retries_and_needed_none_has_one_attempt_in_its_record() -> None:
    async def test() -> None:
        coordinator = Coordinator()
        await coordinator.execute(TWICE)
        assert [ADDRESSES[0]] == [attempt["source_ip"] for attempt in coordinator.recorded[0]["attempts"]]

    on_loop(test)


def test_there_are_as_many_attempts_as_were_asked_for_and_no_more() -> None:
    async def test() -> None:
        coordinator = Coordinator(failing(99), exits=9)
        record = await coordinator.execute(replace(SPEC, retries=2))
        assert (3, Outcome.FAILED) == (len(coordinator.sent), record.outcome)
        assert 1 == len(coordinator.rows)

    on_loop(test)


def test_attempts_have_ids_of_their_own_so_that_a_late_answer_is_not_taken_for_another() -> None:
    async def test() -> None:
        coordinator = Coordinator(failing(2))
        record = await coordinator.execute(TEN_TIMES)
        assert [record.id, f"{record.id}.2", f"{record.id}.3"] == [execute.id for execute in coordinator.sent]

    on_loop(test)


def test_no_exit_is_tried_twice_by_one_execution() -> None:
    async def test() -> None:
        coordinator = Coordinator(failing(99), exits=3)
        record = await coordinator.execute(TEN_TIMES)
        assert list(ADDRESSES[:3]) == sources(coordinator)
        assert ADDRESSES[2] == record.source_ip
        assert FailureKind.CONNECT == coordinator.recorded[0]["error"]["kind"]

    on_loop(test)


def test_an_exit_that_was_tried_is_passed_over_and_keeps_its_turn() -> None:
    async def test() -> None:
        async def script(execute: wire.Execute) -> Ended:
            if execute.source == ADDRESSES[0]:
                await ask(coordinator.pool, LeaseExits())  # another execution takes the exit after it
                return fails(execute)
            return completed(execute)

        coordinator = Coordinator(lambda execute: asyncio.ensure_future(script(execute)), exits=2)
        await coordinator.execute(TWICE)
        assert list(ADDRESSES[:2]) == sources(coordinator)
        (following,) = await ask(coordinator.pool, LeaseExits())
        assert ADDRESSES[0] == following.address

    on_loop(test)


NO_ANSWER = {
    *("source_address", "dns", "connect", "tls", "timeout", "reset"),
    *("overloaded", "agent_lost", "agent_timeout"),
}


def test_what_is_tried_again_is_where_no_answer_came_and_another_exit_may_help() -> None:
    assert set(map(str, RETRIED)) == NO_ANSWER


@pytest.mark.parametrize("kind", FailureKind)
def test_only_where_no_answer_came_is_there_another_attempt(kind: FailureKind) -> None:
    async def test() -> None:
        coordinator = Coordinator(failing(1, kind))
        await coordinator.execute(TWICE)
        assert (2 if str(kind) in NO_ANSWER else 1) == len(coordinator.sent)

    on_loop(test)


@pytest.mark.parametrize("status", [301, 404, 429, 500, 503])
def test_a_status_of_the_target_is_an_answer(status: int) -> None:
    def script(execute: wire.Execute) -> Ended:
        return Ended(Outcome.COMPLETED, replace(completed(execute).result, status=status))

    async def test() -> None:
        coordinator = Coordinator(script)
        assert Outcome.COMPLETED == (await coordinator.execute(TEN_TIMES)).outcome
        assert 1 == len(coordinator.sent)

    on_loop(test)


@pytest.mark.parametrize(("spec", "sent"), [(TWICE, 2), (KEYED, 1)], ids=["GET", "POST with a key"])
def test_where_nobody_knows_whether_it_was_sent_only_an_idempotent_method_is_sent_again(
    spec: RequestSpec, sent: int
) -> None:
    async def test() -> None:
        coordinator = Coordinator(failing(1, FailureKind.AGENT_LOST, Outcome.UNKNOWN))
        await coordinator.execute(spec)
        assert sent == len(coordinator.sent)

    on_loop(test)


def test_what_has_a_key_is_sent_again_where_it_is_known_that_no_answer_came() -> None:
    async def test() -> None:
        coordinator = Coordinator(failing(1, FailureKind.RESET))
        assert Outcome.COMPLETED == (await coordinator.execute(KEYED)).outcome

    on_loop(test)


def test_all_attempts_share_the_time() -> None:
    async def slowly(execute: wire.Execute) -> Ended:
        await asyncio.sleep(0.02)
        return fails(execute)

    async def test() -> None:
        coordinator = Coordinator(lambda execute: asyncio.ensure_future(slowly(execute)), exits=3)
        await coordinator.execute(TEN_TIMES)
        left = [execute.timeout for execute in coordinator.sent]
        assert [True, True] == [after <= before - 0.015 for before, after in itertools.pairwise(left)]

    on_loop(test)


def test_no_attempt_begins_when_the_time_is_up() -> None:
    async def too_long(execute: wire.Execute) -> Ended:
        await asyncio.sleep(execute.timeout + 0.01)
        return fails(execute)

    async def test() -> None:
        coordinator = Coordinator(lambda execute: asyncio.ensure_future(too_long(execute)))
        record = await coordinator.execute(replace(TEN_TIMES, timeout=0.05))
        assert (1, FailureKind.CONNECT) == (len(coordinator.sent), record.failure and record.failure.kind)

    on_loop(test)


def test_every_attempt_counts_at_its_exit() -> None:
    async def test() -> None:
        coordinator = Coordinator(failing(2))
        await coordinator.execute(TEN_TIMES)
        exits = {known.address: known for known in await coordinator.exits()}
        counts = [(exits[a].leased, exits[a].in_flight, exits[a].completed, exits[a].failed) for a in ADDRESSES[:3]]
        assert [(1, 0, 0, 1), (1, 0, 0, 1), (1, 0, 1, 0)] == counts

    on_loop(test)


def test_an_agent_that_takes_nothing_costs_no_attempt() -> None:
    def script(execute: wire.Execute) -> Any:
        return NotTaken("it left") if execute.source == ADDRESSES[0] else completed(execute)

    async def test() -> None:
        coordinator = Coordinator(script)
        await coordinator.execute(TWICE)
        assert [ADDRESSES[1]] == [attempt["source_ip"] for attempt in coordinator.recorded[0]["attempts"]]

    on_loop(test)


def test_no_secret_is_in_an_attempt() -> None:
    async def test() -> None:
        coordinator = Coordinator(failing(1))
        await coordinator.execute(TWICE)
        assert b"so it was at https://" in coordinator.rows[0].record
        assert b"s3cret" not in coordinator.rows[0].record

    on_loop(test)


def test_the_wait_for_a_turn_is_the_first_attempts() -> None:
    async def test() -> None:
        answer: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        script = failing(1)
        coordinator = Coordinator(
            lambda execute: answer if execute.url == "http://first/" else script(execute), max_in_flight=1, max_queue=1
        )
        first = coordinator.executions.start(RequestSpec("http://first/"))
        second = coordinator.executions.start(TWICE)
        asyncio.get_running_loop().call_later(0.04, lambda: answer.set_result(completed(coordinator.sent[0])))
        await asyncio.gather(first, second)
        waits = [attempt["timings"]["queued"] for attempt in coordinator.recorded[1]["attempts"]]
        assert waits[0] >= 35.0
        assert 0.0 == waits[1]

    on_loop(test)


# What the end of an attempt says of its exit

OF_THE_EXIT = {("source_address", "agent"), ("connect", "agent")}
SAYS_NOTHING = {
    *("target_has_no_ipv6", "dns", "blocked_target", "no_exit", "overloaded", "agent_lost", "agent_timeout"),
    *("invalid_result", "internal", "source_mismatch"),
}


@pytest.mark.parametrize("kind", FailureKind)
@pytest.mark.parametrize("party", [None, *Party])
def test_only_what_a_gateway_could_not_bind_or_route_counts_against_an_exit(
    kind: FailureKind, party: Party | None
) -> None:
    found = judge(wire.Result("x", error_kind=kind, error_detail="x", error_party=party))
    at_fault = str(party or kind.usual_party)
    assert (found is Finding.FAILS) == (kind is FailureKind.SOURCE_ADDRESS or (str(kind), at_fault) in OF_THE_EXIT)
    if party is None and found is not Finding.FAILS:
        assert (Finding.NOTHING if str(kind) in SAYS_NOTHING else Finding.WORKS) is found


def test_an_answer_shows_that_an_exit_works() -> None:
    assert Finding.WORKS is judge(wire.Result("x", 503))


WORKED = LeaseEnd(1, Outcome.COMPLETED, Finding.WORKS)
LEASE = Lease("one", "2001:db8::1", None, 1, WORKED)  # type: ignore[arg-type]  # nobody is told anything


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (Ended(Outcome.COMPLETED, wire.Result("x", 503)), WORKED),
        (failed("x", FailureKind.RESET, "x"), LeaseEnd(1, Outcome.FAILED, Finding.WORKS)),
        (failed("x", FailureKind.AGENT_LOST, "x"), LeaseEnd(1, Outcome.FAILED, Finding.NOTHING)),
        (NotTaken("it left"), LeaseEnd(1, Outcome.FAILED, Finding.NOTHING)),
    ],
)
def test_the_end_of_a_lease_says_how_it_ended_and_what_that_tells_of_its_exit(
    ended: Ended | NotTaken, expected: LeaseEnd
) -> None:
    assert expected == lease_ended(LEASE, ended, SPEC, Redactor())


def test_why_an_exit_is_aside_is_one_short_line_whatever_its_agent_says() -> None:
    ended = failed("7", FailureKind.SOURCE_ADDRESS, "no\n\x1b[2Jroute " + "x" * 4000)
    why = lease_ended(LEASE, ended, SPEC, Redactor()).why
    assert f"no??[2Jroute {'x' * 287} (execution 7)" == why


def test_an_exit_that_could_not_be_bound_is_put_aside_and_its_reason_is_the_failures() -> None:
    async def test() -> None:
        coordinator = Coordinator(failing(1, FailureKind.SOURCE_ADDRESS))
        record = await coordinator.execute()
        shown = {known.address: known for known in await coordinator.exits()}[ADDRESSES[0]]
        assert ExitState.ASIDE == shown.state
        said = "so it was at https://[redacted]@target.example/"
        assert f"set aside, failure 1 in a row: {said} (execution {record.id})" == shown.reason
        await asyncio.gather(*(coordinator.execute() for _ in range(4)))
        assert [ADDRESSES[1], ADDRESSES[2]] * 2 == sources(coordinator)[1:]

    on_loop(test)
