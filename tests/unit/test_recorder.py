"""`Recorder`: what cannot be committed waits, is committed first once the store is well, and only once."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

import pytest

from dispatcher import recorder
from dispatcher.actors.errors import StoreError
from dispatcher.actors.loop_actor import LoopActor
from dispatcher.actors.messages import AppendRecords, CheckStore
from dispatcher.recorder import MOST_TOGETHER, Recorder, UnrecordedError
from tests.support.records import record
from tests.unit.loops import on_loop, turns


@dataclass
class Shelf:
    """What a store has and how it fails: it has no room for `refused`, and says that it is `ill` (None: well)."""

    kept: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    ill: str | None = None
    loses_its_answer: bool = False
    answers: asyncio.Future[frozenset[str]] | None = None
    """What it answers with, whenever that is; None: at once."""
    checks: int = 0
    groups: list[int] = field(default_factory=list)


class Store(LoopActor):
    """Keeps records on a shelf."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__()
        self._shelf = shelf

    def on_receive(self, message: Any) -> Any:
        match message:
            case CheckStore():
                self._shelf.checks += 1
                return self._shelf.ill
            case AppendRecords():
                return self._append([row.id for row in message.rows])

    def _append(self, identifiers: list[str]) -> Any:
        self._shelf.groups.append(len(identifiers))
        if not self._shelf.refused.isdisjoint(identifiers):
            raise StoreError("no room")
        known = frozenset(self._shelf.kept).intersection(identifiers)
        self._shelf.kept += [each for each in identifiers if each not in known]
        if self._shelf.loses_its_answer:
            raise TimeoutError
        return known if self._shelf.answers is None else self._shelf.answers


