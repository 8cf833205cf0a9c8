"""The storing actors against plain models: appends, reads, restarts, kills and disks that fail, in any order."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pykka
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dispatcher.actors.config import ConfigStore
from dispatcher.actors.errors import StoreError
from dispatcher.actors.history import HistoryLog
from dispatcher.actors.history_reader import HistoryReader
from dispatcher.actors.messages import (
    AppendRecords,
    CheckStore,
    HistoryFilter,
    ReadHistory,
    ReadRecord,
    ReadRequest,
    ReadTotals,
    RecordRow,
    StoredRequest,
    StoreRequest,
)
from tests.support.broken_store import REASON, unwritable_config, unwritable_history
from tests.unit.actors.stored import AGENTS, FILTERS, MOMENTS, OUTCOMES, STATUSES, WAIT, answer, matches, row

MAX_RECORDS = 12
"""What history keeps: few, so that retention works in most runs."""


def copy_of(state_dir: Path) -> Path:
    """Copy the files as a `kill -9` at this moment would leave them."""
    copied = Path(tempfile.mkdtemp())
    for path in state_dir.iterdir():
        if not path.name.endswith(".lock"):
            shutil.copy(path, copied)
    return copied


class Stored(RuleBasedStateMachine):
    """A state directory that moves at each kill; `reopen` starts the actors over it."""

    def __init__(self) -> None:
        super().__init__()
        self.state_dir = Path(tempfile.mkdtemp())
        self.actors: list[pykka.ActorRef[Any]] = []
        self.broken: contextlib.AbstractContextManager[None] | None = None

    def reopen(self) -> None:
        raise NotImplementedError

    def break_store(self) -> contextlib.AbstractContextManager[None]:
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.reopen()

    def stop(self) -> None:
        for actor in reversed(self.actors):
            actor.stop(timeout=WAIT)
        self.actors = []

    @rule()
    def restart(self) -> None:
        self.stop()
        self.reopen()

    @rule()
    def kill(self) -> None:
        copied = copy_of(self.state_dir)
        self.mend()
        self.stop()
        shutil.rmtree(self.state_dir)
        self.state_dir = copied
        self._forget_the_break()
        self.reopen()

    def _forget_the_break(self) -> None:
        """The copy may hold the trigger that made the store fail."""
        for path in self.state_dir.glob("*.sqlite3"):
            with contextlib.closing(sqlite3.connect(path)) as other:
                for (name,) in other.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
                    other.execute(f"DROP TRIGGER {name}")

    @precondition(lambda self: self.broken is None)
    @rule()
    def fail(self) -> None:
        self.broken = self.break_store()
        self.broken.__enter__()

    @rule()
    def mend(self) -> None:
        if self.broken is not None:
            self.broken.__exit__(None, None, None)
            self.broken = None

    def teardown(self) -> None:
        self.mend()
        self.stop()
        shutil.rmtree(self.state_dir)


class HistoryInAnyOrder(Stored):
    """HistoryLog and HistoryReader against a list; what was answered is there, whatever happens then."""

    def __init__(self) -> None:
        super().__init__()
        self.ever: list[RecordRow] = []

    def reopen(self) -> None:
        log = HistoryLog.start(self.state_dir, max_records=MAX_RECORDS)
        self.actors = [log, HistoryReader.start(self.state_dir)]

    def break_store(self) -> contextlib.AbstractContextManager[None]:
        return unwritable_history(self.state_dir)

    @property
    def kept(self) -> list[RecordRow]:
        """What retention leaves, oldest first."""
        return self.ever[-MAX_RECORDS:]

    def _make(self, data: st.DataObject) -> RecordRow:
        number = len(self.ever)
        members: dict[str, Any] = {
            "outcome": data.draw(OUTCOMES),
            "agent_id": data.draw(AGENTS),
            "status": data.draw(STATUSES),
            "finished_at_ms": data.draw(MOMENTS),
            "record": b"record %d" % number,
        }
        return row(number, **members)

    @rule(data=st.data())
    def append(self, data: st.DataObject) -> None:
        made = self._make(data)
        if self.broken is None:
            assert frozenset() == answer(self.actors[0], AppendRecords((made,)))
            self.ever.append(made)
        else:
            with pytest.raises(StoreError, match=REASON):
                answer(self.actors[0], AppendRecords((made,)))

    @precondition(lambda self: self.ever and self.broken is None)
    @rule()
    def append_again(self) -> None:
        assert {self.ever[-1].id} == answer(self.actors[0], AppendRecords((self.ever[-1],)))

    @rule()
    def check(self) -> None:
        problem = answer(self.actors[0], CheckStore())
        assert (self.broken is None) == (problem is None)
        assert problem is None or REASON in problem

    @rule(where=FILTERS, limit=st.integers(1, 5))
    def search(self, where: HistoryFilter, limit: int) -> None:
        found: list[bytes] = []
        cursor: int | None = None
        while True:
            page = answer(self.actors[1], ReadHistory(limit, cursor, where))
            found += page.records
            cursor = page.next_cursor
            if cursor is None:
                break
        assert [one.record for one in reversed(self.kept) if matches(where, one)] == found

    @rule(number=st.integers(0, 30))
    def find(self, number: int) -> None:
        wanted = row(number).id
        kept = {one.id: one.record for one in self.kept}
        assert kept.get(wanted) == answer(self.actors[1], ReadRecord(wanted))

    @invariant()
    def totals_count_all_that_was_ever_appended(self) -> None:
        if self.actors:
            counted = answer(self.actors[0], ReadTotals()).by_outcome
            assert Counter(str(one.outcome) for one in self.ever) == Counter(counted)


class ConfigInAnyOrder(Stored):
    """ConfigStore against one value and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: StoredRequest | None = None

    def reopen(self) -> None:
        self.actors = [ConfigStore.start(self.state_dir)]

    def break_store(self) -> contextlib.AbstractContextManager[None]:
        return unwritable_config(self.state_dir)

    @rule(content=st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text(max_size=3), max_size=3))
    def store(self, content: dict[str, Any]) -> None:
        if self.broken is not None:
            with pytest.raises(StoreError, match=REASON):
                answer(self.actors[0], StoreRequest(content))
            return
        self.stored = StoredRequest(1 if self.stored is None else self.stored.revision + 1, content)
        assert self.stored == answer(self.actors[0], StoreRequest(content))

    @invariant()
    def what_was_stored_last_is_what_is_read(self) -> None:
        if self.actors:
            assert self.stored == answer(self.actors[0], ReadRequest())


TestHistoryInAnyOrder = HistoryInAnyOrder.TestCase
TestHistoryInAnyOrder.settings = settings(deadline=None, max_examples=15, stateful_step_count=30)
TestConfigInAnyOrder = ConfigInAnyOrder.TestCase
TestConfigInAnyOrder.settings = settings(deadline=None, max_examples=10, stateful_step_count=20)
