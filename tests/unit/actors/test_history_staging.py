"""Records that come alone: committed at once, and in the tables soon."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dispatcher.actors import history_staging, history_tables
from dispatcher.actors.database import Database, database_path
from dispatcher.actors.errors import StoreError
from dispatcher.actors.history import HistoryLog
from dispatcher.actors.messages import (
    AppendRecords,
    ReadTotals,
)
from tests.unit.actors.staged import Seen, append_together, ids, ids_of
from tests.unit.actors.stored import WAIT, HeldLog, answer, append, held, kept_ids, row, running, settle


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is staged stays so until a test has it moved."""
    monkeypatch.setattr("dispatcher.actors.history.IDLE_SECONDS", 1000)


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
