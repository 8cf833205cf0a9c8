"""An execution ends once, whatever may end it; with real targets its ways are in test_executor."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from dispatcher.agent.run import Interruption, Means, Run
from dispatcher.agent.targets.guard import TargetGuard
from dispatcher.errors import FailureKind
from dispatcher.slots import Slots
from tests.support.executing import execution, run

if TYPE_CHECKING:
    from dispatcher.wire.messages import Result


class Bench:
    """A run with one slot and one place in the queue, without an engine, and what it ended with."""

    def __init__(self, url: str = "http://[::1]/", timeout: float = 5.0) -> None:
        self.ends: list[Result | None] = []
        self.ended = asyncio.Event()
        self.slots = Slots(1, 1)
        no_engine: Any = None
        loop = asyncio.get_running_loop()
        means = Means(loop, self.slots, TargetGuard(), no_engine, self._end)
        self.run = Run(execution(url, timeout=timeout), lambda _: None, means)

    def _end(self, _: Run, result: Result | None) -> None:
        self.ends.append(result)
        self.ended.set()

    @property
    def kinds(self) -> list[FailureKind | None]:
        return [result and result.error_kind for result in self.ends]


def test_a_run_has_no_dictionary_which_would_cost_each_of_them_more_than_all_it_holds() -> None:
    async def test() -> None:
        assert not hasattr(Bench().run, "__dict__")

    run(test())


def test_the_first_interruption_counts() -> None:
    async def test() -> None:
        bench = Bench()
        bench.slots.take()
        bench.run.start()
        bench.run.interrupt(Interruption.SOURCE_GONE)
        bench.run.interrupt(Interruption.CANCELLED)
        assert [FailureKind.SOURCE_ADDRESS] == bench.kinds

    run(test())


def test_the_deadline_ends_a_wait_in_the_queue_which_is_counted() -> None:
    async def test() -> None:
        bench = Bench(timeout=0.02)
        bench.slots.take()
        bench.run.start()
        await bench.ended.wait()
        assert [FailureKind.TIMEOUT] == bench.kinds
        assert bench.run.phases[0] >= 20_000

    run(test())


def test_a_slot_that_comes_after_the_end_begins_nothing() -> None:
    async def test() -> None:
        bench = Bench()
        first = bench.slots.take()
        bench.run.start()
        bench.slots.give_back(first)
        bench.run.interrupt(Interruption.CANCELLED)
        await asyncio.sleep(0)
        assert [None] == bench.ends

    run(test())


def test_what_cannot_begin_is_told_in_the_next_turn_and_may_be_cancelled_before() -> None:
    async def test() -> None:
        told, cancelled = Bench("http://192.0.2.1/"), Bench("http://192.0.2.1/")
        for bench in (told, cancelled):
            bench.run.start()
            assert [] == bench.ends
        cancelled.run.interrupt(Interruption.CANCELLED)
        await asyncio.sleep(0)
        assert [FailureKind.TARGET_HAS_NO_IPV6] == told.kinds
        assert [None] == cancelled.ends

    run(test())


def test_an_interruption_after_the_end_does_not_undo_it() -> None:
    async def test() -> None:
        bench = Bench("http://192.0.2.1/")
        bench.run.start()
        await asyncio.sleep(0)
        bench.run.interrupt(Interruption.CANCELLED)
        assert [FailureKind.TARGET_HAS_NO_IPV6] == bench.kinds

    run(test())


def test_the_phases_of_several_hops_are_added_behind_the_wait_for_a_slot() -> None:
    async def test() -> None:
        made = Bench().run
        made.phases = (7, 0, 0, 0, 0, 0, 0)
        made.add_hop((1, 0, 0, 0, 2, 3))
        made.add_hop((0, 0, 0, 1, 3, 4))
        assert (7, 1, 0, 0, 1, 5, 7) == made.phases

    run(test())
