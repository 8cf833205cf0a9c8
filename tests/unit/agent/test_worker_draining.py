"""A worker that drains: what it waits for, for how long, and what it says meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dispatcher.wire.messages import Draining, Holding
from tests.unit.agent.working import EXECUTE, RESULT, Bench, KeptLink, report
from tests.unit.loops import on_loop, turns


def test_draining_waits_for_what_runs_and_for_its_result_to_leave() -> None:
    async def test() -> None:
        bench = Bench()
        bench.worker.on_execute(bench.link, EXECUTE)
        draining = asyncio.create_task(bench.worker.drain(5.0))
        await turns()
        assert not draining.done()
        bench.executor.finish("x1")
        await draining
        assert [Draining(), RESULT, "flushed"] == bench.link.sent

    on_loop(test)


def test_draining_finishes_what_came_before_the_coordinator_knew() -> None:
    async def test() -> None:
        bench = Bench(answers_drain=False)
        draining = asyncio.create_task(bench.worker.drain(5.0))
        await turns()
        bench.worker.on_execute(bench.link, EXECUTE)
        bench.worker.on_draining()
        await turns()
        assert not draining.done()
        bench.executor.finish("x1")
        await draining
        assert RESULT in bench.link.sent

    on_loop(test)


def test_draining_ends_after_its_time_and_says_what_is_left(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        bench = Bench()
        bench.worker.on_execute(bench.link, EXECUTE)
        await bench.worker.drain(0.05)
        bench.executor.finish("x1")

    on_loop(test)
    assert ["1 executions outlasted --drain-timeout"] == caplog.messages


def test_a_coordinator_that_does_not_answer_a_drain_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        await Bench(answers_drain=False).worker.drain(0.05)

    on_loop(test)
    assert ["the coordinator did not answer that this agent drains"] == caplog.messages


def test_draining_without_a_link_ends_at_once() -> None:
    async def test() -> None:
        bench = Bench()
        bench.worker.on_execute(bench.link, EXECUTE)
        bench.worker.on_lost(bench.link)
        async with asyncio.timeout(1):
            await bench.worker.drain(60.0)
        bench.executor.finish("x1")

    on_loop(test)


def test_a_link_that_is_lost_ends_the_drain() -> None:
    async def test() -> None:
        bench = Bench(answers_drain=False)
        draining = asyncio.create_task(bench.worker.drain(60.0))
        await turns()
        bench.worker.on_lost(bench.link)
        async with asyncio.timeout(1):
            await draining

    on_loop(test)


def test_an_agent_that_drains_tells_no_addresses_but_that_it_drains_on_a_new_link() -> None:
    async def test() -> None:
        bench = Bench(report("::1"), answers_drain=False)
        draining = asyncio.create_task(bench.worker.drain(60.0))
        await turns()
        newer: Any = KeptLink(bench.worker, answers_drain=False)
        bench.worker.on_welcome(newer)
        bench.worker.on_addresses((report("::2"),), ())
        assert [Holding(), Draining()] == newer.sent
        draining.cancel()

    on_loop(test)
