"""The disk of the coordinator: full, read-only, locked, damaged, gone, of another version. What is said and kept."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

from dispatcher.actors import history_blocks, history_tables
from tests.integration.conftest import SOURCES
from tests.support import altered, invariants, netns
from tests.support.cluster import Cluster, running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.client import Answer
    from tests.support.processes import Process
    from tests.support.targets import Echo

BODY = 60_000
"""Of each response: what a record takes on the disk, or nearly."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB of its own, mounted where `small` keeps its state."""
    place = tmp_path / "state"
    place.mkdir()
    netns.THIS.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)])
    yield place
    netns.THIS.run(["umount", "--lazy", str(place)])


@pytest.fixture
def small(disk: Path) -> Iterator[Cluster]:
    """A cluster with its state on a disk of 8 MiB.

    It waits for a locked file 0.3 s and not 5, and takes a store for well until a commit fails.
    """
    changes = ("dispatcher.actors.database:BUSY_TIMEOUT_SECONDS=0.3", "dispatcher.recorder:FRESH_SECONDS=1000")
    with running_cluster(disk.parent, altered.command(*changes)) as cluster:
        yield cluster


def begin(cluster: Cluster, target: Echo) -> Process:
    """Start a coordinator (again: where it was) and an agent, and configure a request."""
    coordinator = cluster.coordinator(port=cluster.port if cluster.url else 0)
    cluster.agent("agent-01", SOURCES[:2])
    cluster.client.wait_for_exits(2)
    cluster.client.configure(target.url("/begin"))
    return coordinator


def execute(cluster: Cluster, target: Echo, number: int, size: int = 0) -> Answer:
    return cluster.client.execute(url=target.url(f"/bytes/{size or number}?{number}"))


def refusal(answer: Answer) -> tuple[int, str]:
    """Status and name of a problem."""
    return answer.status, answer.json["type"].rpartition(":")[2]


def readiness(cluster: Cluster) -> tuple[int, str]:
    answer = cluster.client.call("GET", "/readyz")
    return answer.status, answer.json.get("detail", "")


def check(cluster: Cluster, answers: list[Answer], target: Echo) -> None:
    invariants.check(
        cluster.client,
        cluster.state_dir,
        answers=answers,
        requests=target.requests,
        owners=dict.fromkeys(SOURCES[:2], "agent-01"),
    )


def fill(disk: Path) -> Path:
    """Leave no room on a disk; what is returned gives it back when it is removed."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    return filler


def test_a_full_disk_is_503_and_said_by_readyz_until_there_is_room_again(
    small: Cluster, disk: Path, target: Echo
) -> None:
    coordinator = begin(small, target)
    coordinator.expect("database or disk is full")
    answers = [execute(small, target, 1, BODY)]
    filler = fill(disk)
    answers += [execute(small, target, number, BODY) for number in range(2, 6)]
    assert [(503, "unrecorded")] + [(503, "store_unavailable")] * 3 == [refusal(answer) for answer in answers[1:]]
    full = f"cannot write {disk}/history.sqlite3: database or disk is full"
    assert (503, full) == readiness(small)
    assert 2 == len(target.requests)
    assert (503, "store_unavailable") == refusal(small.client.call("POST", "/api/config/request", {"url": "http://x/"}))
    assert 1 == len(small.client.history())  # what is there can still be read
    filler.unlink()
    assert (200, "") == readiness(small)
    answers += [execute(small, target, number, BODY) for number in range(6, 9)]
    assert [200] * 3 == [answer.status for answer in answers[5:]]
    check(small, answers, target)
    assert target.url("/begin") == small.client.get("/api/config/request")["url"]


def test_nothing_is_sent_after_a_pause_in_which_the_disk_filled_up(disk: Path, target: Echo) -> None:
    with running_cluster(disk.parent, altered.command("dispatcher.recorder:FRESH_SECONDS=0")) as cluster:
        begin(cluster, target)
        filler = fill(disk)
        answers = [execute(cluster, target, number) for number in range(2)]
        assert [(503, "store_unavailable")] * 2 == [refusal(answer) for answer in answers]
        assert [] == target.requests
        filler.unlink()
        answers.append(execute(cluster, target, 3))
        assert 200 == answers[2].status
        check(cluster, answers, target)


def test_what_is_in_flight_when_the_disk_fills_up_is_recorded_once_there_is_room(
    small: Cluster, disk: Path, target: Echo
) -> None:
    coordinator = begin(small, target)
    coordinator.expect("database or disk is full")
    filler = fill(disk)
    begun = [small.client.begin(url=target.url(f"/bytes/{BODY}?{number}")) for number in range(16)]
    answers = [each.result() for each in begun]
    unrecorded = [answer for answer in answers if refusal(answer) == (503, "unrecorded")]
    assert 0 < len(unrecorded) == len(target.requests)
    filler.unlink()
    assert (200, "") == readiness(small)
    check(small, answers, target)
    assert len(unrecorded) == len(small.client.history())


def test_a_disk_without_room_takes_no_more_executions_however_small_the_rest_of_it_is(
    small: Cluster, disk: Path, target: Echo
) -> None:
    coordinator = begin(small, target)
    coordinator.expect("database or disk is full")
    fill(disk)
    with (disk / "filler").open("r+b") as filler:
        filler.truncate((disk / "filler").stat().st_size - BODY)
    answers = [execute(small, target, number, BODY) for number in range(1, 40)]
    sent = len(target.requests)
    assert sent == len([answer for answer in answers if refusal_or_none(answer) != (503, "store_unavailable")])
    assert [(503, "unrecorded")] == [refusal(a) for a in answers if refusal_or_none(a) == (503, "unrecorded")]
    (disk / "filler").unlink()
    answers.append(execute(small, target, 40, BODY))
    check(small, answers, target)


def refusal_or_none(answer: Answer) -> tuple[int, str] | None:
    return None if answer.status == 200 else refusal(answer)


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Keep a database from being written by anybody else, as a backup or a shell may."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextlib.contextmanager
def removed(file: Path) -> Iterator[None]:
    """Take a file away, and bring it back."""
    aside = file.rename(file.with_name("aside"))
    yield
    aside.rename(file)


@contextlib.contextmanager
def damaged(file: Path) -> Iterator[None]:
    """Have the pages that say what tables there are make no sense, and make sense again."""
    sql = _write_schema(file, "no SQL at all")
    yield
    _write_schema(file, sql)


def _write_schema(file: Path, sql: str) -> str:
    """Replace what says how records are kept, and return what said so before."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA writable_schema = ON")
        (version,) = other.execute("PRAGMA schema_version").fetchone()
        (before,) = other.execute("SELECT sql FROM sqlite_schema WHERE name = 'record'").fetchone()
        other.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'record'", (sql,))
        other.execute(f"PRAGMA schema_version = {version + 1}")
    return str(before)


