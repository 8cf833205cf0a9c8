"""Opening, locking, migrating and writing one SQLite file of the state directory."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dispatcher.actors.database import Database, Migration, connect_read_only, database_path
from dispatcher.actors.errors import StoreError
from tests.unit.actors.stored import WAIT

FIRST: Migration = ("CREATE TABLE fruit (name TEXT UNIQUE)", "INSERT INTO fruit VALUES ('apple')")
SECOND: Migration = ("ALTER TABLE fruit ADD COLUMN colour TEXT", "UPDATE fruit SET colour = 'red'")
BROKEN: Migration = ("ALTER TABLE fruit ADD COLUMN colour TEXT", "UPDATE vegetable SET colour = 'red'")

HOLD = """
import sys
from pathlib import Path
from dispatcher.actors.database import Database
database = Database(Path(sys.argv[1]), "test", [])
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the database open."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "open\n" == process.stdout.readline()
        yield process
        process.kill()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fruit(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    return connection.execute("SELECT * FROM fruit").fetchall()


def add(database: Database, *names: str | None) -> None:
    with database.transaction() as connection:
        for name in names:
            if name is None:
                raise KeyError("no name")
            connection.execute("INSERT INTO fruit VALUES (?)", (name,))


def test_directory_and_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    state_dir = tmp_path / "deep" / "state"
    old = os.umask(0)
    try:
        database = Database(state_dir, "test", [FIRST])
    finally:
        os.umask(old)
    with closing(database):
        files = {path.name: mode_of(path) for path in state_dir.iterdir()}
    assert 0o700 == mode_of(state_dir)
    names = {"test.lock", "test.sqlite3", "test.sqlite3-shm", "test.sqlite3-wal"}
    assert dict.fromkeys(names, 0o600) == files


def test_an_older_file_is_brought_up_to_date(tmp_path: Path) -> None:
    Database(tmp_path, "test", [FIRST]).close()
    with closing(Database(tmp_path, "test", [FIRST, SECOND])) as database:
        assert [("apple", "red")] == fruit(database.connection)
    with closing(Database(tmp_path, "test", [FIRST, SECOND])) as again:
        assert [("apple", "red")] == fruit(again.connection)


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    Database(tmp_path, "test", [FIRST]).close()
    with pytest.raises(StoreError, match="no such table: vegetable"):
        Database(tmp_path, "test", [FIRST, BROKEN])
    with closing(Database(tmp_path, "test", [FIRST])) as database:
        assert [("apple",)] == fruit(database.connection)


def test_a_newer_file_is_refused_with_both_versions_and_left_alone(tmp_path: Path) -> None:
    Database(tmp_path, "test", [FIRST, SECOND]).close()
    before = database_path(tmp_path, "test").read_bytes()
    with pytest.raises(StoreError, match="has version 2, but this program knows versions up to 1"):
        Database(tmp_path, "test", [FIRST])
    assert before == database_path(tmp_path, "test").read_bytes()


def test_what_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    database_path(tmp_path, "test").write_bytes(b"this is not SQLite" * 100)
    with pytest.raises(StoreError, match=r"cannot open .*test\.sqlite3: file is not a database"):
        Database(tmp_path, "test", [FIRST])


def test_a_failed_start_leaves_no_lock_behind(tmp_path: Path) -> None:
    database_path(tmp_path, "test").write_bytes(b"this is not SQLite" * 100)
    with pytest.raises(StoreError):
        Database(tmp_path, "test", [FIRST])
    database_path(tmp_path, "test").unlink()
    Database(tmp_path, "test", [FIRST]).close()


def test_a_state_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StoreError, match="File exists"):
        Database(tmp_path / "state", "test", [FIRST])


def test_two_owners_in_one_process_refuse_each_other(tmp_path: Path) -> None:
    with closing(Database(tmp_path, "test", [])), pytest.raises(StoreError, match=f"process {os.getpid()}"):
        Database(tmp_path, "test", [])
    Database(tmp_path, "test", []).close()


