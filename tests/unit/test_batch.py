"""A batch over a real pool: what begins when, how it pauses, and why it stops."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from dispatcher import batch as module
from dispatcher.actors.messages import AgentGone, Ended, NotTaken, Outcome
from dispatcher.batch import Batch, Finished
from dispatcher.errors import FailureKind
from dispatcher.not_accepted import DrainingError, NoExitError
from dispatcher.recorder import FRESH_SECONDS
from dispatcher.request import RequestSpec
from dispatcher.wire import messages as wire
from tests.unit.loops import on_loop, turns
from tests.unit.scripted import ADDRESSES, SPEC, Coordinator, FullDisk, ScriptedConnection, SlowDisk, completed, kind_of


class Held:
    """Answers nothing until it is told to."""

    def __init__(self) -> None:
        self.answers: list[tuple[wire.Execute, asyncio.Future[Ended]]] = []

    def __call__(self, execute: wire.Execute) -> asyncio.Future[Ended]:
        answer: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self.answers.append((execute, answer))
        return answer

    def let_go(self, count: int = 1) -> None:
        """Answer the first so many that wait."""
        for execute, answer in self.answers[:count]:
            answer.set_result(completed(execute))
        del self.answers[:count]


def batch_of(coordinator: Coordinator, count: int, concurrency: int | None = 4, spec: RequestSpec = SPEC) -> Batch:
    return Batch(coordinator.executions, coordinator.pool, itertools.repeat(spec), count, concurrency)


async def read_all(batch: Batch) -> list[Finished]:
    """Read a batch to its end, as a reader that keeps up does."""
    found: list[Finished] = []
    while finished := await batch.take():
        found += finished
        batch.delivered(finished)
    return found


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 (what is counted has no event)
        await asyncio.sleep(0.001)


def summary(batch: Batch) -> dict[str, Any]:
    found = batch.tally.as_json(batch.count, batch.stopped)
    assert found.pop("seconds") >= 0
    return found


def test_a_batch_takes_the_exits_in_turn_and_has_a_number_for_each_execution() -> None:
    async def test() -> None:
        coordinator = Coordinator(exits=3)
        batch = batch_of(coordinator, 1000)
        await batch.start()
        found = sorted(await read_all(batch), key=lambda each: each.sequence)
        assert list(range(1, 1001)) == [each.sequence for each in found]
        in_turn = list(itertools.islice(itertools.cycle(ADDRESSES[:3]), 1000))
        assert in_turn == [each.record.source_ip for each in found]
        assert in_turn == [execute.source for execute in coordinator.sent]
        assert {each.record.id for each in found} == {row.id for row in coordinator.rows}
        expected = {"count": 1000, "completed": 1000, "failed": 0, "unknown": 0, "by_error": {}, "stopped": None}
        assert expected | {"by_status": {"200": 1000}} == summary(batch)
        batch.close()

    on_loop(test)


def test_the_exits_are_taken_in_turn_after_a_pause_too_when_the_store_is_tried_first() -> None:
    async def test() -> None:
        held = Held()
        coordinator = Coordinator(held, exits=5, max_in_flight=1000)
        batch = batch_of(coordinator, 900, 300)
        pause_of(coordinator)
        await batch.start()
        reading = asyncio.create_task(read_all(batch))
        for _ in range(3):
            await until(lambda: len(held.answers) == 300)
            pause_of(coordinator)
            held.let_go(300)
        found = sorted(await reading, key=lambda each: each.sequence)
        assert list(itertools.islice(itertools.cycle(ADDRESSES[:5]), 900)) == [each.record.source_ip for each in found]
        identifiers = [each.record.id for each in found]
        assert sorted(identifiers) == identifiers
        batch.close()

    on_loop(test)


def pause_of(coordinator: Coordinator) -> None:
    """Let so much time pass since the last commit that the store is in doubt."""
    coordinator.executions._recorder._well_at -= FRESH_SECONDS
    assert coordinator.executions.store_is_in_doubt


def test_no_more_than_the_concurrency_are_on_their_way() -> None:
    async def test() -> None:
        held = Held()
        coordinator = Coordinator(held)
        batch = batch_of(coordinator, 10, 4)
        await batch.start()
        await until(lambda: len(held.answers) == 4)
        await turns(20)
        assert 4 == len(coordinator.sent)
        held.let_go(2)
        await until(lambda: len(coordinator.sent) == 6)
        await turns(20)
        assert (4, 6) == (len(held.answers), len(coordinator.sent))
        batch.close()
        held.let_go(4)

    on_loop(test)


def test_unsaid_the_concurrency_is_what_the_agents_take_and_follows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WIDTH_SECONDS", 0.01)

    async def test() -> None:
        held = Held()
        coordinator = Coordinator(held, exits=0, max_in_flight=1000)
        coordinator.join("agent-01", coordinator.connection, ADDRESSES[:3], takes=6)
        coordinator.join("agent-02", coordinator.connection, ADDRESSES[3:4], takes=100)
        batch = batch_of(coordinator, 10_000, None)
        await batch.start()
        # Three of four leases are of the first agent, so eight at once are six for it.
        await until(lambda: len(held.answers) == 8)
        coordinator.join("agent-01", coordinator.connection, ADDRESSES[:3], takes=12)
        await until(lambda: len(held.answers) == 16)
        batch.close()
        held.let_go(16)

    on_loop(test)


def test_a_reader_that_is_slow_stops_what_would_begin() -> None:
    async def test() -> None:
        coordinator = Coordinator()
        batch = batch_of(coordinator, 1000, 4)
        await batch.start()
        await until(lambda: len(coordinator.finished) == 8)
        await turns(50)
        # Twice as many as may be on their way: they have all ended.
        assert 8 == len(coordinator.sent)
        taken = await batch.take()
        await turns(50)
        assert (8, 8) == (len(taken), len(coordinator.sent))
        batch.delivered(taken[:1])
        await until(lambda: len(coordinator.finished) == 9)
        await turns(50)
        assert 9 == len(coordinator.sent)
        batch.delivered(taken[1:])
        assert 1000 == len(taken) + len(await read_all(batch))
        batch.close()

    on_loop(test)


def test_what_is_answered_makes_room_before_it_is_committed() -> None:
    async def test() -> None:
        SlowDisk.committed = asyncio.get_running_loop().create_future()
        coordinator = Coordinator(history=SlowDisk, max_in_flight=100)
        batch = batch_of(coordinator, 100, 4)
        await batch.start()
        await until(lambda: len(coordinator.rows) == 8)
        await turns(50)
        # Four on their way at a time, and the store has as many again at most: nothing of it is told yet.
        assert (8, []) == (len(coordinator.sent), coordinator.finished)
        SlowDisk.committed.set_result(frozenset())
        assert 100 == len(await read_all(batch))
        batch.close()

    on_loop(test)


def test_bodies_that_wait_for_the_reader_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_BYTES", 100)

    def large(execute: wire.Execute) -> Ended:
        result = wire.Result(execute.id, 200, "OK", "1.1", "::1", execute.source, body_size=60, body=b"x" * 60)
        return Ended(Outcome.COMPLETED, result)

    async def test() -> None:
        coordinator = Coordinator(large, max_in_flight=1)
        batch = batch_of(coordinator, 100, 50)
        await batch.start()
        await until(lambda: len(coordinator.finished) >= 2)
        await turns(50)
        assert 2 == len(coordinator.sent)
        assert 100 == len(await read_all(batch))
        batch.close()

    on_loop(test)


def test_a_batch_overtakes_nobody_whose_place_comes_in_the_same_turn() -> None:
    async def test() -> None:
        held = Held()
        coordinator = Coordinator(held, max_in_flight=2, max_queue=1)
        singles = [coordinator.executions.start(RequestSpec(f"http://single.test/{number}")) for number in range(3)]
        await until(lambda: len(held.answers) == 2)
        batch = batch_of(coordinator, 1, 1)
        await batch.start()
        held.let_go(2)
        await until(lambda: len(held.answers) == 2)
        assert ["http://single.test/2", SPEC.url] == [execute.url for execute in coordinator.sent[2:]]
        held.let_go(2)
        await asyncio.gather(*singles)
        await read_all(batch)
        batch.close()

    on_loop(test)


def test_a_batch_takes_turns_with_single_executions_and_is_never_overloaded() -> None:
    async def test() -> None:
        held = Held()
        coordinator = Coordinator(held, max_in_flight=2, max_queue=3)
        batch = batch_of(coordinator, 6, 4)
        await batch.start()
        reading = asyncio.create_task(read_all(batch))
        await until(lambda: len(held.answers) == 2)
        singles = [coordinator.executions.start(RequestSpec(f"http://single.test/{number}")) for number in range(3)]
        asked = []
        for _ in range(9):
            await until(lambda: bool(held.answers))
            asked.append("single" if "single" in held.answers[0][0].url else "batch")
            held.let_go()
        # One of the batch waited when they came; its next waits behind all that were there before.
        assert ["batch"] * 3 + ["single"] * 3 + ["batch"] * 3 == asked
        assert 6 == len(await reading)
        await asyncio.gather(*singles)
        batch.close()
        await turns()
        assert (0, 0) == (coordinator.executions.in_flight, coordinator.executions.queued)

    on_loop(test)


def test_two_batches_share_the_places() -> None:
    async def test() -> None:
        held = Held()
        coordinator = Coordinator(held, max_in_flight=2)
        batches = [
            batch_of(coordinator, 20, 4, spec=RequestSpec(f"http://{name}.test/", timeout=5)) for name in ("one", "two")
        ]
        for batch in batches:
            await batch.start()
        reading = [asyncio.create_task(read_all(batch)) for batch in batches]
        begun = []
        for _ in range(40):
            await until(lambda: bool(held.answers))
            begun.append(held.answers[0][0].url)
            held.let_go()
        assert 8 <= begun[:20].count("http://one.test/") <= 12
        assert [20, 20] == [len(found) for found in await asyncio.gather(*reading)]
        for batch in batches:
            batch.close()

    on_loop(test)


def test_nothing_begins_once_it_is_closed_and_what_is_in_flight_is_recorded() -> None:
    async def test() -> None:
        held = Held()
        coordinator = Coordinator(held, max_in_flight=3)
        batch = batch_of(coordinator, 100, 8)
        await batch.start()
        await until(lambda: len(held.answers) == 3)
        assert 1 == coordinator.executions.queued
        batch.close()
        assert 0 == coordinator.executions.queued
        held.let_go(3)
        await until(lambda: len(coordinator.rows) == 3)
        await turns(20)
        assert (3, 0) == (len(coordinator.sent), coordinator.executions.in_flight)
        assert await coordinator.executions.drain(1)

    on_loop(test)


def test_a_drain_stops_it_and_the_summary_says_how_far_it_came() -> None:
    async def test() -> None:
        held = Held()
        coordinator = Coordinator(held)
        batch = batch_of(coordinator, 100, 2)
        await batch.start()
        await until(lambda: len(held.answers) == 2)
        draining = asyncio.create_task(coordinator.executions.drain(10))
        await turns()
        held.let_go(2)
        assert await draining
        assert [1, 2] == [each.sequence for each in await read_all(batch)]
        assert "the coordinator is shutting down" == batch.stopped
        assert (100, 2) == (summary(batch)["count"], summary(batch)["completed"])
        batch.close()
        with pytest.raises(DrainingError):
            await batch_of(coordinator, 1).start()

    on_loop(test)


def test_a_batch_that_finds_no_exit_at_its_start_is_not_begun() -> None:
    async def test() -> None:
        coordinator = Coordinator(exits=0)
        with pytest.raises(NoExitError, match="no exit is available"):
            await batch_of(coordinator, 5).start()
        assert [] == coordinator.rows

    on_loop(test)


def leaving(coordinator: Coordinator) -> NotTaken:
    """Answer as the connection of an agent that leaves now, with all its exits."""
    coordinator.pool.tell(AgentGone("agent-01"))
    return NotTaken("the agent left")


def test_a_batch_that_loses_its_exits_pauses_until_one_comes() -> None:
    async def test() -> None:
        coordinator = Coordinator(lambda execute: leaving(coordinator), exits=1)
        batch = batch_of(coordinator, 20, 4)
        await batch.start()
        await until(lambda: batch._pause is not None)
        assert (0, 0) == (len(coordinator.rows), coordinator.executions.in_flight)
        coordinator.join("agent-02", ScriptedConnection.start(completed), ADDRESSES[:2])
        found = await read_all(batch)
        assert (20, None) == (len(found), batch.stopped)
        assert list(range(1, 21)) == sorted(each.sequence for each in found)
        assert {Outcome.COMPLETED} == {each.record.outcome for each in found}
        batch.close()

    on_loop(test)


def test_a_batch_stops_when_no_exit_came_within_the_timeout_and_one_record_says_so() -> None:
    async def test() -> None:
        coordinator = Coordinator(exits=2)
        batch = batch_of(coordinator, 1000, 3, spec=RequestSpec("http://target.test/", timeout=0.3))
        await batch.start()
        taken = await batch.take()
        coordinator.pool.tell(AgentGone("agent-01"))
        batch.delivered(taken)
        found = [*taken, *await read_all(batch)]
        failed = [each.record for each in found if each.record.outcome is Outcome.FAILED]
        assert [FailureKind.NO_EXIT] == [kind_of(record) for record in failed]
        assert "no exit was available for 0.3 s" == batch.stopped
        assert {"no_exit": 1} == summary(batch)["by_error"]
        assert len(found) == len(coordinator.rows) < 1000
        batch.close()

    on_loop(test)


def test_outcomes_statuses_and_kinds_are_counted() -> None:
    numbers = itertools.count()

    def mixed(execute: wire.Execute) -> Ended:
        match next(numbers) % 4:
            case 0:
                return completed(execute)
            case 1:
                result = wire.Result(execute.id, 404, "", "1.1", "::1", execute.source)
                return Ended(Outcome.COMPLETED, result)
            case 2:
                return Ended(Outcome.FAILED, wire.Result(execute.id, error_kind=FailureKind.TIMEOUT))
            case _:
                return Ended(Outcome.UNKNOWN, wire.Result(execute.id, error_kind=FailureKind.AGENT_LOST))

    async def test() -> None:
        coordinator = Coordinator(mixed)
        batch = batch_of(coordinator, 40)
        await batch.start()
        await read_all(batch)
        assert {
            "count": 40,
            "completed": 20,
            "failed": 10,
            "unknown": 10,
            "by_status": {"200": 10, "404": 10},
            "by_error": {"agent_lost": 10, "timeout": 10},
            "stopped": None,
        } == summary(batch)
        batch.close()

    on_loop(test)


def test_a_store_that_fails_stops_the_batch_and_what_had_left_says_that_it_is_not_recorded() -> None:
    async def test() -> None:
        FullDisk.freed = asyncio.Event()
        coordinator = Coordinator(history=FullDisk)
        batch = batch_of(coordinator, 1000, 3)
        await batch.start()
        found = await read_all(batch)
        assert 1 <= len(found) <= 6
        assert all("the disk is full" in each.unrecorded for each in found)
        assert "the disk is full" in str(batch.stopped)
        batch.close()

    on_loop(test)


def test_a_store_that_cannot_be_written_after_a_pause_stops_the_batch_before_anything_is_sent() -> None:
    async def test() -> None:
        FullDisk.freed = asyncio.Event()
        coordinator = Coordinator(history=FullDisk)
        batch = batch_of(coordinator, 1000, 3)
        pause_of(coordinator)
        await batch.start()
        assert [] == await read_all(batch)
        assert ("the disk is full", []) == (batch.stopped, coordinator.sent)
        batch.close()
        await turns()
        assert 0 == coordinator.executions.in_flight

    on_loop(test)


def test_a_drain_ends_a_batch_that_waits_for_an_exit_at_once() -> None:
    async def test() -> None:
        coordinator = Coordinator(lambda execute: leaving(coordinator), exits=1)
        batch = batch_of(coordinator, 20, 4)
        await batch.start()
        await until(lambda: batch._pause is not None)
        assert await coordinator.executions.drain(1)
        assert [] == await read_all(batch)
        assert "the coordinator is shutting down" == batch.stopped
        batch.close()

    on_loop(test)
