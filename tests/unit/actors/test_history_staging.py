"""Records that come alone: committed at once, seen at once, and in the tables soon, whatever happens in between."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pykka
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.actors import history_staging, history_tables
from dispatcher.actors.database import Database, database_path
from dispatcher.actors.errors import StoreError
from dispatcher.actors.history import HistoryLog
from dispatcher.actors.history_reader import HistoryReader
from dispatcher.actors.messages import (
    AppendRecords,
    CheckStore,
    ClaimKey,
    HistoryFilter,
    ReadHistory,
    ReadRecord,
    ReadTotals,
    RecordRow,
)
from tests.support.broken_store import REASON, unwritable
from tests.unit.actors.stored import WAIT, HeldLog, answer, append, held, kept_ids, row, rows, running, settle

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is staged stays so until a test has it moved."""
    monkeypatch.setattr("dispatcher.actors.history.IDLE_SECONDS", 1000)


def ids(state_dir: Path, table: str) -> list[str]:
    with closing(sqlite3.connect(database_path(state_dir, "history"))) as other:
        return [one for (one,) in other.execute(f"SELECT id FROM {table} ORDER BY seq")]


def ids_of(*numbers: int) -> list[str]:
    return [row(number).id for number in numbers]


def append_together(log: pykka.ActorRef[Any], *numbers: int) -> None:
    assert frozenset() == answer(log, AppendRecords(tuple(row(number) for number in numbers)))


def newest(reader: pykka.ActorRef[Any], limit: int = 100) -> Sequence[bytes]:
    found: Sequence[bytes] = answer(reader, ReadHistory(limit)).records
    return found


def test_few_records_are_staged_and_many_go_into_the_tables_after_what_is_staged(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=100) as log:
        append(log, row(1))
        append_together(log, 2, 3)
        assert (ids_of(1, 2, 3), []) == (ids(tmp_path, "staged"), ids(tmp_path, "record"))
        append_together(log, *range(4, 4 + history_staging.MOST_AT_ONCE + 1))
        assert ([], 8) == (ids(tmp_path, "staged"), len(ids(tmp_path, "record")))
        assert ids_of(*range(1, 9)) == kept_ids(tmp_path)


def test_a_staged_record_has_its_place_before_it_is_moved_there(tmp_path: Path) -> None:
    query = "SELECT seq, id FROM {} ORDER BY seq"
    with running(HistoryLog, tmp_path, max_records=100) as log:
        append_together(log, *range(20))
        append_together(log, 20, 21)
        with closing(sqlite3.connect(database_path(tmp_path, "history"))) as other:
            staged = other.execute(query.format("staged")).fetchall()
            settle(log)
            assert staged == other.execute(query.format("record")).fetchall()[20:]


def test_so_many_are_staged_and_the_next_moves_all(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=1000) as log:
        append(log, *(row(number) for number in range(history_staging.MOST_ROWS)))
        assert history_staging.MOST_ROWS == len(ids(tmp_path, "staged"))
        append(log, row(1000))
        assert [] == ids(tmp_path, "staged")
        assert [*ids_of(*range(history_staging.MOST_ROWS)), row(1000).id] == ids(tmp_path, "record")


