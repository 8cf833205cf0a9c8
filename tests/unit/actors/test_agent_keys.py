"""Whose agent id is whose, over a restart."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dispatcher.actors.agent_keys import AgentKeys
from dispatcher.actors.database import database_path
from dispatcher.actors.errors import StoreError
from dispatcher.actors.messages import AgentOwner, ForgetOwner, KeepOwner, ReadOwners
from tests.unit.actors.stored import answer, running

ONE, TWO = AgentOwner("one", "a" * 64, None), AgentOwner("two", "b" * 64, 12.5)


def test_owners_survive_a_restart(tmp_path: Path) -> None:
    with running(AgentKeys, tmp_path) as keys:
        assert () == answer(keys, ReadOwners())
        for owner in (ONE, TWO):
            answer(keys, KeepOwner(owner))
    with running(AgentKeys, tmp_path) as keys:
        assert {ONE, TWO} == set(answer(keys, ReadOwners()))


def test_the_newest_owner_counts_and_a_forgotten_one_is_gone(tmp_path: Path) -> None:
    newer = AgentOwner("one", "c" * 64, 3.0)
    with running(AgentKeys, tmp_path) as keys:
        for change in (KeepOwner(ONE), KeepOwner(TWO), KeepOwner(newer), ForgetOwner("two"), ForgetOwner("nobody")):
            keys.tell(change)
    with running(AgentKeys, tmp_path) as keys:
        assert (newer,) == answer(keys, ReadOwners())


def test_a_change_that_cannot_be_written_is_told_and_the_next_one_is_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(AgentKeys, tmp_path) as keys:
        with closing(sqlite3.connect(database_path(tmp_path, "agents"))) as other:
            other.execute("ALTER TABLE owner RENAME TO elsewhere")
            answer(keys, KeepOwner(ONE))
            other.execute("ALTER TABLE elsewhere RENAME TO owner")
        answer(keys, KeepOwner(TWO))
    with running(AgentKeys, tmp_path) as keys:
        assert (TWO,) == answer(keys, ReadOwners())
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert 1 == len(warnings)
    assert "whose agent ids are whose cannot be kept: cannot write" in warnings[0]


def test_only_one_coordinator_has_them(tmp_path: Path) -> None:
    with running(AgentKeys, tmp_path), pytest.raises(StoreError, match="in use by another coordinator"):
        AgentKeys.start(tmp_path)


def test_a_message_that_is_not_its_own_is_refused(tmp_path: Path) -> None:
    with running(AgentKeys, tmp_path) as keys, pytest.raises(TypeError, match="AgentKeys takes no str"):
        answer(keys, "hello")
