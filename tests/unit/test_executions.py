"""One execution from its lease to its record: with a real pool, a scripted agent and a history of one fault each."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pykka
import pytest

from dispatcher import attempts as module
from dispatcher.actors.errors import StoreError
from dispatcher.actors.loop_actor import LoopActor, ask, stop_actor
from dispatcher.actors.messages import (
    AppendRecord,
    CheckStore,
    DescribePool,
    Ended,
    ExitsChanged,
    ExitStatus,
    NotTaken,
    Outcome,
    RecordRow,
    RunExecution,
)
from dispatcher.actors.pool import IpPool
from dispatcher.attempts import LEASES_AT_MOST
from dispatcher.errors import FailureKind
from dispatcher.executions import (
    AbandonedError,
    DrainingError,
    Executions,
    Limits,
    OverloadedError,
    StoreUnavailableError,
)
from dispatcher.record import Record
from dispatcher.recorder import UnrecordedError
from dispatcher.redaction import Redactor
from dispatcher.request import RequestSpec
from dispatcher.wire import messages as wire
from tests.unit.loops import on_loop, turns

SPEC = RequestSpec("https://user:s3cret@target.example/", headers=(("Authorization", "Bearer t0ken"),), timeout=30.0)
ADDRESSES = tuple(f"2001:db8::{number:x}" for number in range(1, 21))

Script = Callable[[wire.Execute], Any]


def completed(execute: wire.Execute) -> Ended:
    result = wire.Result(execute.id, 200, "OK", "1.1", "::1", execute.source, body_size=2, body=b"ok")
    return Ended(Outcome.COMPLETED, result)


class ScriptedConnection(LoopActor):
    """An agent's connection that answers as its script says."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script

    def on_receive(self, message: Any) -> Any:
        assert isinstance(message, RunExecution)
        return self._script(message.execute)


class History(LoopActor):
    """Keeps what it is told to append."""

    def __init__(self, rows: list[RecordRow]) -> None:
        super().__init__()
        self.rows = rows

    def on_receive(self, message: Any) -> Any:
        match message:
            case AppendRecord():
                return self._append(message.row)
            case CheckStore():
                return self._check()

    def _append(self, row: RecordRow) -> Any:
        self.rows.append(row)

    def _check(self) -> str | None:
        return None


class FullDisk(History):
    """Can write nothing until `freed` is set."""

    freed: asyncio.Event

    def _append(self, row: RecordRow) -> None:
        if not self.freed.is_set():
            raise StoreError("the disk is full")
        super()._append(row)

    def _check(self) -> str | None:
        return None if self.freed.is_set() else "the disk is full"


class SlowDisk(History):
    """Commits only once `committed` is done."""

    committed: asyncio.Future[None]

    def _append(self, row: RecordRow) -> asyncio.Future[None]:
        super()._append(row)
        return self.committed


class Coordinator:
    """Executions over a pool of one scripted agent."""

    def __init__(
        self,
        script: Script = completed,
        *,
        exits: int = 3,
        max_in_flight: int = 10,
        max_queue: int = 0,
        history: type[History] = History,
    ) -> None:
        self.rows: list[RecordRow] = []
        self.finished: list[Record] = []
        self.sent: list[wire.Execute] = []
        self.pool = IpPool.start()
        self.history = history.start(self.rows)
        self.connection = ScriptedConnection.start(self._note(script))
        if exits:
            self.join("agent-01", self.connection, ADDRESSES[:exits])
        self.executions = Executions(
            pool=self.pool,
            history=self.history,
            redactor=Redactor(),
            limits=Limits(max_in_flight, max_queue, 1.0, 1000),
            on_finished=self.finished.append,
        )

    def _note(self, script: Script) -> Script:
        def noted(execute: wire.Execute) -> Any:
            self.sent.append(execute)
            return script(execute)

        return noted

    def join(
        self, agent_id: str, connection: pykka.ActorRef[Any], addresses: tuple[str, ...], *, takes: int = 256
    ) -> None:
        reports = tuple(wire.AddressReport(address, wire.AddressState.PREFERRED) for address in addresses)
        self.pool.tell(ExitsChanged(agent_id, connection, reports, max_concurrency=takes))

    async def execute(self, spec: RequestSpec = SPEC) -> Record:
        return await self.executions.start(spec)

    async def exits(self) -> tuple[ExitStatus, ...]:
        return (await ask(self.pool, DescribePool())).exits

    @property
    def recorded(self) -> list[dict[str, Any]]:
        return [json.loads(row.record) for row in self.rows]


