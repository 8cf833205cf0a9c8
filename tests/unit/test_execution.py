"""One execution from its lease to its record: with a real pool, a scripted agent and a history of one fault each."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dispatcher import execution as module
from dispatcher.actors.loop_actor import stop_actor
from dispatcher.actors.messages import (
    Ended,
    NotTaken,
    Outcome,
)
from dispatcher.errors import FailureKind
from dispatcher.execution import LEASES_AT_MOST
from dispatcher.request import RequestSpec
from dispatcher.wire import messages as wire
from tests.unit.loops import on_loop
from tests.unit.scripted import ADDRESSES, SPEC, Coordinator, ScriptedConnection, completed, kind_of


def test_an_execution_goes_through_the_next_exit_and_is_recorded() -> None:
    async def test() -> None:
        coordinator = Coordinator()
        records = [await coordinator.execute() for _ in range(4)]
        assert [*ADDRESSES[:3], ADDRESSES[0]] == [execute.source for execute in coordinator.sent]
        assert [execute.source for execute in coordinator.sent] == [record.source_ip for record in records]
        assert [Outcome.COMPLETED] * 4 == [record.outcome for record in records]
        assert [record.id for record in records] == [row.id for row in coordinator.rows]
        assert records == coordinator.finished
        assert 0 == coordinator.executions.in_flight

    on_loop(test)


def test_ids_are_in_the_order_of_the_starts() -> None:
    async def test() -> None:
        coordinator = Coordinator(max_in_flight=100)
        tasks = [coordinator.executions.start(SPEC) for _ in range(100)]
        records = await asyncio.gather(*tasks)
        assert sorted(record.id for record in records) == [record.id for record in records]

    on_loop(test)


def test_the_agent_is_sent_the_request_as_it_is_with_what_is_left_of_its_time() -> None:
    async def test() -> None:
        coordinator = Coordinator()
        await coordinator.execute()
        (sent,) = coordinator.sent
        assert (SPEC.url, SPEC.headers) == (sent.url, sent.headers)
        assert SPEC.timeout - 5 < sent.timeout <= SPEC.timeout

    on_loop(test)


def test_no_exit_is_a_recorded_failure_of_the_coordinator() -> None:
    async def test() -> None:
        coordinator = Coordinator(exits=0)
        record = await coordinator.execute()
        assert (Outcome.FAILED, FailureKind.NO_EXIT) == (record.outcome, kind_of(record))
        assert (None, None) == (record.agent_id, record.source_ip)
        assert "coordinator" == coordinator.recorded[0]["error"]["attributed_to"]

    on_loop(test)


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UNKNOWN])
def test_how_the_agent_ended_it_is_how_it_is_recorded(outcome: Outcome) -> None:
    async def test() -> None:
        coordinator = Coordinator(
            lambda execute: Ended(outcome, wire.Result(execute.id, error_kind=FailureKind.AGENT_LOST, error_detail="x"))
        )
        record = await coordinator.execute()
        assert (outcome, FailureKind.AGENT_LOST) == (record.outcome, kind_of(record))
        assert ("agent-01", ADDRESSES[0]) == (record.agent_id, record.source_ip)
        assert str(outcome) == coordinator.recorded[0]["outcome"]

    on_loop(test)


def test_what_no_agent_measured_took_as_long_as_its_caller_waited() -> None:
    async def test() -> None:
        lost = wire.Result("x", error_kind=FailureKind.AGENT_LOST, error_detail="x")
        record = await Coordinator(lambda _: Ended(Outcome.UNKNOWN, lost)).execute()
        total = record.timings["total"]
        assert 0 < total <= record.finished_at_ms - record.started_at_ms + 1

    on_loop(test)


def test_an_agent_that_takes_nothing_is_passed_over() -> None:
    async def test() -> None:
        coordinator = Coordinator(lambda _: NotTaken("it went away"), exits=1)
        other = ScriptedConnection.start(completed)
        coordinator.join("agent-02", other, (ADDRESSES[5],))
        record = await coordinator.execute()
        assert (Outcome.COMPLETED, "agent-02") == (record.outcome, record.agent_id)
        assert 1 == len(coordinator.rows)

    on_loop(test)


def test_an_agent_whose_connection_is_gone_is_passed_over() -> None:
    async def test() -> None:
        coordinator = Coordinator(exits=1)
        await stop_actor(coordinator.connection)
        other = ScriptedConnection.start(completed)
        coordinator.join("agent-02", other, (ADDRESSES[5],))
        assert "agent-02" == (await coordinator.execute()).agent_id

    on_loop(test)


def test_exits_that_take_nothing_are_tried_so_many_times_and_no_more() -> None:
    async def test() -> None:
        coordinator = Coordinator(lambda _: NotTaken("it drains"), exits=20)
        record = await coordinator.execute()
        assert LEASES_AT_MOST == len(coordinator.sent)
        assert (Outcome.FAILED, FailureKind.AGENT_LOST) == (record.outcome, kind_of(record))
        assert "it drains" == coordinator.recorded[0]["error"]["detail"]

    on_loop(test)


def test_the_time_that_passed_over_one_exit_is_missing_at_the_next() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        away: asyncio.Future[NotTaken] = loop.create_future()
        loop.call_later(0.05, away.set_result, NotTaken("it went away"))
        coordinator = Coordinator(lambda execute: away if execute.source == ADDRESSES[0] else completed(execute))
        await coordinator.execute()
        first, second = coordinator.sent
        assert second.timeout <= first.timeout - 0.04

    on_loop(test)


def test_every_lease_is_given_back() -> None:
    async def test() -> None:
        def script(execute: wire.Execute) -> Any:
            return NotTaken("no") if execute.source == ADDRESSES[0] else completed(execute)

        coordinator = Coordinator(script)
        for _ in range(5):
            await coordinator.execute()
        assert [0, 0, 0] == [one.in_flight for one in await coordinator.exits()]
        assert 5 == sum(one.completed for one in await coordinator.exits())

    on_loop(test)


@pytest.mark.parametrize("fault", [ZeroDivisionError("by nought"), TimeoutError()])
def test_what_goes_wrong_after_it_may_have_been_sent_leaves_its_outcome_unknown(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def script(_: wire.Execute) -> None:
        raise fault

    async def test() -> None:
        coordinator = Coordinator(script)
        record = await coordinator.execute()
        assert (Outcome.UNKNOWN, FailureKind.INTERNAL) == (record.outcome, kind_of(record))
        assert 1 == len(coordinator.rows)
        assert [0, 0, 0] == [one.in_flight for one in await coordinator.exits()]

    on_loop(test)
    assert "failed inside the coordinator" in caplog.text


def test_a_connection_that_never_answers_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_MARGIN_SECONDS", -0.99)

    async def test() -> None:
        never = asyncio.get_running_loop().create_future()
        coordinator = Coordinator(lambda _: never)
        record = await coordinator.execute(RequestSpec("http://x/", timeout=0.01))
        assert (Outcome.UNKNOWN, FailureKind.INTERNAL) == (record.outcome, kind_of(record))

    on_loop(test)
