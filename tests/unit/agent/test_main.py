from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from dispatcher.agent import main
from dispatcher.agent.addresses.rules import AddressOptions
from dispatcher.settings import agent as agent_settings
from dispatcher.wire.messages import AddressesChanged, Draining, Execute, RefusalCode, Refused, Result
from tests.support import stalls
from tests.support.processes import Process, dispatcher_command
from tests.support.scripted_coordinator import ScriptedCoordinator, answers, scripted_coordinator
from tests.support.targets import Echo


def with_agent(
    test: Callable[[ScriptedCoordinator, Process], Coroutine[Any, Any, None]], *options: str, expected: str = ""
) -> None:
    """Run a test with a scripted coordinator and an agent process of the address ::1."""

    async def run() -> None:
        async with scripted_coordinator() as coordinator:
            place = ("--coordinator-url", coordinator.url, "--agent-id", "agent-01", "--address", "::1")
            allowed = ("--allow-target", "::1")
            agent = Process("agent-01", [*dispatcher_command(), "agent", *place, *allowed, *options])
            agent.expect(expected or "nothing is expected")
            try:
                await test(coordinator, agent)
            finally:
                await asyncio.to_thread(agent.end)
            assert [] == agent.alarms()
            stalls.judge(agent.stalls(), agent.name)

    asyncio.run(asyncio.wait_for(run(), 60))


async def end_of(agent: Process) -> int:
    return await asyncio.to_thread(agent.wait)


def execution(target: Echo, path: str = "/", **rest: Any) -> Execute:
    return Execute(id="x1", source="::1", method="GET", url=target.url(path), **({"timeout": 20.0} | rest))


def test_an_agent_tells_its_addresses_and_makes_requests() -> None:
    async def test(coordinator: ScriptedCoordinator, agent: Process) -> None:
        async with Echo("::1") as target:
            link = await coordinator.next_link()
            told = await link.hear(AddressesChanged)
            assert ["::1"] == [report.address for report in told.changed]
            link.say(execution(target))
            result = await link.hear(Result)
            assert ("x1", 200, "::1") == (result.id, result.status, result.source_ip)
            agent.signal(signal.SIGINT)
            await link.hear(Draining)
            link.say(Draining())
            assert 0 == await end_of(agent)

    with_agent(test)


def test_an_agent_that_is_asked_to_end_says_that_it_drains_and_finishes() -> None:
    async def test(coordinator: ScriptedCoordinator, agent: Process) -> None:
        async with Echo("::1") as target:
            link = await coordinator.next_link()
            await link.hear(AddressesChanged)  # so it has been welcome; what comes before that belongs to no session
            link.say(execution(target, "/fault/drip", timeout=1.0))
            await asyncio.wait_for(target.seen.wait(), 20)
            agent.signal(signal.SIGTERM)
            await link.hear(Draining)
            link.say(Draining())
            assert "timeout" == (await link.hear(Result)).error_kind
            assert 0 == await end_of(agent)

    with_agent(test)


def test_an_agent_that_is_refused_says_why_and_ends_with_4() -> None:
    async def test(coordinator: ScriptedCoordinator, agent: Process) -> None:
        coordinator.on_hello = answers(Refused(RefusalCode.REMOVED, "not any more"))
        assert 4 == await end_of(agent)
        assert "dispatcher.pyz: the coordinator refused this agent: not any more" == agent.lines[-1]

    with_agent(test, expected="the coordinator refused this agent: not any more")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, AddressOptions(max_addresses=10_000)),
        ({"--include-ula": True}, AddressOptions(include_ula=True, max_addresses=10_000)),
        ({"--include-temporary": True}, AddressOptions(include_temporary=True, max_addresses=10_000)),
        ({"--interface": ["a", "b"]}, AddressOptions(interfaces=frozenset("ab"), max_addresses=10_000)),
        ({"--address": ["[::1]"]}, AddressOptions(explicit=("::1",), max_addresses=10_000)),
        ({"--max-addresses": "7"}, AddressOptions(max_addresses=7)),
    ],
)
def test_the_options_of_the_command_line_reach_the_addresses(given: dict[str, Any], expected: AddressOptions) -> None:
    assert expected == main._options(agent_settings({"--coordinator-url": "http://here"} | given, {}))