FAULTS = {
    "locked": (locked, "cannot write {file}: database is locked"),
    "damaged": (damaged, "cannot write {file}: malformed database schema (record)"),
    "removed": (removed, "cannot write {file}: No such file or directory"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_history_that_cannot_be_written_for_a_while_is_503_and_well_again_by_itself(
    small: Cluster, target: Echo, fault: str
) -> None:
    coordinator = begin(small, target)
    break_it, told = FAULTS[fault]
    file = small.state_dir / "history.sqlite3"
    told = told.format(file=file)
    coordinator.expect(told)
    answers = [execute(small, target, 1)]
    with break_it(file):
        answers += [execute(small, target, number) for number in (2, 3)]
        assert [(503, "unrecorded"), (503, "store_unavailable")] == [refusal(answer) for answer in answers[1:]]
        assert (503, told) == readiness(small)
        assert told in answers[2].json["detail"]
    assert (200, "") == readiness(small)
    answers.append(execute(small, target, 4))
    assert 3 == len(target.requests)
    check(small, answers, target)
    assert 3 == len(small.client.history())


def ends_with(cluster: Cluster, status: int) -> list[str]:
    """Start a coordinator that cannot begin; return what it said."""
    place = ("--port", "0", "--state-dir", str(cluster.state_dir))
    process = cluster.start("coordinator", "coordinator", *place)
    process.expect("dispatcher")
    assert status == process.wait()
    return process.lines


def stopped_history(cluster: Cluster, target: Echo) -> Path:
    """Run a coordinator once, and return the file of its history."""
    begin(cluster, target)
    assert 200 == execute(cluster, target, 1).status
    for process in reversed(cluster.processes):
        assert 0 == process.end()
    return cluster.state_dir / "history.sqlite3"


def test_a_history_that_is_damaged_or_of_a_newer_version_ends_the_start_with_its_sentence_and_is_left_alone(
    small: Cluster, target: Echo
) -> None:
    file = stopped_history(small, target)
    content = file.read_bytes()
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 99")
    newer = file.read_bytes()
    (line,) = ends_with(small, 1)
    assert f"{file} has version 99, but this program knows versions up to" in line
    assert "start a newer program, or choose another state directory" in line
    assert newer == file.read_bytes()
    file.write_bytes(bytes(len(content)))
    (line,) = ends_with(small, 1)
    assert f"cannot open {file}: file is not a database" in line
    file.write_bytes(content)
    small.coordinator()
    assert 1 == len(small.client.history())


def test_a_history_of_the_first_version_is_read_and_goes_on(small: Cluster, target: Echo) -> None:
    file = stopped_history(small, target)
    kept = invariants.kept_in_file(small.state_dir)
    file.unlink()
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as first:
        for statement in history_tables.MIGRATIONS[0]:
            first.execute(statement)
        first.execute("PRAGMA user_version = 1")
        content = json.dumps(kept[0]).encode()
        row = (kept[0]["id"], "completed", "agent-01", kept[0]["source_ip"], 200, None, 1_700_000_000_000, len(content))
        first.execute(
            "INSERT INTO record (id, outcome, agent_id, source_ip, status, error, finished_at, size)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        first.execute("INSERT INTO content VALUES (1, ?)", (content,))
        first.execute("INSERT INTO minute VALUES (?, 1, 1)", (1_700_000_000_000 // history_blocks.MINUTE_MS,))
        first.execute("UPDATE kept SET records = 1, bytes = ?", (len(content),))
        first.execute("INSERT INTO total VALUES ('outcome', 'completed', 1)")
    begin(small, target)
    answers = [execute(small, target, 2)]
    assert kept == small.client.history()[:1]
    check(small, answers, target)


def test_a_history_on_a_read_only_disk_ends_the_start_with_its_sentence(
    small: Cluster, disk: Path, target: Echo
) -> None:
    file = stopped_history(small, target)
    netns.THIS.run(["mount", "-o", "remount,ro", str(disk)])
    (line,) = ends_with(small, 1)
    assert f"cannot open {file}: Read-only file system" in line
    netns.THIS.run(["mount", "-o", "remount,rw", str(disk)])
    small.coordinator()
    assert 1 == len(small.client.history())
