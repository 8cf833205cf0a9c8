from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher import __version__
from dispatcher.access import Access
from dispatcher.agent import connector as connector_module
from dispatcher.agent.connector import FIRST_PAUSE_SECONDS, Backoff, Connector
from dispatcher.agent.identity import Identity
from dispatcher.agent.targets.guard import Address
from dispatcher.errors import RefusedError
from dispatcher.wire.messages import Hello, RefusalCode, Refused
from tests.support.scripted_coordinator import (
    ScriptedCoordinator,
    ScriptedLink,
    answers,
    scripted_coordinator,
    welcomes,
)
from tests.unit.loops import on_loop

KEY = "k" * 32


class Idle:
    """A `LinkUser` that only counts its links."""

    def __init__(self) -> None:
        self.welcomed = asyncio.Event()
        self.lost = 0

    def on_welcome(self, link: Any) -> None:
        self.welcomed.set()

    def on_lost(self, link: Any) -> None:
        self.lost += 1

    def on_execute(self, link: Any, execute: Any) -> None:
        raise AssertionError

    def on_heard(self) -> None: ...

    def on_cancel(self, execution_id: str) -> None:
        raise AssertionError

    def on_draining(self) -> None:
        raise AssertionError

    def on_delivered(self, execution_ids: Collection[str]) -> None:
        raise AssertionError


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(connector_module, "FIRST_PAUSE_SECONDS", 0.001)


