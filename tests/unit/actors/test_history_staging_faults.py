"""What is staged when the process is killed, and when it cannot be moved: kept, shown, and there once."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from dispatcher.actors.database import database_path
from dispatcher.actors.errors import StoreError
from dispatcher.actors.history import HistoryLog
from dispatcher.actors.history_reader import HistoryReader
from dispatcher.actors.messages import (
    CheckStore,
    ClaimKey,
    ReadRecord,
    ReadTotals,
)
from tests.support.broken_store import REASON, unwritable
from tests.unit.actors.any_order import copy_of
from tests.unit.actors.staged import Seen, append_together, ids, ids_of, newest
from tests.unit.actors.stored import WAIT, HeldLog, answer, append, kept_ids, row, running, settle

ROOT = Path(__file__).parents[3]

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


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is staged stays so until a test has it moved."""
    monkeypatch.setattr("dispatcher.actors.history.IDLE_SECONDS", 1000)


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


def test_of_a_log_that_a_power_cut_left_short_the_first_commits_are_there_and_agree(tmp_path: Path) -> None:
    whole, numbers, kept = tmp_path / "whole", iter(range(1000)), 30
    with running(HistoryLog, whole, max_records=kept) as log:
        for count in (1, 1, 9, 1, 1, 1, 20, 4, 1, 1, 9, 1, 1):
            append_together(log, *(next(numbers) for _ in range(count)))
        copied = copy_of(whole)
    log_size = (copied / "history.sqlite3-wal").stat().st_size
    ever = [0]
    for cut in (*range(0, log_size, log_size // 60), log_size):
        left = Path(shutil.copytree(copied, tmp_path / f"cut-{cut}"))
        os.truncate(left / "history.sqlite3-wal", cut)
        with running(HistoryLog, left, max_records=kept) as log, running(HistoryReader, left) as reader:
            ever.append(sum(answer(log, ReadTotals()).by_outcome.values()))
            there = range(max(0, ever[-1] - kept), ever[-1])
            assert ids_of(*there) == kept_ids(left)
            assert [row(number).record for number in reversed(there)] == list(newest(reader))
            append(log, row(999))
    shutil.rmtree(copied)
    assert sorted(ever) == ever
    assert (True, next(numbers)) == (10 < len({*ever}), ever[-1])


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


def test_what_could_not_be_staged_takes_nobodys_room(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=3) as log, running(HistoryReader, tmp_path) as reader:
        append_together(log, *range(5))
        append(log, row(5))
        with unwritable(database_path(tmp_path, "history"), "staged"), pytest.raises(StoreError, match=REASON):
            append(log, row(6))
        append(log, row(6))
        assert [row(number).record for number in (6, 5, 4)] == list(newest(reader))


def test_a_start_that_cannot_move_what_is_staged_deletes_nothing_and_shows_what_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(HistoryLog, tmp_path, max_records=3) as log:
        append_together(log, *range(5))
        append(log, row(5))
        broken = unwritable(database_path(tmp_path, "history"), "record")
        broken.__enter__()
    with running(HistoryLog, tmp_path, max_records=3), running(HistoryReader, tmp_path) as reader:
        assert (ids_of(5), ids_of(2, 3, 4)) == (ids(tmp_path, "staged"), ids(tmp_path, "record"))
        assert [row(number).record for number in (5, 4, 3)] == list(newest(reader))
        broken.__exit__(None, None, None)
    assert ids_of(3, 4, 5) == ids(tmp_path, "record")
    assert ["1 records stay staged"] * 2 == [one.message.partition(":")[0] for one in caplog.records]


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