class Recorded:
    """A recorder over a store, and the shorthand of its tests."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.recorder = Recorder(Store.start(self.shelf), 100)

    async def fail(self, *identifiers: str) -> None:
        """Fail to commit these."""
        self.shelf.refused.update(identifiers)
        problems = await self.keep(*identifiers)
        told = "the execution ended as completed, but its record could not be kept: no room"
        assert [(identifier, told) for identifier in identifiers] == problems

    async def keep(self, *identifiers: str) -> list[tuple[str, str] | None]:
        """Keep these in one turn of the loop, and return what each was told: its id and why, or None."""
        told: list[UnrecordedError | None] = []
        done = asyncio.Event()

        def on_kept(problem: UnrecordedError | None) -> None:
            told.append(problem)
            if len(told) == len(identifiers):
                done.set()

        for identifier in identifiers:
            self.recorder.keep(record(identifier=identifier), on_kept)
        await done.wait()
        return [problem and (problem.record.id, str(problem)) for problem in told]


def test_what_could_not_be_committed_is_committed_in_its_order_once_there_is_room() -> None:
    async def test() -> None:
        recorded = Recorded()
        await recorded.fail("a", "b")
        assert "no room" == recorded.recorder.problem
        recorded.shelf.refused.clear()
        assert await recorded.recorder.check() is None
        assert [None] == await recorded.keep("c")
        assert ["a", "b", "c"] == recorded.shelf.kept

    on_loop(test)


def test_records_that_are_lost_together_are_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        await Recorded().fail("a", "b", "c")

    on_loop(test)
    (logged,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "records that could not be kept: 3 (no room)" == logged.getMessage()


def test_a_store_is_not_well_while_it_has_room_for_a_probe_but_not_for_what_waits() -> None:
    async def test() -> None:
        recorded = Recorded()
        await recorded.fail("a", "b")
        recorded.shelf.refused.remove("a")
        assert "no room" == await recorded.recorder.check()
        assert (["a"], "no room") == (recorded.shelf.kept, recorded.recorder.problem)
        recorded.shelf.refused.remove("b")
        assert await recorded.recorder.check() is None
        assert ["a", "b"] == recorded.shelf.kept

    on_loop(test)


def test_a_record_whose_commit_could_not_be_told_is_there_once() -> None:
    async def test() -> None:
        recorded = Recorded()
        recorded.shelf.loses_its_answer = True
        (told,) = await recorded.keep("a")
        assert told is not None
        assert told[1].endswith("the history does not answer (TimeoutError)")
        recorded.shelf.loses_its_answer = False
        assert await recorded.recorder.check() is None
        assert ["a"] == recorded.shelf.kept

    on_loop(test)


def test_a_store_that_does_not_answer_in_time_is_not_waited_for_and_its_answer_tells_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorder, "ASK_TIMEOUT_SECONDS", 0.01)

    async def test() -> None:
        recorded = Recorded()
        recorded.shelf.answers = asyncio.get_running_loop().create_future()
        (told,) = await recorded.keep("a")
        assert told is not None
        assert told[1].endswith("the history does not answer (TimeoutError)")
        assert (1, 0) == (recorded.recorder.commits.failed, recorded.recorder.commits.waiting)
        recorded.shelf.answers.set_result(frozenset())
        await turns()
        assert (1, 0) == (recorded.recorder.commits.failed, recorded.recorder.commits.waiting)
        recorded.shelf.answers = None
        assert await recorded.recorder.check() is None
        assert ["a"] == recorded.shelf.kept

    on_loop(test)


def test_an_answer_just_after_its_deadline_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "ASK_TIMEOUT_SECONDS", 0.0)
    monkeypatch.setattr(recorder, "LATE_SECONDS", 1000.0)

    async def test() -> None:
        recorded = Recorded()
        recorded.shelf.answers = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.05, recorded.shelf.answers.set_result, frozenset())
        assert [None] == await recorded.keep("a")
        assert (0, None) == (recorded.recorder.commits.failed, recorded.recorder.problem)

    on_loop(test)


def test_all_records_of_one_turn_are_one_message_up_to_the_bound() -> None:
    async def test() -> None:
        recorded = Recorded()
        names = [f"{number:03}" for number in range(2 * MOST_TOGETHER + 3)]
        assert [None] * len(names) == await recorded.keep(*names)
        assert [None] == await recorded.keep("later")
        assert [MOST_TOGETHER, MOST_TOGETHER, 3, 1] == recorded.shelf.groups
        assert [*names, "later"] == recorded.shelf.kept

    on_loop(test)


def test_a_record_under_a_known_id_is_refused_alone_and_is_not_tried_again() -> None:
    async def test() -> None:
        recorded = Recorded()
        await recorded.keep("a")
        told = "the execution ended as completed, but its record could not be kept: its id is that of another record"
        assert [None, ("a", told), None] == await recorded.keep("b", "a", "c")
        assert (["a", "b", "c"], None, 1) == (
            recorded.shelf.kept,
            recorded.recorder.problem,
            recorded.recorder.commits.failed,
        )
        await recorded.recorder.commit_late()
        assert 0 == recorded.shelf.checks

    on_loop(test)


def test_one_that_fails_over_its_commit_takes_the_news_from_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        recorded = Recorded()
        told: list[str] = []

        def fail(_: object) -> None:
            raise ZeroDivisionError("no news for me")

        recorded.recorder.keep(record(identifier="a"), lambda _: told.append("a"))
        recorded.recorder.keep(record(identifier="b"), fail)
        assert [None] == await recorded.keep("c")
        assert ["a"] == told

    on_loop(test)
    assert ["what follows the commit of b failed"] == [one.message for one in caplog.records]


def test_the_loop_turns_while_many_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        monkeypatch.setattr(recorder, "TURN_SECONDS", -1.0)
        recorded = Recorded()
        order: list[str] = []

        def on_kept(_: object) -> None:
            order.append("told")
            asyncio.get_running_loop().call_soon(order.append, "turn")

        for number in range(3):
            recorded.recorder.keep(record(identifier=str(number)), on_kept)
        await turns(20)
        assert ["told", "turn"] * 3 == order

    on_loop(test)


def test_what_is_committed_is_timed_and_what_is_not_is_counted() -> None:
    async def test() -> None:
        recorded = Recorded()
        commits = recorded.recorder.commits
        waiting = asyncio.create_task(recorded.keep("a"))
        await asyncio.sleep(0)
        assert (1, 0) == (commits.waiting, commits.failed)
        await waiting
        await recorded.fail("b")
        assert (0, 1) == (commits.waiting, commits.failed)
        assert 1 == commits.seconds.cumulative[-1]

    on_loop(test)


def test_all_who_ask_at_once_share_one_try() -> None:
    async def test() -> None:
        recorded = Recorded()
        recorded.shelf.ill = "it is locked"
        answers = [asyncio.create_task(recorded.recorder.check()) for _ in range(100)]
        answers[0].cancel()
        await turns()
        assert ["it is locked"] * 99 == [await answer for answer in answers[1:]]
        assert 1 == recorded.shelf.checks
        assert "it is locked" == await recorded.recorder.check()
        assert 2 == recorded.shelf.checks

    on_loop(test)


def test_the_end_tries_once_more_where_something_waits_and_only_there() -> None:
    async def test() -> None:
        recorded = Recorded()
        await recorded.recorder.commit_late()
        assert 0 == recorded.shelf.checks
        await recorded.fail("a")
        recorded.shelf.refused.clear()
        await recorded.recorder.commit_late()
        assert (["a"], 1) == (recorded.shelf.kept, recorded.shelf.checks)

    on_loop(test)


def test_a_store_is_in_doubt_after_a_pause_and_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        recorded = Recorded()
        monkeypatch.setattr(recorder, "FRESH_SECONDS", 1000.0)
        assert not recorded.recorder.is_in_doubt
        await recorded.fail("a")
        assert recorded.recorder.is_in_doubt
        recorded.shelf.refused.clear()
        await recorded.recorder.check()
        assert not recorded.recorder.is_in_doubt
        monkeypatch.setattr(recorder, "FRESH_SECONDS", -1.0)
        assert recorded.recorder.is_in_doubt
        await recorded.keep("b")
        monkeypatch.setattr(recorder, "FRESH_SECONDS", 1000.0)
        assert not recorded.recorder.is_in_doubt

    on_loop(test)
