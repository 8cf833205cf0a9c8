"""What actors on the loop get and give, apart from the actors."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

from pykka._envelope import Envelope

from dispatcher.actors.loop_inbox import LoopInbox
from tests.unit.loops import WAIT, on_loop, turns


def elsewhere(work: Callable[[], None]) -> None:
    """Do something in another thread while the loop stands still."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(WAIT)


def drained_into(found: list[Any], inbox: LoopInbox) -> Callable[[], None]:
    def drain() -> None:
        while not inbox.empty():
            found.append(inbox.get().message)

    return drain


def test_what_is_put_before_an_inbox_has_its_actor_waits_for_it() -> None:
    async def test() -> None:
        inbox = LoopInbox()
        inbox.put(Envelope("early"))
        drained: list[Any] = []
        inbox.attach(asyncio.get_running_loop(), drained_into(drained, inbox))
        await turns()
        assert ["early"] == drained
        inbox.put(Envelope("late"))
        await turns()
        assert ["early", "late"] == drained

    on_loop(test)


def test_a_turn_that_comes_by_catching_up_may_catch_up_itself() -> None:
    async def test() -> None:
        drained: list[Any] = []
        inboxes = [LoopInbox(), LoopInbox()]

        def drain_first() -> None:
            drained_into(drained, inboxes[0])()
            assert not inboxes[0].catch_up()
            assert inboxes[1].catch_up()
            drained.append("caught up")

        for inbox, drain in zip(inboxes, (drain_first, drained_into(drained, inboxes[1])), strict=True):
            inbox.attach(asyncio.get_running_loop(), drain, drained.append)
            inbox.put(Envelope(f"of {inboxes.index(inbox)}"))
        assert inboxes[1].catch_up()
        assert ["of 0", "of 1", "caught up"] == drained

    on_loop(test)


def test_catching_up_takes_the_turn_of_all_and_leaves_nothing_for_later() -> None:
    async def test() -> None:
        drained: list[Any] = []
        inboxes = [LoopInbox(), LoopInbox()]
        for inbox in inboxes:
            inbox.attach(asyncio.get_running_loop(), drained_into(drained, inbox), drained.append)
        inboxes[1].put(Envelope("first"))
        inboxes[0].put(Envelope("second"))
        assert inboxes[0].catch_up()
        assert ["first", "second"] == drained
        await turns()
        assert ["first", "second"] == drained

    on_loop(test)


def test_no_other_thread_catches_up() -> None:
    async def test() -> None:
        inbox = LoopInbox()
        inbox.attach(asyncio.get_running_loop(), lambda: None, lambda message: message)
        found: list[bool] = []
        elsewhere(lambda: found.append(inbox.catch_up()))
        assert [False] == found

    on_loop(test)


def test_a_loop_is_not_kept_by_its_inboxes() -> None:
    loop = asyncio.new_event_loop()
    inbox = LoopInbox()
    inbox.attach(loop, lambda: None)
    kept = weakref.ref(loop)
    loop.close()
    del loop, inbox
    gc.collect()
    assert kept() is None