def test_a_second_coordinator_is_told_which_process_is_in(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    told = f"{tmp_path} is in use by another coordinator .process {holder.pid}.$"
    with pytest.raises(StoreError, match=told):
        Database(tmp_path, "test", [])


def test_a_killed_coordinator_locks_nobody_out(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait(WAIT)
    Database(tmp_path, "test", []).close()


def test_databases_of_other_names_are_no_others_business(tmp_path: Path) -> None:
    with closing(Database(tmp_path, "test", [])), closing(Database(tmp_path, "other", [])):
        pass


def test_a_transaction_that_fails_leaves_nothing_and_the_next_works(tmp_path: Path) -> None:
    with closing(Database(tmp_path, "test", [FIRST])) as database:
        with pytest.raises(StoreError, match="UNIQUE"):
            add(database, "pear", "apple")
        add(database, "plum")
        assert [("apple",), ("plum",)] == fruit(database.connection)


def test_a_fault_of_the_block_rolls_back_and_passes_as_it_is(tmp_path: Path) -> None:
    with closing(Database(tmp_path, "test", [FIRST])) as database:
        with pytest.raises(KeyError, match="no name"):
            add(database, "pear", None)
        assert [("apple",)] == fruit(database.connection)


def test_a_log_that_readers_keep_growing_is_emptied_once_they_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.actors.database.JOURNAL_LIMIT_BYTES", 50_000)
    monkeypatch.setattr("dispatcher.actors.database.TRIM_WAIT_SECONDS", 0.01)
    journal = tmp_path / "test.sqlite3-wal"

    def grow() -> int:
        for number in range(20):
            add(database, f"{number}-{journal.stat().st_size}")
        database.trim()
        return journal.stat().st_size

    with closing(Database(tmp_path, "test", [FIRST])) as database:
        with closing(connect_read_only(tmp_path, "test")) as reader:
            reader.execute("BEGIN")
            fruit(reader)
            sizes = [grow(), grow()]
            assert 50_000 < sizes[0] < sizes[1]
        assert 0 == grow()
        assert 61 == len(fruit(database.connection))


def test_one_statement_by_itself_is_a_transaction(tmp_path: Path) -> None:
    statement = "INSERT INTO fruit VALUES (?), (?)"
    with (
        closing(Database(tmp_path, "test", [FIRST])) as database,
        closing(connect_read_only(tmp_path, "test")) as reader,
    ):
        assert 2 == database.write_at_once(statement, ["pear", "plum"])
        assert [("apple",), ("pear",), ("plum",)] == fruit(reader)
        with pytest.raises(StoreError, match=r"cannot write .*test\.sqlite3: UNIQUE"):
            database.write_at_once(statement, ["cherry", "apple"])
        assert 3 == len(fruit(reader))


def test_a_query_is_asked_when_its_first_row_is_taken(tmp_path: Path) -> None:
    with closing(Database(tmp_path, "test", [FIRST])) as database:
        found, unknown = database.rows("SELECT * FROM fruit"), database.rows("SELECT ? FROM vegetable", [1])
        add(database, "plum")
        assert [("apple",), ("plum",)] == [*found]
        with pytest.raises(StoreError, match=r"cannot write .*test\.sqlite3: no such table: vegetable"):
            next(unknown)


@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_nothing_is_written_where_nobody_would_ever_read_it(tmp_path: Path, what: str) -> None:
    path = database_path(tmp_path, "test")
    with closing(Database(tmp_path, "test", [FIRST])) as database:
        path.rename(tmp_path / "aside")
        told = f"cannot write {path}: No such file or directory"
        if what == "replaced":
            path.touch()
            told = f"{path} was replaced while it was in use: restart the coordinator"
        with pytest.raises(StoreError) as raised:
            add(database, "pear")
        assert told == str(raised.value)
        with pytest.raises(StoreError) as raised:
            database.write_at_once("INSERT INTO fruit VALUES (?)", ["pear"])
        assert told == str(raised.value)
        (tmp_path / "aside").rename(path)
        add(database, "plum")
        assert [("apple",), ("plum",)] == fruit(database.connection)


@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_no_transaction_is_written_to_a_log_that_was_taken_away_and_nothing_of_it_is_lost(
    tmp_path: Path, what: str
) -> None:
    path, aside = tmp_path / "test.sqlite3-wal", tmp_path / "aside"
    with closing(Database(tmp_path, "test", [FIRST])) as database:
        add(database, "pear")
        path.rename(aside)
        if what == "replaced":
            path.touch()
        assert 1 == database.write_at_once("INSERT INTO fruit VALUES (?)", ["fig"])
        with pytest.raises(StoreError) as raised:
            add(database, "plum")
        assert f"{path} was removed while it was in use: restart the coordinator" == str(raised.value)
        shutil.copy(tmp_path / "test.sqlite3", tmp_path / "alone.sqlite3")
        aside.rename(path)
        add(database, "plum")
    with closing(connect_read_only(tmp_path, "alone")) as alone, closing(connect_read_only(tmp_path, "test")) as whole:
        assert [("apple",), ("pear",), ("fig",)] == fruit(alone) == fruit(whole)[:-1]


def test_closing_leaves_everything_in_the_one_file(tmp_path: Path) -> None:
    Database(tmp_path, "test", [FIRST]).close()
    assert {"test.lock", "test.sqlite3"} == {path.name for path in tmp_path.iterdir()}


def test_the_second_connection_sees_commits_and_cannot_write(tmp_path: Path) -> None:
    with (
        closing(Database(tmp_path, "test", [FIRST])) as database,
        closing(connect_read_only(tmp_path, "test")) as reader,
    ):
        add(database, "plum")
        assert [("apple",), ("plum",)] == fruit(reader)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute("DELETE FROM fruit")


def test_reading_what_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot read .*test\.sqlite3"):
        connect_read_only(tmp_path, "test")


def test_odd_characters_in_the_path_are_taken_as_they_are(tmp_path: Path) -> None:
    odd = tmp_path / "50% of? #all"
    Database(odd, "test", [FIRST]).close()
    assert (odd / "test.sqlite3").stat().st_size > 0