def kind_of(record: Record) -> FailureKind:
    assert record.failure is not None
    return record.failure.kind


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
        assert record.result is not None
        total = record.result.timings["total"]
        assert 0 < total <= (record.finished_at - record.started_at) * 1000 + 1

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


# Promise 3: a reply implies a record


def test_the_record_is_committed_before_the_reply() -> None:
    async def test() -> None:
        SlowDisk.committed = asyncio.get_running_loop().create_future()
        coordinator = Coordinator(history=SlowDisk)
        task = coordinator.executions.start(SPEC)
        await turns(20)
        assert 1 == len(coordinator.rows)
        assert (False, []) == (task.done(), coordinator.finished)
        SlowDisk.committed.set_result(None)
        assert (await task).id == coordinator.rows[0].id
        assert 1 == len(coordinator.finished)

    on_loop(test)


def test_a_store_that_fails_is_told_then_refuses_what_is_new_and_is_well_again() -> None:
    async def test() -> None:
        FullDisk.freed = asyncio.Event()
        coordinator = Coordinator(history=FullDisk)
        with pytest.raises(UnrecordedError, match=r"ended as completed, but .* the disk is full") as raised:
            await coordinator.execute()
        assert Outcome.COMPLETED == raised.value.record.outcome
        with pytest.raises(StoreUnavailableError, match="the disk is full"):
            await coordinator.execute()
        assert 1 == len(coordinator.sent)
        FullDisk.freed.set()
        record = await coordinator.execute()
        assert await coordinator.executions.check_store() is None
        assert [raised.value.record.id, record.id] == [row.id for row in coordinator.rows]
        assert [record] == coordinator.finished

    on_loop(test)


def test_ids_are_in_the_order_of_the_leases_though_some_waited_for_the_store() -> None:
    async def test() -> None:
        FullDisk.freed = asyncio.Event()
        coordinator = Coordinator(history=FullDisk, max_in_flight=100)
        with pytest.raises(UnrecordedError):
            await coordinator.execute()
        FullDisk.freed.set()
        tasks = []
        for _ in range(40):
            tasks.append(coordinator.executions.start(SPEC))
            await turns(1)
        await asyncio.gather(*tasks)
        sent = [execute.id for execute in coordinator.sent]
        assert 41 == len(sent)
        assert sorted(sent) == sent

    on_loop(test)


def test_a_history_that_is_gone_is_a_store_that_fails() -> None:
    async def test() -> None:
        coordinator = Coordinator()
        await stop_actor(coordinator.history)
        with pytest.raises(UnrecordedError):
            await coordinator.execute()
        with pytest.raises(StoreUnavailableError, match="the history does not answer"):
            await coordinator.execute()

    on_loop(test)


