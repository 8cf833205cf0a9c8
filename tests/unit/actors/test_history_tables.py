"""What is on disk: the first version's tables, what an insert writes, and what retention takes away."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.actors import history_tables
from dispatcher.actors.database import Database, database_path
from dispatcher.actors.history import HistoryLog
from dispatcher.actors.history_reader import HistoryReader
from dispatcher.actors.history_tables import MINUTE_MS, Retention, add, prune
from dispatcher.actors.messages import HistoryFilter, ReadHistory, ReadTotals, RecordRow
from tests.unit.actors.stored import MOMENTS, T0, answer, append, row, rows, running

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


@contextmanager
def history() -> Iterator[Database]:
    with (
        tempfile.TemporaryDirectory() as name,
        closing(Database(Path(name), "history", history_tables.MIGRATIONS)) as database,
    ):
        yield database


def ids(connection: sqlite3.Connection) -> list[str]:
    return [found for (found,) in connection.execute("SELECT id FROM record ORDER BY seq")]


def test_a_history_of_version_1_is_read_and_goes_on(tmp_path: Path) -> None:
    with closing(sqlite3.connect(database_path(tmp_path, "history"))) as old:
        old.executescript(VERSION_1)
    with running(HistoryLog, tmp_path, max_records=100) as log, running(HistoryReader, tmp_path) as reader:
        append(log, row(1))
        everything = answer(reader, ReadHistory(10, None, HistoryFilter(agent_id="agent-01", since_ms=T0)))
        assert (row(1).record, b"old") == everything.records
        assert {"completed": 13} == answer(log, ReadTotals()).by_outcome


def test_an_id_that_is_known_is_not_added() -> None:
    with history() as database, database.transaction() as connection:
        assert [True, False] == add(connection, [row(1), row(1, agent_id="other")])
        assert [False] == add(connection, [row(1)])
        assert [(1, len(row(1).record))] == connection.execute("SELECT records, bytes FROM kept").fetchall()


def test_a_place_is_never_given_twice() -> None:
    with history() as database, database.transaction() as connection:
        add(connection, [row(1)])
        prune(connection, Retention(max_records=0), 0, 10)
        add(connection, [row(2)])
        assert [(2,)] == connection.execute("SELECT seq FROM record").fetchall()


def test_pruning_deletes_no_more_than_it_may() -> None:
    with history() as database, database.transaction() as connection:
        add(connection, [row(number, finished_at_ms=T0 - number) for number in range(10)])
        assert 4 == prune(connection, Retention(max_records=0, max_age=0), T0 / 1000 + 1, 4)
        assert [row(number).id for number in range(6)] == ids(connection)


def kept_by(model: list[RecordRow], retention: Retention, now: float) -> list[RecordRow]:
    """Say what retention means, in the plainest way: age first, then the newest that fit."""
    young = [
        one for one in model if retention.max_age is None or one.finished_at_ms >= (now - retention.max_age) * 1000
    ]
    while len(young) > retention.max_records or sum(len(one.record) for one in young) > (retention.max_bytes or 1e9):
        young.pop(0)
    return young


@settings(deadline=None, max_examples=60)
@given(
    rows(),
    st.builds(
        Retention,
        st.integers(0, 30),
        st.none() | st.integers(1, 300),
        st.none() | st.integers(0, 300),
    ),
    MOMENTS,
    st.integers(0, 30),
)
def test_what_is_kept_is_what_the_model_keeps(
    model: list[RecordRow], retention: Retention, now_ms: int, half: int
) -> None:
    with history() as database, database.transaction() as connection:
        add(connection, model[:half])
        add(connection, model[half:])
        prune(connection, retention, now_ms / 1000, 1000)
        kept = kept_by(model, retention, now_ms / 1000)
        assert [one.id for one in kept] == ids(connection)
        counted = connection.execute("SELECT records, bytes FROM kept").fetchone()
        assert (len(kept), sum(len(one.record) for one in kept)) == counted
        assert [(len(kept),)] == connection.execute("SELECT count(*) FROM content").fetchall()
        minutes = {minute for (minute,) in connection.execute("SELECT minute FROM minute")}
        assert {one.finished_at_ms // MINUTE_MS for one in kept} <= minutes
        assert kept or not minutes
