"""HistoryLog: an answer means a committed record, whatever happens next to the process or the disk."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pykka
import pytest

from dispatcher.actors.database import database_path
from dispatcher.actors.errors import StoreError
from dispatcher.actors.history import HistoryLog
from dispatcher.actors.history_reader import HistoryReader
from dispatcher.actors.messages import AppendRecords, CheckStore, HistoryFilter, Outcome, ReadHistory, ReadTotals
from tests.support.broken_store import REASON, unwritable_history
from tests.unit.actors.stored import T0, WAIT, HeldLog, answer, append, held, kept_ids, row, running, settle

ROOT = Path(__file__).parents[3]

APPEND_FOR_EVER = """
import itertools, sys
from pathlib import Path
from dispatcher.actors.history import HistoryLog
from dispatcher.actors.messages import AppendRecords
from tests.unit.actors.stored import row
log = HistoryLog.start(Path(sys.argv[1]), max_records=1_000_000)
for start in itertools.count(0, 10):
    groups = [tuple(row(n, record=b"x" * 5000) for n in (first, first + 1)) for first in range(start, start + 10, 2)]
    for group, future in [(group, log.ask(AppendRecords(group), block=False)) for group in groups]:
        future.get(timeout=20)
        for one in group:
            print(one.id, flush=True)
