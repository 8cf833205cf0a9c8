"""`AgentRegistry`: who is known, whose session opens which link, and who has to go."""

from __future__ import annotations

import asyncio

import pykka
import pytest

from dispatcher.actors.errors import RegistryFullError
from dispatcher.actors.loop_actor import ask, stop_actor
from dispatcher.actors.messages import (
    AgentState,
    AgentStateChanged,
    DescribeAgent,
    LinkStands,
    RegistrationExpired,
    RemoveAgent,
)
from dispatcher.wire import messages as wire
from tests.unit.actors.registered import Registry
from tests.unit.loops import on_loop, turns


def test_a_registered_agent_has_a_session_that_finds_its_connection() -> None:
    async def test() -> None:
        registry = Registry()
        registered = await registry.register(addresses=("2001:db8::1",))
        assert "one" == registered.agent_id
        connection = await registry.find(registered.session)
        assert connection is not None
        status = await ask(connection, DescribeAgent())
        assert ("one", "gateway", "1.2.3", AgentState.REGISTERED) == (
            status.agent_id,
            status.hostname,
            status.version,
            status.state,
        )
        assert ["2001:db8::1"] == [report.address for report in status.addresses]

    on_loop(test)


def test_an_agent_without_an_id_is_given_one() -> None:
    async def test() -> None:
        registry = Registry()
        made = {(await registry.register(None)).agent_id for _ in range(5)}
        assert 5 == len(made)
        assert made == set(await registry.ids())

    on_loop(test)


def test_a_session_that_nobody_has_finds_nothing() -> None:
    async def test() -> None:
        registry = Registry()
        assert await registry.find("made up") is None
        assert await registry.find("") is None

    on_loop(test)


def test_sessions_are_long_and_never_the_same() -> None:
    async def test() -> None:
        registry = Registry()
        sessions = {(await registry.register()).session for _ in range(20)}
        assert 20 == len(sessions)
        assert all(len(session) >= 32 for session in sessions)

    on_loop(test)


@pytest.mark.parametrize("drains", [False, True])
@pytest.mark.parametrize(
    ("first", "second", "is_same"), [(None, None, False), ("k", "k", True), ("k", "l", False), ("k", None, False)]
)
def test_the_link_of_a_live_agent_stands_in_the_way(
    drains: bool, first: str | None, second: str | None, is_same: bool
) -> None:
    async def test() -> None:
        registry = Registry()
        registered, _, connection = await registry.connect(key=first)
        if drains:
            registry.ref.tell(AgentStateChanged("one", AgentState.DRAINING))
        assert LinkStands("one", connection, is_same) == await registry.ask_in(key=second)
        assert connection == await registry.find(registered.session)

    on_loop(test)


def test_an_agent_that_registers_again_before_it_connects_has_its_new_session_alone() -> None:
    async def test() -> None:
        registry = Registry()
        first, second = await registry.register(), await registry.register()
        assert await registry.find(first.session) is None
        assert await registry.find(second.session) is not None
        assert ["one"] == await registry.ids()

    on_loop(test)


def test_a_lost_agent_comes_back_with_the_session_that_it_had() -> None:
    async def test() -> None:
        registry = Registry()
        registered, link, connection = await registry.connect()
        await registry.lose(link, connection)
        assert {AgentState.LOST: 1} == await registry.counts()
        assert connection == await registry.find(registered.session)

    on_loop(test)


def test_a_lost_agent_that_registers_again_is_the_same_agent_with_another_session() -> None:
    async def test() -> None:
        registry = Registry()
        registered, link, connection = await registry.connect()
        await registry.lose(link, connection)
        again = await registry.register()
        assert await registry.find(registered.session) is None
        assert connection == await registry.find(again.session)

    on_loop(test)


def test_a_registry_that_was_started_anew_knows_no_session_and_takes_the_same_id() -> None:
    async def test() -> None:
        before = await Registry().connect()
        registry = Registry()
        assert await registry.find(before[0].session) is None
        assert "one" == (await registry.register()).agent_id

    on_loop(test)


