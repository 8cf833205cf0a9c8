"""What is on disk: the first version's tables, what an insert writes, and what retention takes away."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.actors import history_tables
from dispatcher.actors.database import Database, database_path
from dispatcher.actors.history import HistoryLog
from dispatcher.actors.history_blocks import Notes
from dispatcher.actors.history_columns import Columns
from dispatcher.actors.history_reader import HistoryReader
from dispatcher.actors.history_tables import Added, add
from dispatcher.actors.history_totals import Totals
from dispatcher.actors.messages import HistoryFilter, ReadHistory, ReadTotals, RecordRow
from tests.unit.actors.stored import T0, answer, append, opened, row, running

VERSION_1 = """
CREATE TABLE record (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, outcome TEXT NOT NULL, agent_id TEXT,
    source_ip TEXT, status INTEGER, error TEXT, finished_at INTEGER NOT NULL, size INTEGER NOT NULL
);
CREATE TABLE content (
    seq INTEGER PRIMARY KEY REFERENCES record (seq) ON DELETE CASCADE, record BLOB NOT NULL
);
CREATE INDEX record_outcome ON record (outcome);
CREATE INDEX record_agent_id ON record (agent_id) WHERE agent_id IS NOT NULL;
CREATE INDEX record_source_ip ON record (source_ip) WHERE source_ip IS NOT NULL;
CREATE INDEX record_status ON record (status) WHERE status IS NOT NULL;
CREATE INDEX record_error ON record (error) WHERE error IS NOT NULL;
CREATE INDEX record_finished_at ON record (finished_at);
CREATE TABLE minute (minute INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL);
CREATE INDEX minute_last_seq ON minute (last_seq);
CREATE TABLE kept (id INTEGER PRIMARY KEY, records INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE total (what TEXT NOT NULL, value TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (what, value))
    WITHOUT ROWID;
CREATE TABLE latency (bucket INTEGER PRIMARY KEY, n INTEGER NOT NULL);
CREATE TABLE longest (id INTEGER PRIMARY KEY, ms REAL NOT NULL);
CREATE TABLE probe (id INTEGER PRIMARY KEY, at INTEGER NOT NULL);
INSERT INTO record VALUES (7, 'old', 'completed', 'agent-01', '2001:db8::1', 200, NULL, 1700000000000, 3);
INSERT INTO content VALUES (7, x'6f6c64');
INSERT INTO minute VALUES (28333333, 7, 7);
INSERT INTO kept VALUES (0, 1, 3);
INSERT INTO total VALUES ('outcome', 'completed', 12), ('status', '200', 12);
INSERT INTO latency VALUES (345, 12);
INSERT INTO longest VALUES (0, 1.0);
PRAGMA user_version = 1;
"""
"""A file as the first released version left it. It stays as it is when the tables change."""


def test_a_history_of_version_1_is_read_and_goes_on(tmp_path: Path) -> None:
    with closing(sqlite3.connect(database_path(tmp_path, "history"))) as old:
        old.executescript(VERSION_1)
    with running(HistoryLog, tmp_path, max_records=2) as log, running(HistoryReader, tmp_path) as reader:
        totals = answer(log, ReadTotals())
        assert ({"completed": 12}, {"200": 12}, 1.0) == (totals.by_outcome, totals.by_status, totals.max)
        assert 0.98 < totals.p50 <= 1.0
        append(log, row(1))
        for where in (HistoryFilter(agent_id="agent-01", since_ms=T0), HistoryFilter(until_ms=T0 + 2)):
            assert (row(1).record, b"old") == answer(reader, ReadHistory(10, None, where)).records
        append(log, row(2))
        assert (row(2).record, row(1).record) == answer(reader, ReadHistory(10)).records
        assert {"completed": 14} == answer(log, ReadTotals()).by_outcome


def fill_version_2(path: Path, model: list[RecordRow]) -> None:
    """Write a history as the program before version 3 did, with the columns that it had an index of."""
    with closing(Database(path, "history", history_tables.MIGRATIONS[:2])) as old, old.transaction() as connection:
        for place, one in enumerate(model, 7):
            narrow = (*one[:7], len(one.record))
            connection.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (place, *narrow))
            connection.execute("INSERT INTO content VALUES (?, ?)", (place, one.record))
            connection.execute("UPDATE kept SET records = records + 1, bytes = bytes + ?", (len(one.record),))


def test_what_is_noted_of_an_older_history_is_what_would_have_been_noted(tmp_path: Path) -> None:
    sources = [f"2001:db8::{number % 77:x}" for number in range(600)]
    model = [row(n, source_ip=source, finished_at_ms=T0 + n * 1000) for n, source in enumerate(sources)]
    fill_version_2(tmp_path / "old", model)
    found = []
    for place in ("old", "new"):
        with closing(Database(tmp_path / place, "history", history_tables.MIGRATIONS)) as database:
            with database.transaction() as connection:
                if place == "new":
                    connection.execute("INSERT INTO sqlite_sequence VALUES ('record', 6)")
                    Notes().add(connection, range(7, 607), add(connection, model).columns)
                    connection.execute("UPDATE record SET total_ms = NULL")  # what no older history has
            found.append(
                [connection.execute(f"SELECT * FROM {name}").fetchall() for name in ("record", "block", "seen")]
            )
            assert (600, sum(len(one.record) for one in model)) == Totals.load(connection).kept
    assert found[0] == found[1]


@pytest.mark.parametrize("version", [2, 3, 4])
def test_a_history_of_a_later_version_is_read_and_goes_on(tmp_path: Path, version: int) -> None:
    model = [row(number) for number in range(20)]
    fill_version_2(tmp_path, model)
    Database(tmp_path, "history", history_tables.MIGRATIONS[:version]).close()
    with running(HistoryLog, tmp_path, max_records=20) as log, running(HistoryReader, tmp_path) as reader:
        append(log, row(20), row(21))
        for where in (HistoryFilter(), HistoryFilter(agent_id="agent-01", since_ms=T0)):
            found = answer(reader, ReadHistory(100, None, where)).records
            assert [row(number).record for number in reversed(range(2, 22))] == list(found)


def test_an_id_that_is_known_is_not_added() -> None:
    with opened() as database, database.transaction() as connection:
        one, other = row(1), row(1, agent_id="other")
        assert Added(Columns.of([one]), [1], [other]) == add(connection, [one, other])
        assert Added(Columns(), [], [one]) == add(connection, [one])
        assert [("agent-01",)] == connection.execute("SELECT agent_id FROM record").fetchall()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.integers(0, 40), max_size=100), max_size=4))
def test_each_record_gets_the_next_place_and_keeps_its_content_whatever_is_known(batches: list[list[int]]) -> None:
    model: dict[str, bytes] = {}
    with opened() as database, database.transaction() as connection:
        for batch in batches:
            given = [row(number, record=b"%d of %d" % (number, len(batch))) for number in batch]
            added = add(connection, given)
            for one in given:
                assert any(one is known for known in added.known) == (one.id in model)
                model.setdefault(one.id, one.record)
            assert sorted(set(added.places)) == list(added.places)
            assert len(given) == len(added.columns.id) + len(added.known)
        found = connection.execute("SELECT id, record FROM record JOIN content USING (seq) ORDER BY seq").fetchall()
    assert list(model.items()) == found