def test_a_record_that_was_lost_is_logged_though_its_caller_went_away(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        FullDisk.freed = asyncio.Event()
        coordinator = Coordinator(history=FullDisk)
        await asyncio.wait([coordinator.executions.start(SPEC)])

    on_loop(test)
    assert "its record could not be kept: the disk is full" in caplog.text
    assert "s3cret" not in caplog.text
    assert "t0ken" not in caplog.text


def test_what_fails_inside_is_logged_though_its_caller_went_away(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        coordinator = Coordinator()
        await stop_actor(coordinator.pool)
        await asyncio.wait([coordinator.executions.start(SPEC)])
        assert 0 == coordinator.executions.in_flight

    on_loop(test)
    (logged,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "an execution failed inside the coordinator" == logged.getMessage()


def test_a_caller_that_goes_away_does_not_end_its_execution() -> None:
    async def test() -> None:
        answer = asyncio.get_running_loop().create_future()
        coordinator = Coordinator(lambda _: answer)

        async def call() -> Record:
            return await asyncio.shield(coordinator.executions.start(SPEC))

        caller = asyncio.create_task(call())
        await turns(10)
        caller.cancel()
        await asyncio.wait([caller])
        assert 1 == coordinator.executions.in_flight
        answer.set_result(completed(coordinator.sent[0]))
        assert await coordinator.executions.drain(5)
        assert [coordinator.sent[0].id] == [row.id for row in coordinator.rows]

    on_loop(test)


# What is not begun


def test_no_more_are_begun_than_may_be_in_flight() -> None:
    async def test() -> None:
        answers: list[asyncio.Future[Ended]] = []

        def script(_: wire.Execute) -> asyncio.Future[Ended]:
            answers.append(asyncio.get_running_loop().create_future())
            return answers[-1]

        coordinator = Coordinator(script, max_in_flight=3)
        tasks = [coordinator.executions.start(SPEC) for _ in range(3)]
        with pytest.raises(OverloadedError, match="3 executions are in flight and 0 wait"):
            coordinator.executions.start(SPEC)
        await turns(10)
        answers[0].set_result(completed(coordinator.sent[0]))
        await tasks[0]
        coordinator.executions.start(SPEC)
        assert 3 == coordinator.executions.in_flight
        await turns(10)
        for answer, execute in zip(answers[1:], coordinator.sent[1:], strict=True):
            answer.set_result(completed(execute))
        assert await coordinator.executions.drain(5)
        assert 4 == len(coordinator.rows)

    on_loop(test)


class Held:
    """A script that answers each execution when it is let go."""

    def __init__(self) -> None:
        self.answers: dict[str, asyncio.Future[Ended]] = {}

    def __call__(self, execute: wire.Execute) -> asyncio.Future[Ended]:
        self.answers[execute.url] = asyncio.get_running_loop().create_future()
        return self.answers[execute.url]

    def let_go(self, coordinator: Coordinator, url: str) -> None:
        sent = next(execute for execute in coordinator.sent if execute.url == url)
        self.answers[url].set_result(completed(sent))


def urls(coordinator: Coordinator) -> list[str]:
    return [execute.url for execute in coordinator.sent]


def test_past_as_many_as_may_be_in_flight_they_wait_and_begin_in_the_order_they_came() -> None:
    async def test() -> None:
        held = Held()
        coordinator = Coordinator(held, max_in_flight=2, max_queue=3)
        tasks = [coordinator.executions.start(RequestSpec(f"http://{number}/")) for number in range(5)]
        await turns(10)
        assert (2, 3) == (coordinator.executions.in_flight, coordinator.executions.queued)
        assert ["http://0/", "http://1/"] == urls(coordinator)
        with pytest.raises(OverloadedError, match="2 executions are in flight and 3 wait"):
            coordinator.executions.start(SPEC)
        for number in (1, 0, 2, 3, 4):
            held.let_go(coordinator, f"http://{number}/")
            await tasks[number]
            await turns(10)
        assert [f"http://{number}/" for number in range(5)] == urls(coordinator)
        assert [ADDRESSES[number % 3] for number in range(5)] == [execute.source for execute in coordinator.sent]
        assert (0, 0) == (coordinator.executions.in_flight, coordinator.executions.queued)
        assert 5 == len(coordinator.rows)

    on_loop(test)


def test_the_wait_for_a_turn_is_in_the_timings_and_is_missing_at_the_agent() -> None:
    async def test() -> None:
        held = Held()
        coordinator = Coordinator(held, max_in_flight=1, max_queue=1)
        first, second = (coordinator.executions.start(RequestSpec(f"http://{name}/")) for name in "ab")
        asyncio.get_running_loop().call_later(0.05, lambda: held.let_go(coordinator, "http://a/"))
        at_once = await first
        await turns(10)
        sent = coordinator.sent[1]
        measured = wire.Result(
            sent.id, 200, "OK", "1.1", "::1", sent.source, timings={"queued": 2.0, "wait": 7.0, "total": 9.0}
        )
        held.answers[sent.url].set_result(Ended(Outcome.COMPLETED, measured))
        waited = (await second).as_json(None)["timings"]
        assert sent.timeout <= SPEC.timeout - 0.04
        assert 0.0 == at_once.as_json(None)["timings"]["queued"]
        assert waited["queued"] >= 42.0
        assert pytest.approx(waited["total"], abs=0.01) == waited["queued"] + 7.0
        assert 7.0 == waited["wait"]

    on_loop(test)


def test_one_whose_time_is_up_while_it_waits_is_recorded_and_nothing_of_it_was_sent() -> None:
    async def test() -> None:
        held = Held()
        coordinator = Coordinator(held, max_in_flight=1, max_queue=1)
        first = coordinator.executions.start(SPEC)
        record = await coordinator.executions.start(RequestSpec("http://late/", timeout=0.03))
        assert (Outcome.FAILED, FailureKind.TIMEOUT, None) == (record.outcome, kind_of(record), record.source_ip)
        shown = coordinator.recorded[0]
        assert "coordinator" == shown["error"]["attributed_to"]
        assert "the time was up in phase queued" in shown["error"]["detail"]
        assert shown["timings"]["queued"] >= 25.0
        assert 0 == coordinator.executions.queued
        held.let_go(coordinator, SPEC.url)
        await first
        assert [SPEC.url] == urls(coordinator)
        assert 0 == coordinator.executions.in_flight

    on_loop(test)


def test_one_whose_caller_goes_away_leaves_the_queue_and_no_record() -> None:
    async def test() -> None:
        held = Held()
        coordinator = Coordinator(held, max_in_flight=1, max_queue=2)
        tasks = [coordinator.executions.start(RequestSpec(f"http://{name}/")) for name in "abc"]
        coordinator.executions.abandon(tasks[1])
        with pytest.raises(AbandonedError):
            await tasks[1]
        await turns(10)
        assert 1 == coordinator.executions.queued
        held.let_go(coordinator, "http://a/")
        await turns(10)
        held.let_go(coordinator, "http://c/")
        await tasks[2]
        assert ["http://a/", "http://c/"] == urls(coordinator)
        assert 2 == len(coordinator.rows)

    on_loop(test)


def test_one_that_has_begun_cannot_be_abandoned() -> None:
    async def test() -> None:
        held = Held()
        coordinator = Coordinator(held, max_in_flight=1)
        task = coordinator.executions.start(SPEC)
        coordinator.executions.abandon(task)
        await turns(10)
        held.let_go(coordinator, SPEC.url)
        assert Outcome.COMPLETED == (await task).outcome
        coordinator.executions.abandon(task)

    on_loop(test)


def test_a_coordinator_that_drains_finishes_what_waits_too() -> None:
    async def test() -> None:
        held = Held()
        coordinator = Coordinator(held, max_in_flight=1, max_queue=1)
        tasks = [coordinator.executions.start(RequestSpec(f"http://{name}/")) for name in "ab"]
        draining = asyncio.create_task(coordinator.executions.drain(5))
        for name in "ab":
            await turns(10)
            held.let_go(coordinator, f"http://{name}/")
        assert await draining
        assert [Outcome.COMPLETED] * 2 == [task.result().outcome for task in tasks]

    on_loop(test)


def test_a_coordinator_that_drains_begins_nothing_and_waits_for_what_it_has() -> None:
    async def test() -> None:
        answer = asyncio.get_running_loop().create_future()
        coordinator = Coordinator(lambda _: answer)
        task = coordinator.executions.start(SPEC)
        draining = asyncio.create_task(coordinator.executions.drain(5))
        await turns(10)
        assert coordinator.executions.is_draining
        with pytest.raises(DrainingError):
            coordinator.executions.start(SPEC)
        assert not draining.done()
        answer.set_result(completed(coordinator.sent[0]))
        assert await draining
        assert (await task).id == coordinator.rows[0].id

    on_loop(test)


def test_a_drain_ends_at_its_deadline_and_says_so() -> None:
    async def test() -> None:
        answer = asyncio.get_running_loop().create_future()
        coordinator = Coordinator(lambda _: answer)
        coordinator.executions.start(SPEC)
        assert not await coordinator.executions.drain(0.01)
        answer.set_result(completed(coordinator.sent[0]))
        assert await coordinator.executions.drain(5)

    on_loop(test)


def test_a_drain_of_nothing_ends_at_once() -> None:
    async def test() -> None:
        assert await Coordinator().executions.drain(0)

    on_loop(test)
