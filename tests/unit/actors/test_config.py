"""The configured request: revisions, restarts, and what it may hold."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dispatcher.actors.config import ConfigStore
from dispatcher.actors.database import database_path
from dispatcher.actors.errors import StoreError
from dispatcher.actors.messages import ReadRequest, StoredRequest, StoreRequest
from tests.unit.actors.stored import answer, running

REQUEST = {"url": "http://[2001:db8::1]/ü", "headers": [["Accept", "*/*"]], "timeout": 30.0, "body": None}


def test_there_is_no_request_before_the_first_is_stored(tmp_path: Path) -> None:
    with running(ConfigStore, tmp_path) as store:
        assert None is answer(store, ReadRequest())


def test_each_store_is_the_next_revision(tmp_path: Path) -> None:
    with running(ConfigStore, tmp_path) as store:
        assert StoredRequest(1, REQUEST) == answer(store, StoreRequest(REQUEST))
        assert StoredRequest(2, {"url": "x"}) == answer(store, StoreRequest({"url": "x"}))
        assert StoredRequest(2, {"url": "x"}) == answer(store, ReadRequest())


def test_request_and_revision_survive_a_restart(tmp_path: Path) -> None:
    with running(ConfigStore, tmp_path) as store:
        answer(store, StoreRequest({"url": "old"}))
        answer(store, StoreRequest(REQUEST))
    with running(ConfigStore, tmp_path) as store:
        assert StoredRequest(2, REQUEST) == answer(store, ReadRequest())
        assert 3 == answer(store, StoreRequest(REQUEST)).revision


def test_the_request_is_committed_before_the_answer(tmp_path: Path) -> None:
    with running(ConfigStore, tmp_path) as store:
        answer(store, StoreRequest(REQUEST))
        with closing(sqlite3.connect(database_path(tmp_path, "config"))) as other:
            assert [(1,)] == other.execute("SELECT revision FROM request").fetchall()


def test_changing_an_answer_changes_nobody_elses(tmp_path: Path) -> None:
    with running(ConfigStore, tmp_path) as store:
        answer(store, StoreRequest(REQUEST)).request["headers"].append("mine")
        answer(store, ReadRequest()).request["url"] = "mine"
        assert StoredRequest(1, REQUEST) == answer(store, ReadRequest())


@pytest.mark.parametrize("value", [float("nan"), object(), b"bytes"])
def test_what_json_cannot_hold_is_refused_and_nothing_changes(tmp_path: Path, value: object) -> None:
    with running(ConfigStore, tmp_path) as store:
        answer(store, StoreRequest(REQUEST))
        with pytest.raises((TypeError, ValueError)):
            answer(store, StoreRequest({"url": value}))
        assert StoredRequest(1, REQUEST) == answer(store, ReadRequest())


def test_a_store_that_cannot_be_written_keeps_the_old_request(tmp_path: Path) -> None:
    with running(ConfigStore, tmp_path) as store:
        answer(store, StoreRequest(REQUEST))
        with closing(sqlite3.connect(database_path(tmp_path, "config"))) as other:
            other.execute("CREATE TRIGGER full_disk BEFORE UPDATE ON request BEGIN SELECT RAISE(ABORT, 'no room'); END")
        with pytest.raises(StoreError, match=r"cannot write .*config\.sqlite3: no room"):
            answer(store, StoreRequest({"url": "new"}))
        assert StoredRequest(1, REQUEST) == answer(store, ReadRequest())


def test_another_coordinator_is_refused_at_the_start(tmp_path: Path) -> None:
    with running(ConfigStore, tmp_path), pytest.raises(StoreError, match="in use by another coordinator"):
        ConfigStore.start(tmp_path)


def test_a_damaged_file_is_refused_by_name(tmp_path: Path) -> None:
    with running(ConfigStore, tmp_path) as store:
        answer(store, StoreRequest(REQUEST))
    path = database_path(tmp_path, "config")
    path.write_bytes(path.read_bytes()[:4096].ljust(8192, b"\xff"))
    with pytest.raises(StoreError, match=r"config\.sqlite3: .*malformed"):
        ConfigStore.start(tmp_path)
