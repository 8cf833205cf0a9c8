"""What readers see of what is staged, and of what that took the room of: as if it lay in the tables."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pykka
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.actors.history import HistoryLog
from dispatcher.actors.history_reader import HistoryReader
from dispatcher.actors.messages import (
    AppendRecords,
    ClaimKey,
    HistoryFilter,
    ReadHistory,
    ReadRecord,
    ReadTotals,
    RecordRow,
)
from tests.unit.actors.staged import append_together, ids, newest
from tests.unit.actors.stored import T0, answer, append, row, rows, running, settle


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is staged stays so until a test has it moved."""
    monkeypatch.setattr("dispatcher.actors.history.IDLE_SECONDS", 1000)


def test_retention_of_one_record_shows_one(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=1) as log, running(HistoryReader, tmp_path) as reader:
        for number in range(5):
            append(log, row(number))
            assert (row(number).record,) == newest(reader)
            assert [row(number).record] == [
                found for one in range(5) if (found := answer(reader, ReadRecord(row(one).id))) is not None
            ]


class Aged:
    """What `aged` runs, and what time it is there."""

    now = T0 / 1000
    log: pykka.ActorRef[Any]
    reader: pykka.ActorRef[Any]

    def append(self, number: int) -> None:
        """Append a record that finishes now."""
        append(self.log, row(number, finished_at_ms=round(self.now * 1000)))

    def shows(self, *numbers: int) -> bool:
        return [row(number).record for number in numbers] == list(newest(self.reader))


@contextlib.contextmanager
def aged(state_dir: Path, max_records: int, *finished_at: float) -> Iterator[Aged]:
    """A history that keeps records for 10 s, with some that finished so many seconds after `T0`, and its clock."""
    clock = Aged()
    keep = {"max_age": 10, "clock": lambda: clock.now}
    with (
        running(HistoryLog, state_dir, max_records=max_records, **keep) as clock.log,
        running(HistoryReader, state_dir, **keep) as clock.reader,
    ):
        rows = [row(n, finished_at_ms=T0 + round(seconds * 1000)) for n, seconds in enumerate(finished_at)]
        assert frozenset() == answer(clock.log, AppendRecords(tuple(rows)))
        settle(clock.log)
        yield clock


def test_what_is_too_old_makes_room_wherever_it_stands(tmp_path: Path) -> None:
    with aged(tmp_path, 5, 5, 5, 5, 0, 5) as history:
        history.now = T0 / 1000 + 11
        assert history.shows(4, 2, 1, 0)
        history.append(5)
        assert history.shows(5, 4, 2, 1, 0)
        history.append(6)
        assert history.shows(6, 5, 4, 2, 1)
        settle(history.log)
        assert history.shows(6, 5, 4, 2, 1)


def test_a_staged_record_that_is_too_old_by_now_makes_room_too(tmp_path: Path) -> None:
    with aged(tmp_path, 3, 5, 5) as history:
        history.now = T0 / 1000
        history.append(2)
        history.now += 11
        history.append(3)
        assert history.shows(3, 1, 0)


def test_what_a_staged_record_took_the_room_of_does_not_come_back(tmp_path: Path) -> None:
    with aged(tmp_path, 3, 5, 0, 5) as history:
        history.now = T0 / 1000 + 9
        history.append(3)
        assert history.shows(3, 2, 1)
        history.now += 2  # the second is too old now, so there would be room
        assert history.shows(3, 2)
        settle(history.log)
        assert history.shows(3, 2)


def test_a_key_whose_record_a_staged_one_took_the_room_of_is_free(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=2) as log:
        answer(log, ClaimKey("k", b"first"))
        append(log, row(1, idempotency_key="k"), row(2))
        assert not answer(log, ClaimKey("k", b"first")).is_new
        append(log, row(3))
        assert answer(log, ClaimKey("k", b"second")).is_new


def kept_by(model: Sequence[RecordRow], max_records: int, max_bytes: int | None) -> list[RecordRow]:
    kept = list(model[-max_records:])
    while max_bytes is not None and sum(len(one.record) for one in kept) > max_bytes:
        kept.pop(0)
    return kept


@settings(deadline=None, max_examples=25)
@given(
    rows(max_size=60),
    st.lists(st.integers(1, 10), min_size=1),
    st.integers(1, 40),
    st.none() | st.integers(0, 300),
    st.integers(1, 12),
)
def test_every_page_is_as_if_nothing_was_ever_staged(
    model: list[RecordRow], sizes: list[int], max_records: int, max_bytes: int | None, most: int
) -> None:
    ever: list[RecordRow] = []
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr("dispatcher.actors.history_staging.MOST_ROWS", most)
        retention = {"max_records": max_records, "max_bytes": max_bytes}
        with running(HistoryLog, Path(name), **retention) as log, running(HistoryReader, Path(name)) as reader:
            for size in sizes:
                group, model = model[:size], model[size:]
                assert frozenset() == answer(log, AppendRecords(tuple(group)))
                ever += group
                kept = [one.record for one in reversed(kept_by(ever, max_records, max_bytes))]
                assert kept == list(newest(reader))
                first = answer(reader, ReadHistory(3))
                assert kept[:3] == list(first.records)
                assert (first.next_cursor is None) == (len(kept) <= 3)
                if first.next_cursor is not None:
                    assert kept[3:] == list(answer(reader, ReadHistory(100, first.next_cursor)).records)
                assert len(ever) == sum(answer(log, ReadTotals()).by_outcome.values())


def test_a_search_finds_what_is_staged_and_what_is_not(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=100) as log, running(HistoryReader, tmp_path) as reader:
        append(log, row(1, status=404), row(2))
        settle(log)
        append(log, row(3, status=404), row(4), row(5, status=404))
        where = HistoryFilter(status=404)
        first = answer(reader, ReadHistory(2, None, where))
        assert (row(5).record, row(3).record) == first.records
        assert (row(1).record,) == answer(reader, ReadHistory(2, first.next_cursor, where)).records


class Interrupted(HistoryReader):
    """A reader that has everything moved when it is done with what is staged."""

    def __init__(self, state_dir: Path, log: pykka.ActorRef[Any]) -> None:
        super().__init__(state_dir)
        self._log = log
        self._connection.set_trace_callback(self._interrupt)

    def _interrupt(self, statement: str) -> None:
        if "content.record FROM record" in statement:
            settle(self._log)


def test_a_page_is_of_one_moment_though_what_is_staged_is_moved_meanwhile(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=100) as log, running(Interrupted, tmp_path, log) as reader:
        append_together(log, *range(5))
        append(log, row(5), row(6))
        assert [row(number).record for number in reversed(range(7))] == list(newest(reader))
        assert [] == ids(tmp_path, "staged")