def test_a_registration_that_opens_no_link_expires() -> None:
    async def test() -> None:
        registry = Registry(registration_timeout=0.0)
        registered = await registry.register()
        while await registry.ids():
            await turns()
        assert await registry.find(registered.session) is None
        assert ["AgentRegistry", "IpPool", "Told"] == sorted(
            ref.actor_class.__name__ for ref in pykka.ActorRegistry.get_all()
        )

    on_loop(test)


def test_a_registration_that_was_renewed_or_used_does_not_expire() -> None:
    async def test() -> None:
        registry = Registry()
        old = await registry.register()
        new = await registry.register()
        registry.ref.tell(RegistrationExpired("one", old.session))
        assert await registry.find(new.session) is not None
        registered, _, _ = await registry.connect("two")
        registry.ref.tell(RegistrationExpired("two", registered.session))
        registry.ref.tell(RegistrationExpired("nobody", "x"))
        assert ["one", "two"] == await registry.ids()

    on_loop(test)


def test_a_full_registry_takes_nobody_new_but_those_it_knows() -> None:
    async def test() -> None:
        registry = Registry(max_agents=2)
        await registry.connect("one")
        await registry.register("two")
        with pytest.raises(RegistryFullError, match="2 agents are known"):
            await registry.register("three")
        await registry.register("two")
        assert ["one", "two"] == await registry.ids()

    on_loop(test)


def test_a_full_registry_forgets_a_lost_agent_for_a_new_one() -> None:
    async def test() -> None:
        registry = Registry(max_agents=2)
        await registry.connect("one")
        registered, link, connection = await registry.connect("two")
        await registry.lose(link, connection)
        await registry.register("three")
        assert ["one", "three"] == await registry.ids()
        assert await registry.find(registered.session) is None
        assert not connection.is_alive()

    on_loop(test)


def test_a_removed_agent_is_forgotten_and_told() -> None:
    async def test() -> None:
        registry = Registry()
        registered, link, connection = await registry.connect()
        assert await ask(registry.ref, RemoveAgent("one"))
        await turns()
        assert [wire.RefusalCode.REMOVED] == link.codes
        assert await registry.find(registered.session) is None
        assert not connection.is_alive()
        assert not await ask(registry.ref, RemoveAgent("one"))

    on_loop(test)


def test_the_id_of_a_removed_agent_is_free_for_another() -> None:
    async def test() -> None:
        registry = Registry()
        _, _, first = await registry.connect()
        await ask(registry.ref, RemoveAgent("one"))
        _, _, second = await registry.connect()
        assert first != second
        assert {AgentState.CONNECTED: 1} == await registry.counts()

    on_loop(test)


def test_agents_are_listed_as_they_first_registered_and_counted_by_state() -> None:
    async def test() -> None:
        registry = Registry()
        await registry.register("b")
        await registry.connect("a")
        _, link, connection = await registry.connect("c")
        await registry.lose(link, connection)
        await registry.register("b")
        assert ["b", "a", "c"] == await registry.ids()
        expected = {AgentState.REGISTERED: 1, AgentState.CONNECTED: 1, AgentState.LOST: 1}
        assert expected == await registry.counts()

    on_loop(test)


def test_the_state_of_an_agent_that_is_not_known_is_nobodys() -> None:
    async def test() -> None:
        registry = Registry()
        registry.ref.tell(AgentStateChanged("nobody", AgentState.LOST))
        assert {} == await registry.counts()

    on_loop(test)


def test_connections_stop_with_the_registry() -> None:
    async def test() -> None:
        registry = Registry()
        await asyncio.gather(*(registry.register(f"agent-{number}") for number in range(5)))
        await stop_actor(registry.ref)
        await turns()
        assert ["IpPool", "Told"] == [ref.actor_class.__name__ for ref in pykka.ActorRegistry.get_all()]

    on_loop(test)
