"""`AgentRegistry`: whose id is whose, from the first link on and over a restart."""

from __future__ import annotations

import time

import pytest

from dispatcher.actors.errors import IdInUseError
from dispatcher.actors.loop_actor import ask
from dispatcher.actors.messages import (
    AgentOwner,
    ForgetOwner,
    KeepOwner,
    LinkOpened,
    Registered,
    RegistrationExpired,
    RemoveAgent,
)
from dispatcher.wire import messages as wire
from tests.unit.actors.linked import Link
from tests.unit.actors.registered import NEVER, Registry
from tests.unit.loops import on_loop, turns


def test_the_id_of_a_lost_agent_with_a_key_is_its_own() -> None:
    async def test() -> None:
        registry = Registry()
        _, link, connection = await registry.connect(key="k")
        await registry.lose(link, connection)
        for stranger in ("l", None):
            with pytest.raises(IdInUseError, match="one belongs to another agent"):
                await registry.register(key=stranger)
        assert isinstance(await registry.register(key="k"), Registered)

    on_loop(test)


def test_an_id_is_owned_from_the_first_link_and_not_from_a_registration() -> None:
    async def test() -> None:
        registry = Registry()
        await registry.register(key="k")
        await registry.connect(key="l")
        await turns()
        assert [KeepOwner(AgentOwner("one", "l", None))] == registry.stored

    on_loop(test)


def test_an_agent_that_is_lost_and_comes_back_is_stored_as_such() -> None:
    async def test() -> None:
        registry = Registry()
        registered, link, connection = await registry.connect(key="k")
        await registry.lose(link, connection)
        connection.tell(LinkOpened(Link(), wire.Hello((1, 0), registered.session)))
        await turns()
        kept = [said.owner for said in registry.stored]
        assert [True, False, True] == [owner.lost_at is None for owner in kept]
        assert abs(time.time() - kept[1].lost_at) < NEVER

    on_loop(test)


def test_an_owner_outlives_the_registry() -> None:
    async def test() -> None:
        registry = Registry(kept=(AgentOwner("one", "k", None), AgentOwner("two", "k", time.time())))
        for agent_id in ("one", "two"):
            with pytest.raises(IdInUseError):
                await registry.register(agent_id, key="l")
            await registry.connect(agent_id, key="k")
        await turns()
        assert [KeepOwner(AgentOwner(each, "k", None)) for each in ("one", "two")] == registry.stored

    on_loop(test)


def test_the_id_of_an_agent_that_is_gone_for_good_is_free() -> None:
    async def test() -> None:
        gone = time.time() - 20
        registry = Registry(kept=(AgentOwner("one", "k", gone), AgentOwner("two", "k", gone)), forget_after=10)
        await registry.connect("one", key="l")
        await registry.connect("two")
        await turns()
        assert [KeepOwner(AgentOwner("one", "l", None)), ForgetOwner("two")] == registry.stored

    on_loop(test)


def test_a_removed_agent_owns_nothing_whether_it_is_known_or_was_before_a_restart() -> None:
    async def test() -> None:
        registry = Registry(kept=(AgentOwner("old", "k", 0.0),))
        await registry.connect("new", key="k")
        for agent_id in ("old", "new"):
            assert await ask(registry.ref, RemoveAgent(agent_id))
            assert not await ask(registry.ref, RemoveAgent(agent_id))
            await registry.register(agent_id, key="l")
        await turns()
        assert [ForgetOwner("old"), ForgetOwner("new")] == registry.stored[1:]

    on_loop(test)


def test_a_registration_that_expires_takes_no_id_from_its_owner() -> None:
    async def test() -> None:
        registry = Registry(kept=(AgentOwner("one", "k", None),))
        registered = await registry.register(key="k")
        registry.ref.tell(RegistrationExpired("one", registered.session))
        assert [] == await registry.ids()
        with pytest.raises(IdInUseError):
            await registry.register(key="l")

    on_loop(test)


def test_no_more_ids_are_owned_than_agents_may_be_known() -> None:
    async def test() -> None:
        kept = (AgentOwner("older", "k", 5.0), AgentOwner("old", "k", 4.0))
        registry = Registry(max_agents=2, kept=kept)
        await registry.connect("new", key="k")
        await turns()
        assert ForgetOwner("old") == registry.stored[-1]

    on_loop(test)