"""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[pykka.ActorRef[Any]]:
    with running(HistoryLog, tmp_path, max_records=1000) as ref:
        yield ref


def stored(state_dir: Path, query: str = "SELECT id FROM record ORDER BY seq") -> list[Any]:
    with closing(sqlite3.connect(database_path(state_dir, "history"))) as other:
        return [first for (first,) in other.execute(query)]


def break_agent(state_dir: Path, agent_id: str) -> None:
    """Make the store fail over records of one agent."""
    with closing(sqlite3.connect(database_path(state_dir, "history"))) as other:
        for table in ("staged", "record"):
            other.execute(
                f"""CREATE TRIGGER broken_{table} BEFORE INSERT ON {table} WHEN NEW.agent_id = '{agent_id}'
                    BEGIN SELECT RAISE(ABORT, 'no room'); END"""
            )


def test_a_record_is_committed_before_the_answer(tmp_path: Path, log: pykka.ActorRef[Any]) -> None:
    append(log, row(1))
    assert [row(1).id] == kept_ids(tmp_path)
    settle(log)
    assert [row(1).id] == kept_ids(tmp_path)
    assert [row(1).record] == stored(tmp_path, "SELECT record FROM content")


class HeldCommit(list[str]):
    """A trace of SQL statements in which each that `commits` stops before it is carried out, until it is `released`."""

    def __init__(self, commits: str) -> None:
        super().__init__()
        self.commits = commits
        self.reached = threading.Event()
        self.released = threading.Event()

    def append(self, statement: str) -> None:
        super().append(statement)
        if statement.startswith(self.commits):
            self.reached.set()
            self.released.wait(WAIT)


@pytest.mark.parametrize(("commits", "together"), [("INSERT INTO staged", 1), ("COMMIT", 9)])
def test_nobody_is_answered_before_the_commit_is_done(tmp_path: Path, commits: str, together: int) -> None:
    trace = HeldCommit(commits)
    with running(HeldLog, tmp_path, max_records=1000, trace=trace) as log:
        numbers = [range(start, start + together) for start in range(0, 3 * together, together)]
        futures = [log.ask(AppendRecords(tuple(row(n) for n in each)), block=False) for each in numbers]
        assert trace.reached.wait(WAIT)
        try:
            for future in futures:
                with pytest.raises(pykka.Timeout):
                    future.get(timeout=0)
        finally:
            trace.released.set()
        assert [frozenset()] * 3 == [future.get(timeout=WAIT) for future in futures]


def test_no_answer_waits_until_the_log_is_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatcher.actors.database.JOURNAL_LIMIT_BYTES", 0)
    trace = HeldCommit("PRAGMA wal_checkpoint")
    with running(HeldLog, tmp_path, max_records=1000, trace=trace) as log:
        future = log.ask(AppendRecords(tuple(row(n) for n in range(9))), block=False)
        assert trace.reached.wait(WAIT)
        try:
            assert frozenset() == future.get(timeout=0)
        finally:
            trace.released.set()


def test_a_reply_implies_a_record_even_after_kill_9(tmp_path: Path) -> None:
    command = [sys.executable, "-c", APPEND_FOR_EVER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        answered = [process.stdout.readline().strip() for _ in range(237)]
        process.kill()
        answered += [line.strip() for line in process.stdout if line.endswith("\n")]
    with running(HistoryLog, tmp_path, max_records=1_000_000) as log:
        found = stored(tmp_path)
        assert answered == found[: len(answered)]
        assert len(found) == answer(log, ReadTotals()).by_outcome["completed"]
        assert ["ok"] == stored(tmp_path, "PRAGMA integrity_check")


def test_all_appends_that_wait_share_one_transaction(tmp_path: Path) -> None:
    trace: list[str] = []
    with running(HeldLog, tmp_path, max_records=1000, trace=trace) as log:
        with held(log):
            futures = [log.ask(AppendRecords((row(n),)), block=False) for n in range(100)]
        assert [frozenset()] * 100 == [future.get(timeout=WAIT) for future in futures]
        assert 1 == trace.count("COMMIT")
    assert [row(n).id for n in range(100)] == stored(tmp_path)


def test_a_batch_that_fails_writes_nothing_and_tells_everyone(tmp_path: Path) -> None:
    with running(HeldLog, tmp_path, max_records=1000, trace=[]) as log:
        append(log, row(1))
        break_agent(tmp_path, "bad")
        with held(log):
            futures = [log.ask(AppendRecords((row(n, agent_id="bad"),)), block=False) for n in (2, 3)]
            futures += [log.ask(AppendRecords((row(4),)), block=False)]
        for future in futures:
            with pytest.raises(StoreError, match=r"cannot write .*history\.sqlite3: no room"):
                future.get(timeout=WAIT)
        assert {"completed": 1} == answer(log, ReadTotals()).by_outcome
        append(log, row(4))
        assert [row(1).id, row(4).id] == kept_ids(tmp_path)
        assert {"completed": 2} == answer(log, ReadTotals()).by_outcome


def test_what_a_failed_batch_noted_of_its_records_is_noted_again(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=1000) as log, running(HistoryReader, tmp_path) as reader:
        append(log, row(1))
        with unwritable_history(tmp_path), pytest.raises(StoreError, match=REASON):
            append(log, row(2, agent_id="agent-02"))
        append(log, row(2, agent_id="agent-02"))
        assert (row(2).record,) == answer(reader, ReadHistory(10, None, HistoryFilter(agent_id="agent-02"))).records


def test_an_id_that_is_known_is_refused_and_the_rest_of_the_batch_is_kept(tmp_path: Path) -> None:
    with running(HeldLog, tmp_path, max_records=1000, trace=[]) as log:
        append(log, row(1))
        with held(log):
            again, late = (
                log.ask(AppendRecords(tuple(row(n, agent_id="other") for n in numbers)), block=False)
                for numbers in ((1, 2), (2, 3))
            )
        assert ({row(1).id}, {row(2).id}) == (again.get(timeout=WAIT), late.get(timeout=WAIT))
        assert ["agent-01", "other", "other"] == stored(tmp_path, "SELECT agent_id FROM record ORDER BY seq")
        assert [row(n).id for n in (1, 2, 3)] == stored(tmp_path)
        assert {"completed": 3} == answer(log, ReadTotals()).by_outcome


def test_a_told_record_is_kept_too(tmp_path: Path, log: pykka.ActorRef[Any]) -> None:
    log.tell(AppendRecords((row(1),)))
    answer(log, ReadTotals())
    assert [row(1).id] == kept_ids(tmp_path)


def test_what_waits_when_the_actor_stops_is_committed(tmp_path: Path) -> None:
    with running(HeldLog, tmp_path, max_records=1000, trace=[]) as log, held(log):
        future = log.ask(AppendRecords((row(1),)), block=False)
        log.stop(block=False)
    assert frozenset() == future.get(timeout=WAIT)
    assert [row(1).id] == stored(tmp_path)


def test_only_as_many_records_are_kept_as_configured(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=3) as log:
        append(log, *(row(n) for n in range(10)))
        settle(log)
        assert [row(n).id for n in (7, 8, 9)] == stored(tmp_path)
        assert {"completed": 10} == answer(log, ReadTotals()).by_outcome


def test_records_that_are_too_old_go_with_the_next_append(tmp_path: Path) -> None:
    now = [T0 / 1000]
    with running(HistoryLog, tmp_path, max_records=100, max_age=60, clock=lambda: now[0]) as log:
        append(log, row(0), row(1000))
        settle(log)
        now[0] += 61
        assert 2 == len(stored(tmp_path))
        append(log, row(61_000))
        settle(log)
        assert [row(1000).id, row(61_000).id] == stored(tmp_path)


def test_only_as_many_bytes_are_kept_as_configured(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=100, max_bytes=250) as log:
        append(log, *(row(n, record=b"x" * 100) for n in range(5)))
        settle(log)
        assert [row(3).id, row(4).id] == stored(tmp_path)


def test_a_start_deletes_what_a_new_limit_no_longer_keeps(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=1000) as log:
        append(log, *(row(n) for n in range(200)))
    with running(HistoryLog, tmp_path, max_records=10):
        assert 10 == len(stored(tmp_path))


def test_a_start_does_not_wait_for_ever_for_what_it_deletes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatcher.actors.history.PRUNE_AT_START_SECONDS", 0)
    with running(HistoryLog, tmp_path, max_records=1000) as log:
        append(log, *(row(n) for n in range(200)))
    with running(HistoryLog, tmp_path, max_records=10) as log:
        assert 200 == len(stored(tmp_path))
        append(log, row(200))
        settle(log)
        assert 201 - 65 == len(stored(tmp_path))


def test_the_check_says_why_the_store_cannot_be_written(tmp_path: Path, log: pykka.ActorRef[Any]) -> None:
    assert None is answer(log, CheckStore())
    with closing(sqlite3.connect(database_path(tmp_path, "history"))) as other:
        other.execute("DROP TABLE probe")
    assert "no such table: probe" in answer(log, CheckStore())


def test_totals_survive_a_restart(tmp_path: Path) -> None:
    failed = row(2, outcome=Outcome.FAILED, status=None, error_kind="dns", total_ms=None)
    with running(HistoryLog, tmp_path, max_records=1) as log:
        append(log, row(1, total_ms=10.0), failed, row(3, status=404, total_ms=20.0))
        before = answer(log, ReadTotals())
    with running(HistoryLog, tmp_path, max_records=1) as log:
        assert before == answer(log, ReadTotals())
    assert {"completed": 2, "failed": 1} == before.by_outcome
    assert ({"200": 1, "404": 1}, {"dns": 1}) == (before.by_status, before.by_error)
    assert (20.0, 20.0) == (before.p99, before.max)


def test_a_copy_that_sqlite_makes_of_a_history_in_use_is_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    with running(HistoryLog, tmp_path, max_records=1000) as log:
        answer(log, AppendRecords(tuple(row(n) for n in range(300))))
        append(log, row(300))
        with closing(sqlite3.connect(database_path(tmp_path, "history"))) as other:
            other.execute("VACUUM INTO ?", (str(database_path(tmp_path / "copy", "history")),))
        append(log, row(301))
    with running(HistoryLog, tmp_path / "copy", max_records=1000) as log:
        assert [row(n).id for n in range(301)] == kept_ids(tmp_path / "copy")
        assert {"completed": 301} == answer(log, ReadTotals()).by_outcome
        append(log, row(301))
        assert [row(n).id for n in range(302)] == kept_ids(tmp_path / "copy")


def test_a_damaged_file_is_refused_by_name(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=1000) as log:
        append(log, *(row(n) for n in range(100)))
    path = database_path(tmp_path, "history")
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(StoreError, match=r"history\.sqlite3: .*malformed"):
        HistoryLog.start(tmp_path, max_records=1000)
    path.write_bytes(whole)
    with running(HistoryLog, tmp_path, max_records=1000):
        assert 100 == len(stored(tmp_path))


def test_another_coordinator_is_refused_at_the_start(tmp_path: Path, log: pykka.ActorRef[Any]) -> None:
    with pytest.raises(StoreError, match="in use by another coordinator"):
        HistoryLog.start(tmp_path, max_records=1000)
    append(log, row(1))


def test_a_full_disk_is_told_and_survived(tmp_path: Path) -> None:
    unshare = ["unshare", "-m" if os.geteuid() == 0 else "-Urm"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace can be made here, so no disk can be filled")
    program = [sys.executable, "-m", "tests.unit.actors.small_disk", str(tmp_path)]
    done = subprocess.run(unshare + program, capture_output=True, text=True, timeout=60, cwd=ROOT, check=True)
    assert [
        "fresh: written",
        "filled",
        "full: cannot write DISK/history.sqlite3: database or disk is full",
        "emptied: written",
        "check: None",
        "counted: 2",
        "read-only: cannot open DISK/history.sqlite3: Read-only file system",
    ] == done.stdout.splitlines()
