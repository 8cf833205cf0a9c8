"""Promise 3: a reply implies a record, whatever the store and the caller do."""

from __future__ import annotations

import asyncio
import logging

import pytest

from dispatcher.actors.loop_actor import stop_actor
from dispatcher.actors.messages import (
    Outcome,
)
from dispatcher.not_accepted import (
    StoreUnavailableError,
)
from dispatcher.record import Record
from dispatcher.recorder import UnrecordedError
from tests.unit.loops import on_loop, turns
from tests.unit.scripted import SPEC, Coordinator, FullDisk, SlowDisk, completed


def test_the_record_is_committed_before_the_reply() -> None:
    async def test() -> None:
        SlowDisk.committed = asyncio.get_running_loop().create_future()
        coordinator = Coordinator(history=SlowDisk)
        task = coordinator.executions.start(SPEC)
        await turns(20)
        assert 1 == len(coordinator.rows)
        assert (False, []) == (task.done(), coordinator.finished)
        SlowDisk.committed.set_result(frozenset())
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
    (logged,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "records that could not be kept: 1 (the disk is full)" == logged.getMessage()
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
