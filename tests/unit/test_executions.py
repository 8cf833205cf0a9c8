"""How many executions begin, which wait, and which are not begun."""

from __future__ import annotations

import asyncio

import pytest

from dispatcher.actors.messages import (
    Ended,
    Outcome,
)
from dispatcher.errors import FailureKind
from dispatcher.execution import Execution
from dispatcher.not_accepted import (
    AbandonedError,
    DrainingError,
    OverloadedError,
)
from dispatcher.request import RequestSpec
from dispatcher.wire import messages as wire
from tests.unit.loops import on_loop, turns
from tests.unit.scripted import ADDRESSES, SPEC, Coordinator, completed, kind_of


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


def test_whoever_is_told_by_a_call_gets_the_execution_once_with_its_record() -> None:
    async def test() -> None:
        held = Held()
        coordinator = Coordinator(held)
        ended: list[tuple[object, Outcome | None]] = []

        def hear(execution: Execution) -> None:
            ended.append((execution.caller, execution.record and execution.record.outcome))

        for caller in "ab":
            coordinator.executions.start_for(caller, RequestSpec(f"http://{caller}/"), hear)
        await turns(10)
        assert [] == ended
        for caller in "ba":
            held.let_go(coordinator, f"http://{caller}/")
            await turns(10)
        assert [("b", Outcome.COMPLETED), ("a", Outcome.COMPLETED)] == ended

    on_loop(test)


def test_an_execution_that_leaves_the_queue_ends_as_abandoned_and_one_that_has_begun_goes_on() -> None:
    async def test() -> None:
        held = Held()
        coordinator = Coordinator(held, max_in_flight=1, max_queue=1)
        errors: list[Exception | None] = []
        begun, waiting = (
            coordinator.executions.start_for(
                None, RequestSpec(f"http://{name}/"), lambda ended: errors.append(ended.error)
            )
            for name in "ab"
        )
        await turns(10)
        coordinator.executions.leave_queue(waiting)
        coordinator.executions.leave_queue(begun)
        await turns(10)
        assert [AbandonedError] == [type(error) for error in errors]
        assert (1, 0) == (coordinator.executions.in_flight, coordinator.executions.queued)
        held.let_go(coordinator, "http://a/")
        await turns(10)
        coordinator.executions.leave_queue(begun)
        assert [None] == errors[1:]
        assert ["http://a/"] == urls(coordinator)
        assert 1 == len(coordinator.rows)

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
        draining = asyncio.create_task(coordinator.executions.drain(1000))
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


def test_what_had_its_place_already_and_begins_after_a_drain_is_waited_for_by_the_next() -> None:
    async def test() -> None:
        held = Held()
        coordinator = Coordinator(held)
        executions = coordinator.executions
        place = executions.take_place()
        executions.start(RequestSpec("http://a/"))
        draining = asyncio.create_task(executions.drain(1000))
        await turns(10)
        held.let_go(coordinator, "http://a/")
        assert await draining
        late = executions.make(
            RequestSpec("http://b/"), place, None, on_answer=lambda _: None, on_end=lambda _: None, needs_exit=False
        )
        executions.begin([late])
        draining = asyncio.create_task(executions.drain(1000))
        await turns(10)
        assert not draining.done()
        held.let_go(coordinator, "http://b/")
        assert await draining

    on_loop(test)


def test_a_drain_of_nothing_ends_at_once() -> None:
    async def test() -> None:
        assert await Coordinator().executions.drain(0)

    on_loop(test)