def test_so_many_bytes_are_staged_and_the_next_moves_all(tmp_path: Path) -> None:
    half = b"x" * (history_staging.MOST_BYTES // 2)
    with running(HistoryLog, tmp_path, max_records=1000) as log:
        append(log, row(1, record=half), row(2, record=half))
        assert ids_of(1, 2) == ids(tmp_path, "staged")
        append(log, row(3))
        assert ([], ids_of(1, 2, 3)) == (ids(tmp_path, "staged"), ids(tmp_path, "record"))


def test_a_record_with_a_key_is_never_staged(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=100) as log:
        append(log, row(1), row(2, idempotency_key="k"))
        assert ([], ids_of(1, 2)) == (ids(tmp_path, "staged"), ids(tmp_path, "record"))


class Seen(list[str]):
    """A trace of SQL statements that says when one was begun."""

    def __init__(self, statement: str) -> None:
        super().__init__()
        self.is_seen = threading.Event()
        self._statement = statement

    def append(self, statement: str) -> None:
        if statement.startswith(self._statement):
            self.is_seen.set()


def test_what_is_staged_is_moved_in_a_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatcher.actors.history.IDLE_SECONDS", 0.001)
    begun = Seen("DELETE FROM staged")
    with running(HeldLog, tmp_path, max_records=100, trace=begun) as log:
        append(log, row(1))
        assert begun.is_seen.wait(WAIT)
        answer(log, ReadTotals())  # what was begun is through
        assert ([], ids_of(1)) == (ids(tmp_path, "staged"), ids(tmp_path, "record"))


def test_a_stop_moves_what_is_staged(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=100) as log:
        append(log, row(1), row(2))
    assert ([], ids_of(1, 2)) == (ids(tmp_path, "staged"), ids(tmp_path, "record"))


DIE = """
import os, signal, sys
from pathlib import Path
from dispatcher.actors import history
from dispatcher.actors.messages import AppendRecords, CheckStore
from tests.unit.actors.stored import HeldLog, row

class Deadly(list):
    def append(self, statement):
        if statement.startswith(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

history.IDLE_SECONDS = 1000
log = HeldLog.start(Path(sys.argv[1]), max_records=100, trace=Deadly())
for number in range(20, 25):
    log.ask(AppendRecords((row(number),)), timeout=20)
print("staged", flush=True)
log.ask(CheckStore(), timeout=20)
"""


@pytest.mark.parametrize("at", ["BEGIN", "DELETE FROM staged", "INSERT INTO record", "INSERT INTO content", "COMMIT"])
def test_a_kill_before_or_within_a_move_loses_and_doubles_nothing(tmp_path: Path, at: str) -> None:
    with running(HistoryLog, tmp_path, max_records=100) as log:
        append_together(log, *range(20))
    command = [sys.executable, "-c", DIE, str(tmp_path), at]
    died = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert (-signal.SIGKILL, "staged\n") == (died.returncode, died.stdout)
    assert (ids_of(*range(20, 25)), 20) == (ids(tmp_path, "staged"), len(ids(tmp_path, "record")))
    with running(HistoryLog, tmp_path, max_records=100) as log, running(HistoryReader, tmp_path) as reader:
        assert ([], ids_of(*range(25))) == (ids(tmp_path, "staged"), ids(tmp_path, "record"))
        assert {"completed": 25} == answer(log, ReadTotals()).by_outcome
        assert [row(number).record for number in reversed(range(25))] == list(newest(reader))


def test_what_cannot_be_moved_stays_staged_and_is_shown_until_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(HistoryLog, tmp_path, max_records=100) as log, running(HistoryReader, tmp_path) as reader:
        append(log, row(1), row(2))
        with unwritable(database_path(tmp_path, "history"), "record"):
            for group in (range(3, 20), range(3, 4)):  # no more is staged either
                with pytest.raises(StoreError, match=REASON):
                    append_together(log, *group)
            assert REASON in answer(log, CheckStore())
            assert ids_of(1, 2) == ids(tmp_path, "staged")
            assert (row(2).record, row(1).record) == newest(reader)
            assert row(2).record == answer(reader, ReadRecord(row(2).id))
            assert {"completed": 2} == answer(log, ReadTotals()).by_outcome
            with pytest.raises(StoreError, match=REASON):
                answer(log, ClaimKey("k", b"digest"))
        append(log, row(3))
        assert ([], ids_of(1, 2, 3)) == (ids(tmp_path, "staged"), ids(tmp_path, "record"))
        append(log, row(4))
        assert ids_of(4) == ids(tmp_path, "staged")
    assert [] == caplog.records


def test_what_a_pause_cannot_move_is_told_once_and_keeps_more_from_being_staged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    undone = Seen("ROLLBACK")
    with running(HeldLog, tmp_path, max_records=100, trace=undone) as log:
        append(log, row(1))
        with unwritable(database_path(tmp_path, "history"), "record"):
            monkeypatch.setattr("dispatcher.actors.history.IDLE_SECONDS", 0.001)
            answer(log, ReadTotals())
            assert undone.is_seen.wait(WAIT)
            with pytest.raises(StoreError, match=REASON):
                append(log, row(2))
            assert ids_of(1) == ids(tmp_path, "staged")
        append(log, row(2))
        assert ids_of(1, 2) == ids(tmp_path, "record")
    assert ["1 records stay staged"] == [one.message.partition(":")[0] for one in caplog.records]


def write_schema(state_dir: Path, sql: str, version: int) -> str:
    """Replace what says how records are kept, and return what said so before."""
    with closing(sqlite3.connect(database_path(state_dir, "history"), isolation_level=None)) as other:
        other.execute("PRAGMA writable_schema = ON")
        (before,) = other.execute("SELECT sql FROM sqlite_schema WHERE name = 'record'").fetchone()
        other.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'record'", (sql,))
        other.execute(f"PRAGMA schema_version = {version}")
    return str(before)


def test_a_file_that_turns_out_damaged_is_told_of_before_anything_is_staged(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=100) as log:
        append(log, row(1))
        settle(log)
        sql = write_schema(tmp_path, "no SQL", 1000)
        with pytest.raises(StoreError, match=r"cannot write .*history\.sqlite3: malformed database schema"):
            append(log, row(2))
        write_schema(tmp_path, sql, 1001)
        append(log, row(2))
        assert ids_of(1, 2) == kept_ids(tmp_path)


def test_what_cannot_be_moved_at_the_end_is_moved_at_the_next_start_that_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(HistoryLog, tmp_path, max_records=100) as log:
        append(log, row(1))
        broken = unwritable(database_path(tmp_path, "history"), "record")
        broken.__enter__()
    with running(HistoryLog, tmp_path, max_records=100) as log, running(HistoryReader, tmp_path) as reader:
        assert ids_of(1) == ids(tmp_path, "staged")
        assert ((row(1).record,), {"completed": 1}) == (newest(reader), answer(log, ReadTotals()).by_outcome)
        with pytest.raises(StoreError, match=REASON):
            append(log, row(2))
        broken.__exit__(None, None, None)
    with running(HistoryLog, tmp_path, max_records=100):
        assert ([], ids_of(1)) == (ids(tmp_path, "staged"), ids(tmp_path, "record"))
    assert ["1 records stay staged"] * 2 == [one.message.partition(":")[0] for one in caplog.records]


def test_an_id_that_is_known_is_refused_whether_it_is_staged_moved_or_given_twice(tmp_path: Path) -> None:
    def refused(*numbers: int) -> frozenset[str]:
        found: frozenset[str] = answer(log, AppendRecords(tuple(row(number) for number in numbers)))
        return found

    with running(HistoryLog, tmp_path, max_records=100) as log:
        append(log, row(1))
        assert {row(1).id} == refused(1)
        assert {row(1).id} == refused(1)
        append(log, row(2))
        assert {row(1).id} == refused(1, 3)
        assert {row(4).id} == refused(4, 4)
        assert ids_of(1, 2, 3, 4) == kept_ids(tmp_path)
        assert {"completed": 4} == answer(log, ReadTotals()).by_outcome


def test_an_id_that_another_program_took_meanwhile_is_told_and_harms_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(HistoryLog, tmp_path, max_records=100) as log:
        append(log, row(1), row(2))
        with closing(sqlite3.connect(database_path(tmp_path, "history"), isolation_level=None)) as other:
            other.execute("INSERT INTO record (id, outcome, finished_at, size) VALUES (?, '', 0, 0)", (row(1).id,))
        settle(log)
        assert ids_of(1, 2) == ids(tmp_path, "record")
    assert ["of 2 staged records some were not moved: others have their ids"] == [one.message for one in caplog.records]


def test_retention_of_one_record_shows_one(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=1) as log, running(HistoryReader, tmp_path) as reader:
        for number in range(5):
            append(log, row(number))
            assert (row(number).record,) == newest(reader)
            assert [row(number).record] == [
                found for one in range(5) if (found := answer(reader, ReadRecord(row(one).id))) is not None
            ]


def test_what_could_not_be_staged_takes_nobodys_room(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=3) as log, running(HistoryReader, tmp_path) as reader:
        append_together(log, *range(5))
        append(log, row(5))
        with unwritable(database_path(tmp_path, "history"), "staged"), pytest.raises(StoreError, match=REASON):
            append(log, row(6))
        append(log, row(6))
        assert [row(number).record for number in (6, 5, 4)] == list(newest(reader))


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


def test_what_waits_together_is_staged_together_or_moved_together(tmp_path: Path) -> None:
    trace: list[str] = []
    with running(HeldLog, tmp_path, max_records=100, trace=trace) as log:
        for numbers, commits in ((range(4), 0), (range(4, 9), 1)):
            with held(log):
                futures = [log.ask(AppendRecords((row(number),)), block=False) for number in numbers]
            assert [frozenset()] * len(futures) == [future.get(timeout=WAIT) for future in futures]
            assert commits == trace.count("COMMIT")
        assert ids_of(*range(9)) == ids(tmp_path, "record")


def test_an_older_program_refuses_a_file_that_may_have_something_staged(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=100) as log:
        append(log, row(1))
    with pytest.raises(StoreError, match="has version 5, but this program knows versions up to 4"):
        Database(tmp_path, "history", history_tables.MIGRATIONS[:4])
