"""What is done once afterwards: at once where nothing else is due, in the next turn where others are, and in order."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from dispatcher.afterwards import Afterwards
from tests.unit.loops import on_loop, turns


class Noted:
    """What was done, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def will(self, name: str) -> Callable[[], None]:
        return functools.partial(self.done.append, name)


def test_the_loop_tells_what_else_is_due_in_its_turn() -> None:
    """What `Afterwards` goes by, a private name of asyncio: without it everything would wait for the next turn."""

    async def test() -> None:
        loop: Any = asyncio.get_running_loop()
        found: list[int] = []
        for _ in range(2):
            loop.call_soon(lambda: found.append(len(loop._ready)))
        await asyncio.sleep(0)
        assert [2, 1] == found  # the other and this task; this task

    on_loop(test)


def test_what_one_alone_causes_is_done_before_the_loop_turns() -> None:
    async def test() -> None:
        noted = Noted()
        with Afterwards.here():
            Afterwards.here().call(noted.will("first"))
            Afterwards.here().call(noted.will("second"))
            noted.done.append("the work")
        assert ["the work", "first", "second"] == noted.done

    on_loop(test)


def test_what_several_of_one_turn_cause_is_done_after_all_of_them() -> None:
    async def test() -> None:
        noted = Noted()

        def work(name: str) -> None:
            with Afterwards.here():
                Afterwards.here().call(noted.will(f"after {name}"))
                noted.done.append(name)

        for name in "abc":
            asyncio.get_running_loop().call_soon(work, name)
        await asyncio.sleep(0)
        assert ["a", "b", "c"] == noted.done
        await asyncio.sleep(0)
        assert ["a", "b", "c", "after a", "after b", "after c"] == noted.done

    on_loop(test)


def test_without_anything_that_goes_on_it_is_done_in_the_next_turn() -> None:
    async def test() -> None:
        noted = Noted()
        Afterwards.here().call(noted.will("after"))
        Afterwards.here().call(noted.will("after, too"))
        assert [] == noted.done
        await asyncio.sleep(0)
        assert ["after", "after, too"] == noted.done

    on_loop(test)


def test_what_was_asked_for_before_stays_before() -> None:
    async def test() -> None:
        noted = Noted()
        Afterwards.here().call(noted.will("before"))
        with Afterwards.here():
            Afterwards.here().call(noted.will("within"))
        assert [] == noted.done
        await asyncio.sleep(0)
        assert ["before", "within"] == noted.done

    on_loop(test)


def test_of_one_in_another_the_outer_counts() -> None:
    async def test() -> None:
        noted = Noted()
        with Afterwards.here():
            with Afterwards.here():
                Afterwards.here().call(noted.will("after"))
            noted.done.append("the outer")
        assert ["the outer", "after"] == noted.done

    on_loop(test)


def test_what_a_call_asks_for_is_due_a_turn_later() -> None:
    async def test() -> None:
        noted = Noted()

        def cause() -> None:
            with Afterwards.here():
                Afterwards.here().call(noted.will("caused"))
            noted.done.append("causing")

        with Afterwards.here():
            Afterwards.here().call(cause)
            Afterwards.here().call(noted.will("beside"))
        assert ["causing", "beside"] == noted.done
        await asyncio.sleep(0)
        assert ["causing", "beside", "caused"] == noted.done

    on_loop(test)


def test_work_that_fails_leaves_nothing_undone() -> None:
    async def test() -> None:
        noted = Noted()
        with contextlib.suppress(ZeroDivisionError), Afterwards.here():
            Afterwards.here().call(noted.will("after"))
            raise ZeroDivisionError
        assert ["after"] == noted.done
        Afterwards.here().call(noted.will("later"))
        await asyncio.sleep(0)
        assert ["after", "later"] == noted.done

    on_loop(test)


def test_one_call_that_fails_keeps_no_other_from_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        noted = Noted()
        told: list[dict[str, Any]] = []
        monkeypatch.setattr(asyncio.get_running_loop(), "call_exception_handler", told.append)

        def fail() -> None:
            raise ZeroDivisionError

        with Afterwards.here():
            Afterwards.here().call(fail)
            Afterwards.here().call(noted.will("after"))
        assert ["after"] == noted.done
        assert [("what was due afterwards failed", ZeroDivisionError)] == [
            (each["message"], type(each["exception"])) for each in told
        ]

    on_loop(test)


def test_a_loop_that_does_not_tell_what_is_due_gets_it_in_its_next_turn() -> None:
    async def test() -> None:
        noted = Noted()
        silent = Afterwards(due=(None,))
        with silent:
            silent.call(noted.will("after"))
        assert [] == noted.done
        await turns()
        assert ["after"] == noted.done

    on_loop(test)


def test_a_loop_is_not_kept_by_what_is_done_afterwards() -> None:
    async def make() -> None:
        Afterwards.here().call(lambda: None)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(make())
    kept = weakref.ref(loop)
    loop.close()
    del loop
    gc.collect()
    assert kept() is None