@asynccontextmanager
async def connecting(
    coordinator: ScriptedCoordinator, agent_id: str | None = "agent-01", user: Idle | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    connector = Connector(Access(coordinator.url), Identity(agent_id, KEY), user or Idle(), reconnect_max=0.01)
    running = asyncio.create_task(connector.run())
    yield running
    running.cancel()
    with suppress(asyncio.CancelledError, RefusedError):
        await running


def with_coordinator(test: Callable[[ScriptedCoordinator], Awaitable[None]]) -> None:
    async def run() -> None:
        async with scripted_coordinator() as coordinator:
            await test(coordinator)

    on_loop(run)


def test_an_agent_says_its_id_its_host_and_its_version_and_opens_the_link_with_its_session() -> None:
    async def test(coordinator: ScriptedCoordinator) -> None:
        async with connecting(coordinator):
            hello = await (await coordinator.next_link()).hear(Hello)
        assert "session-1" == hello.session
        assert [("agent-01", __version__, hello.hostname, KEY)] == [
            (said["agent_id"], said["version"], said["hostname"], said["key"]) for said in coordinator.registrations
        ]

    with_coordinator(test)


def test_an_agent_without_an_id_keeps_the_one_that_it_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    async def test(coordinator: ScriptedCoordinator) -> None:
        async with connecting(coordinator, None):
            first = await coordinator.next_link()
            await first.hear(Hello)
            coordinator.on_hello = answers(Refused(RefusalCode.SESSION, "restarted"))
            first.hang_up()
            await (await coordinator.next_link()).hear(Hello)
            coordinator.on_hello = welcomes
            await (await coordinator.next_link()).hear(Hello)
        assert ["made-up"] == [said["agent_id"] for said in coordinator.registrations[1:]]
        assert "agent_id" not in coordinator.registrations[0]

    with_coordinator(test)
    assert "agent made-up connected to http://127.0.0.1:" in capsys.readouterr().err


class StopsWhenLost(Idle):
    """A `LinkUser` to which the signal to stop comes in the very turn in which its link is lost."""

    stop: Callable[[], object]

    def on_lost(self, link: Any) -> None:
        self.stop()


def test_a_connector_that_is_cancelled_while_its_link_ends_ends_too() -> None:
    async def test(coordinator: ScriptedCoordinator) -> None:
        user = StopsWhenLost()
        async with connecting(coordinator, user=user) as running:
            user.stop = running.cancel
            link = await coordinator.next_link()
            await link.hear(Hello)
            await user.welcomed.wait()
            link.hang_up()
            done, _ = await asyncio.wait((running,), timeout=5.0)
        assert {running} == done
        assert running.cancelled()

    with_coordinator(test)


def test_a_lost_link_is_opened_again_with_the_same_session() -> None:
    async def test(coordinator: ScriptedCoordinator) -> None:
        user = Idle()
        async with connecting(coordinator, user=user):
            for _ in range(3):
                link = await coordinator.next_link()
                assert "session-1" == (await link.hear(Hello)).session
                link.hang_up()
            await (await coordinator.next_link()).hear(Hello)
            assert 3 == user.lost
        assert 1 == len(coordinator.registrations)

    with_coordinator(test)


@pytest.mark.parametrize("code", [RefusalCode.VERSION, RefusalCode.REMOVED, RefusalCode.REPLACED])
def test_some_refusals_are_for_good(code: RefusalCode) -> None:
    async def test(coordinator: ScriptedCoordinator) -> None:
        coordinator.on_hello = answers(Refused(code, "go away"))
        async with connecting(coordinator) as running:
            with pytest.raises(RefusedError, match="the coordinator refused this agent: go away"):
                await running

    with_coordinator(test)


def test_after_a_broken_protocol_the_agent_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    async def test(coordinator: ScriptedCoordinator) -> None:
        refusals = iter([Refused(RefusalCode.PROTOCOL, "what?")])

        def once(link: ScriptedLink, hello: Hello) -> None:
            refusal = next(refusals, None)
            welcomes(link, hello) if refusal is None else link.say(refusal)

        coordinator.on_hello = once
        user = Idle()
        async with connecting(coordinator, user=user):
            for _ in range(2):
                await (await coordinator.next_link()).hear(Hello)
            await asyncio.wait_for(user.welcomed.wait(), 10)
        assert 1 == len(coordinator.registrations)

    with_coordinator(test)
    assert "the coordinator ended the link: protocol: what?" in caplog.messages


def test_an_id_that_is_in_use_is_refused_for_good_before_the_first_link() -> None:
    async def test(coordinator: ScriptedCoordinator) -> None:
        coordinator.register = lambda _: (409, {"detail": "agent id agent-01 is in use by a connected agent"})
        async with connecting(coordinator) as running:
            with pytest.raises(RefusedError, match="agent id agent-01 is in use"):
                await running

    with_coordinator(test)


def test_an_id_that_a_living_copy_took_meanwhile_is_refused_for_good_too() -> None:
    async def test(coordinator: ScriptedCoordinator) -> None:
        async with connecting(coordinator) as running:
            link = await coordinator.next_link()
            await link.hear(Hello)
            coordinator.on_hello = answers(Refused(RefusalCode.SESSION, "another link"))
            coordinator.register = lambda _: (409, {"detail": "in use by another copy of this agent"})
            link.hang_up()
            with pytest.raises(RefusedError, match="in use by another copy of this agent"):
                await running

    with_coordinator(test)


def test_what_the_coordinator_finds_invalid_is_refused_for_good() -> None:
    async def test(coordinator: ScriptedCoordinator) -> None:
        coordinator.register = lambda _: (422, {"detail": "not valid: /agent_id: too long"})
        async with connecting(coordinator) as running:
            with pytest.raises(
                RefusedError, match="refused what this agent says of itself: not valid: /agent_id: too long"
            ):
                await running

    with_coordinator(test)


@pytest.mark.parametrize(
    ("status", "content"),
    [(503, {"detail": "full"}), (500, "oops"), (404, b""), (201, "no JSON"), (201, {}), (201, []), (302, "")],
)
def test_everything_else_is_tried_again(status: int, content: Any) -> None:
    async def test(coordinator: ScriptedCoordinator) -> None:
        faulty = iter([(status, content)] * 2)
        coordinator.register = lambda said: next(faulty, None) or coordinator.registers(said)
        async with connecting(coordinator):
            await (await coordinator.next_link()).hear(Hello)
        assert 3 == len(coordinator.registrations)

    with_coordinator(test)


@given(st.floats(0.1, 3600), st.lists(st.booleans(), max_size=60))
def test_pauses_are_drawn_from_zero_to_a_bound_that_doubles_up_to_the_longest(
    longest: float, successes: list[bool]
) -> None:
    bounds: list[float] = []

    def highest(low: float, high: float) -> float:
        assert low == 0
        bounds.append(high)
        return high

    backoff = Backoff(longest, highest)
    failures = 0
    for is_success in successes:
        if is_success:
            backoff.reset()
            failures = 0
        assert backoff.next_pause() == min(longest, connector_module.FIRST_PAUSE_SECONDS * 2**failures) == bounds[-1]
        failures = min(failures + 1, 30)


def test_the_first_pause_is_a_second_at_most() -> None:
    assert FIRST_PAUSE_SECONDS == 1.0


def test_pauses_differ_from_agent_to_agent() -> None:
    assert 1 < len({Backoff(30.0).next_pause() for _ in range(10)})


def test_before_each_link_it_is_told_where_the_coordinator_is() -> None:
    located: list[tuple[list[str], set[object]]] = []

    async def test(coordinator: ScriptedCoordinator) -> None:
        def note(names: Iterable[str], addresses: Iterable[Address]) -> None:
            located.append((list(names), set(addresses)))

        url = coordinator.url.replace("127.0.0.1", "localhost")
        connector = Connector(Access(url), Identity("agent-01"), Idle(), reconnect_max=0.01, on_located=note)
        running = asyncio.create_task(connector.run())
        await (await coordinator.next_link()).hear(Hello)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    with_coordinator(test)
    assert 1 == len(located)
    names, addresses = located[0]
    assert {"localhost", "127.0.0.1"} == set(names)
    assert ip_address("127.0.0.1") in addresses


def test_a_name_that_does_not_resolve_has_no_address_and_ends_nothing() -> None:
    async def test() -> None:
        found = await connector_module._addresses(["no-such-name.invalid", "::1", "a..b", ""])
        assert {ip_address("::1")} == found

    on_loop(test)
