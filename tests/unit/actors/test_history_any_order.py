"""HistoryLog and HistoryReader against a plain list: what is asked of them and what befalls them, in any order."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from dispatcher.actors.database import database_path
from dispatcher.actors.errors import StoreError
from dispatcher.actors.history_reader import HistoryReader
from dispatcher.actors.history_retention import Retention
from dispatcher.actors.messages import (
    AppendRecords,
    CheckStore,
    ClaimKey,
    HistoryFilter,
    KeyClaim,
    ReadHistory,
    ReadRecord,
    ReadTotals,
    RecordRow,
    ReleaseKey,
)
from tests.support.broken_store import REASON, unwritable, unwritable_history
from tests.unit.actors.any_order import Stored
from tests.unit.actors.stored import (
    AGENTS,
    ERRORS,
    FILTERS,
    OUTCOMES,
    SOURCES,
    STATUSES,
    T0,
    WAIT,
    HeldLog,
    answer,
    held,
    matches,
    row,
)

KEYS = st.sampled_from(["k1", "k2"])


class Rest:
    """Tells a `RestingLog` that nothing has come for a while."""


class RestingLog(HeldLog):
    """A log that has its pauses when a test says so."""

    def on_receive(self, message: Any) -> Any:
        return self.on_idle() if isinstance(message, Rest) else super().on_receive(message)


@contextlib.contextmanager
def locked(state_dir: Path) -> Iterator[None]:
    """Let another program keep the file from being written inside the block."""
    with contextlib.closing(sqlite3.connect(database_path(state_dir, "history"), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@contextlib.contextmanager
def removed(state_dir: Path) -> Iterator[None]:
    """Let the file have another name inside the block."""
    path = database_path(state_dir, "history")
    aside = path.rename(path.with_name("aside"))
    yield
    aside.rename(path)


def unmovable(state_dir: Path) -> contextlib.AbstractContextManager[None]:
    """Let records be staged inside the block, and nothing more."""
    return unwritable(database_path(state_dir, "history"), "record")


class Break(NamedTuple):
    """How a store is broken, what is said of it, and whether a start gets over it."""

    begin: Callable[[Path], contextlib.AbstractContextManager[None]]
    told: str
    outlives: bool


BREAKS = (
    Break(unwritable_history, REASON, outlives=True),
    Break(unmovable, REASON, outlives=True),
    Break(locked, "database is locked", outlives=False),
    Break(removed, "No such file or directory", outlives=False),
)

KEEP_20 = Retention(20)
RETENTIONS = st.builds(
    Retention, st.integers(1, 20), st.none() | st.integers(0, 300), st.none() | st.sampled_from([5.0, 30.0, 90.0])
)


class Walk(NamedTuple):
    """A way through the pages of a search: what is asked, where it goes on, and the record before that."""

    where: HistoryFilter
    limit: int
    cursor: int
    last: RecordRow


class HistoryInAnyOrder(Stored):
    """What was answered is there, once and in its order, whatever happens then; what failed is not there at all.

    `ever` are all that were appended, `live` those that retention left at the last commit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("dispatcher.actors.history.IDLE_SECONDS", 1000)
        self.patch.setattr("dispatcher.actors.history_staging.MOST_ROWS", 6)
        self.patch.setattr("dispatcher.actors.database.BUSY_TIMEOUT_SECONDS", 0.001)
        self.ever: list[RecordRow] = []
        self.live: list[RecordRow] = []
        self.keys: dict[str, tuple[bytes, RecordRow | None]] = {}
        self.walk: Walk | None = None
        self.how: Break | None = None
        self.now = T0 / 1000

    @initialize(retention=RETENTIONS)
    def begin(self, retention: Retention = KEEP_20) -> None:
        self.retention = retention
        self.reopen()

    def reopen(self) -> None:
        keep, clock = self.retention._asdict(), lambda: self.now
        log = RestingLog.start(self.state_dir, trace=[], clock=clock, **keep)
        self.actors = [log, HistoryReader.start(self.state_dir, max_age=self.retention.max_age, clock=clock)]

    def teardown(self) -> None:
        super().teardown()
        self.patch.undo()

    @precondition(lambda self: self.broken is None)
    @rule(how=st.sampled_from(BREAKS))
    def fail(self, how: Break = BREAKS[0]) -> None:
        self.how = how
        super().fail()

    def break_store(self) -> contextlib.AbstractContextManager[None]:
        assert self.how is not None
        return self.how.begin(self.state_dir)

    @rule()
    def mend(self) -> None:
        super().mend()
        self.how = None

    @rule()
    def restart(self) -> None:
        self._mend_what_no_start_gets_over()
        super().restart()

    @rule()
    def kill(self) -> None:
        self._mend_what_no_start_gets_over()
        super().kill()

    def _mend_what_no_start_gets_over(self) -> None:
        if self.how is not None and not self.how.outlives:
            self.mend()

    @rule(seconds=st.sampled_from([0.5, 4.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @property
    def shown(self) -> list[RecordRow]:
        """What a reader is to find, oldest first."""
        return [one for one in self.live if self._is_young(one)]

    def _is_young(self, one: RecordRow) -> bool:
        age = self.retention.max_age
        return age is None or one.finished_at_ms >= round((self.now - age) * 1000)

    def _committed(self, group: Sequence[RecordRow]) -> None:
        self.ever += group
        self.live = [one for one in [*self.live, *group] if self._is_young(one)]
        while not self._has_room():
            self.live.pop(0)
        for one in group:
            if one.idempotency_key is not None:
                self.keys[one.idempotency_key] = (self.keys[one.idempotency_key][0], one)

    def _has_room(self) -> bool:
        most = self.retention.max_bytes
        size = sum(len(one.record) for one in self.live)
        return len(self.live) <= self.retention.max_records and (most is None or size <= most)

    def _make(self, data: st.DataObject, number: int, key: str | None = None) -> RecordRow:
        members: dict[str, Any] = {
            "outcome": data.draw(OUTCOMES),
            "agent_id": data.draw(AGENTS),
            "source_ip": data.draw(SOURCES),
            "status": data.draw(STATUSES),
            "error_kind": data.draw(ERRORS),
            "finished_at_ms": round(self.now * 1000) - data.draw(st.sampled_from([0, 0, 10, 3000, 20_000])),
            "record": (b"record %d " % number).ljust(data.draw(st.sampled_from([0, 0, 50])), b"x"),
            "idempotency_key": key,
        }
        return row(number, **members)

    def _try(self, message: object) -> Any:
        """Return the answer, which has to come unless the store is broken; None where it fails as it may."""
        failed: str
        try:
            return answer(self.actors[0], message)
        except StoreError as error:
            failed = str(error)
        assert self.how is not None, failed
        assert self.how.told in failed
        return None

    @rule(data=st.data(), count=st.sampled_from([1, 1, 1, 2, 4, 5, 9]))
    def append(self, data: st.DataObject, count: int) -> None:
        group = [self._make(data, len(self.ever) + each) for each in range(count)]
        found = self._try(AppendRecords(tuple(group)))
        if found is not None:
            assert frozenset() == found
            self._committed(group)
        assert found is None or self.how is None or self.how.begin is unmovable

    @precondition(lambda self: self.how is None)
    @rule(data=st.data(), count=st.integers(2, 6))
    def append_what_waits(self, data: st.DataObject, count: int) -> None:
        group = [self._make(data, len(self.ever) + each) for each in range(count)]
        with held(self.actors[0]):
            futures = [self.actors[0].ask(AppendRecords((one,)), block=False) for one in group]
        assert [frozenset()] * count == [future.get(timeout=WAIT) for future in futures]
        self._committed(group)

    @precondition(lambda self: self.shown)
    @rule(data=st.data())
    def append_again(self, data: st.DataObject) -> None:
        known, new = data.draw(st.sampled_from(self.shown)), self._make(data, len(self.ever))
        found = self._try(AppendRecords((known, new)))
        if found is not None:
            assert {known.id} == found
            self._committed([new])

    @rule(key=KEYS, digest=st.sampled_from([b"one", b"other"]))
    def claim(self, key: str, digest: bytes) -> None:
        found = self._try(ClaimKey(key, digest))
        if found is None:
            return
        of, owner = self.keys.get(key, (digest, None))
        if key not in self.keys or (owner is not None and owner not in self.shown):
            assert KeyClaim(is_new=True, digest=digest, record=None) == found
            self.keys[key] = (digest, None)
        else:
            assert KeyClaim(is_new=False, digest=of, record=owner and owner.record) == found

    @precondition(lambda self: self._claimed())
    @rule(data=st.data(), is_sent=st.booleans())
    def end_what_has_a_key(self, data: st.DataObject, is_sent: bool) -> None:
        key = data.draw(st.sampled_from(self._claimed()))
        if is_sent:
            made = self._make(data, len(self.ever), key)
            if self._try(AppendRecords((made,))) is not None:
                self._committed([made])
        elif self.how is None:
            assert None is answer(self.actors[0], ReleaseKey(key))
            del self.keys[key]

    def _claimed(self) -> list[str]:
        return [key for key, (_, owner) in self.keys.items() if owner is None]

    @rule()
    def rest(self) -> None:
        answer(self.actors[0], Rest())

    @rule()
    def check(self) -> None:
        problem = answer(self.actors[0], CheckStore())
        if self.how is None:
            assert None is problem
        elif self.how.begin is not unmovable:
            assert self.how.told in problem

    @rule(where=FILTERS, limit=st.integers(1, 5))
    def search(self, where: HistoryFilter, limit: int) -> None:
        self.walk = None
        page = answer(self.actors[1], ReadHistory(limit, None, where))
        self._is_page(page, where, limit, self.shown)

    @precondition(lambda self: self.walk)
    @rule()
    def search_on(self) -> None:
        assert self.walk is not None
        where, limit, cursor, last = self.walk
        page = answer(self.actors[1], ReadHistory(limit, cursor, where))
        self._is_page(page, where, limit, [one for one in self.shown if one.id < last.id])

    def _is_page(self, page: Any, where: HistoryFilter, limit: int, among: Sequence[RecordRow]) -> None:
        wanted = [one for one in reversed(among) if matches(where, one)]
        assert [one.record for one in wanted[:limit]] == list(page.records)
        assert (len(wanted) <= limit) == (page.next_cursor is None)
        self.walk = None if page.next_cursor is None else Walk(where, limit, page.next_cursor, wanted[limit - 1])

    @invariant()
    def what_is_shown_is_what_the_model_keeps(self) -> None:
        if not self.actors:
            return
        wanted = [one.record for one in reversed(self.shown)]
        assert wanted == list(answer(self.actors[1], ReadHistory(100)).records)

    @rule(number=st.integers(0, 30))
    def find(self, number: int) -> None:
        wanted = row(number).id
        shown = {one.id: one.record for one in self.shown}
        assert shown.get(wanted) == answer(self.actors[1], ReadRecord(wanted))

    @invariant()
    def totals_count_all_that_was_ever_appended(self) -> None:
        if self.actors:
            counted = answer(self.actors[0], ReadTotals()).by_outcome
            assert Counter(str(one.outcome) for one in self.ever) == Counter(counted)


TestHistoryInAnyOrder = HistoryInAnyOrder.TestCase
TestHistoryInAnyOrder.settings = settings(deadline=None, max_examples=20, stateful_step_count=40)
