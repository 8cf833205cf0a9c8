"""Actors of the event loop that stop, fail to, or never began: who tells and asks them comes to no harm."""

from __future__ import annotations

import asyncio

import pykka
import pytest

from dispatcher.actors.loop_actor import ask, stop_actor, tell_or_drop
from tests.unit.actors.doing import Do, Doer, FailsToStart, say
from tests.unit.loops import on_loop, turns


def test_telling_a_dead_actor_is_dropped_and_asking_it_raises() -> None:
    async def test() -> None:
        ref = Doer.start()
        assert tell_or_drop(ref, say(1))
        await stop_actor(ref)
        assert not tell_or_drop(ref, say(1))
        with pytest.raises(pykka.ActorDeadError):
            await ask(ref, say(1))
        await stop_actor(ref)

    on_loop(test)


def test_an_actor_stops_after_what_it_already_has_and_then_is_gone() -> None:
    async def test() -> None:
        seen: list[str] = []
        ref = Doer.start(lambda: seen.append("on_stop"))
        ref.tell(Do(lambda: seen.append("told")))
        await stop_actor(ref)
        assert ["told", "on_stop"] == seen
        assert [] == pykka.ActorRegistry.get_all()

    on_loop(test)


def test_what_waits_behind_a_stop_is_answered_that_the_actor_is_dead() -> None:
    async def test() -> None:
        ref = Doer.start()
        stopping = asyncio.create_task(stop_actor(ref))
        asking = [asyncio.create_task(ask(ref, say(number))) for number in range(3)]
        stopping_again = asyncio.create_task(stop_actor(ref))
        found = await asyncio.gather(*asking, return_exceptions=True)
        assert [pykka.ActorDeadError] * 3 == [type(one) for one in found]
        await asyncio.gather(stopping, stopping_again)

    on_loop(test)


@pytest.mark.parametrize("error", [ZeroDivisionError(), SystemExit(1), asyncio.CancelledError()])
def test_an_actor_that_fails_to_stop_is_stopped_all_the_same(error: BaseException) -> None:
    def on_stop() -> None:
        raise error

    async def test() -> None:
        ref, other = Doer.start(on_stop), Doer.start()
        waiting = asyncio.create_task(ask(ref, Do(lambda: ref.stop(block=False))))
        await waiting
        await turns()
        assert not ref.is_alive()
        assert await ask(other, say("alive")) == "alive"

    on_loop(test)


def test_an_actor_that_fails_to_start_is_dead() -> None:
    async def test() -> None:
        ref = FailsToStart.start()
        assert not ref.is_alive()
        with pytest.raises(pykka.ActorDeadError):
            await ask(ref, say(1))

    on_loop(test)
