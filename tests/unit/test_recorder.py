"""`Recorder`: what cannot be committed waits, is committed first once the store is well, and only once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from dispatcher import recorder
from dispatcher.actors.errors import RecordKnownError, StoreError
from dispatcher.actors.loop_actor import LoopActor
from dispatcher.actors.messages import AppendRecord, CheckStore, Outcome
from dispatcher.record import Record, make_record
from dispatcher.recorder import Recorder, UnrecordedError
from dispatcher.redaction import Redactor
from dispatcher.request import RequestSpec
from tests.unit.loops import on_loop, turns


@dataclass
class Shelf:
    """What a store has and how it fails: it has no room for `refused`, and says that it is `ill` (None: well)."""

    kept: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    ill: str | None = None
    loses_its_answer: bool = False
    checks: int = 0


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
            case AppendRecord():
                return self._append(message.row.id)

    def _append(self, identifier: str) -> None:
        if identifier in self._shelf.kept:
            raise RecordKnownError("it is there already")
        if identifier in self._shelf.refused:
            raise StoreError("no room")
        self._shelf.kept.append(identifier)
        if self._shelf.loses_its_answer:
            raise TimeoutError


def record(identifier: str) -> Record:
    return make_record(
        identifier=identifier,
        outcome=Outcome.COMPLETED,
        exit_used=None,
        request=RequestSpec("http://x/"),
        result=None,
        failure=None,
        started_at=0.0,
        finished_at=1.0,
        redactor=Redactor(),
    )


class Recorded:
    """A recorder over a store, and the shorthand of its tests."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.recorder = Recorder(Store.start(self.shelf), 100)

    async def fail(self, *identifiers: str) -> None:
        """Fail to commit these."""
        self.shelf.refused.update(identifiers)
        for identifier in identifiers:
            with pytest.raises(UnrecordedError, match="ended as completed, but its record could not be kept: no room"):
                await self.recorder.commit(record(identifier))


def test_what_could_not_be_committed_is_committed_in_its_order_once_there_is_room() -> None:
    async def test() -> None:
        recorded = Recorded()
        await recorded.fail("a", "b")
        assert "no room" == recorded.recorder.problem
        recorded.shelf.refused.clear()
        assert await recorded.recorder.check() is None
        await recorded.recorder.commit(record("c"))
        assert ["a", "b", "c"] == recorded.shelf.kept

    on_loop(test)


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
        with pytest.raises(UnrecordedError, match=r"the history does not answer \(TimeoutError\)"):
            await recorded.recorder.commit(record("a"))
        recorded.shelf.loses_its_answer = False
        assert await recorded.recorder.check() is None
        assert ["a"] == recorded.shelf.kept

    on_loop(test)


def test_what_is_committed_is_timed_and_what_is_not_is_counted() -> None:
    async def test() -> None:
        recorded = Recorded()
        commits = recorded.recorder.commits
        waiting = asyncio.create_task(recorded.recorder.commit(record("a")))
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
        await recorded.recorder.commit(record("b"))
        monkeypatch.setattr(recorder, "FRESH_SECONDS", 1000.0)
        assert not recorded.recorder.is_in_doubt

    on_loop(test)
