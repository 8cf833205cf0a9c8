"""Keys on disk: claimed once, tied to their record, and gone with it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dispatcher.actors import history_keys
from dispatcher.actors.database import database_path
from dispatcher.actors.history import HistoryLog
from dispatcher.actors.messages import ClaimKey, KeyClaim, ReleaseKey
from tests.unit.actors.stored import T0, answer, append, row, running, settle

NEW, OTHER = KeyClaim(is_new=True, digest=b"new", record=None), KeyClaim(is_new=True, digest=b"other", record=None)


def keys(state_dir: Path) -> list[str]:
    with closing(sqlite3.connect(database_path(state_dir, "history"))) as other:
        return [key for (key,) in other.execute("SELECT key FROM idempotency ORDER BY rowid")]


def test_the_first_claims_a_key_and_every_later_one_learns_who_has_it(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=10) as log:
        assert NEW == answer(log, ClaimKey("k", b"new"))
        assert KeyClaim(is_new=False, digest=b"new", record=None) == answer(log, ClaimKey("k", b"other"))
        append(log, row(1, idempotency_key="k"))
        assert KeyClaim(is_new=False, digest=b"new", record=row(1).record) == answer(log, ClaimKey("k", b"new"))
        assert OTHER == answer(log, ClaimKey("K", b"other"))


def test_a_key_and_its_record_are_known_after_a_restart(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=10) as log:
        for key in ("recorded", "lost"):
            answer(log, ClaimKey(key, b"new"))
        append(log, row(1, idempotency_key="recorded"))
    with running(HistoryLog, tmp_path, max_records=10) as log:
        found = [answer(log, ClaimKey(key, b"new")) for key in ("recorded", "lost")]
        assert [(False, row(1).record), (False, None)] == [(claim.is_new, claim.record) for claim in found]


def test_a_key_that_was_released_may_be_claimed_anew_but_not_one_that_has_a_record(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=10) as log:
        for key in ("unused", "used"):
            answer(log, ClaimKey(key, b"new"))
        append(log, row(1, idempotency_key="used"))
        for key in ("unused", "used", "never claimed"):
            answer(log, ReleaseKey(key))
        assert [True, False] == [answer(log, ClaimKey(key, b"new")).is_new for key in ("unused", "used")]


def test_a_key_goes_with_its_record(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=2) as log:
        answer(log, ClaimKey("k", b"new"))
        append(log, row(1, idempotency_key="k"), row(2))
        assert ["k"] == keys(tmp_path)
        append(log, row(3))
        settle(log)
        assert [] == keys(tmp_path)
        assert OTHER == answer(log, ClaimKey("k", b"other"))


def test_a_key_whose_record_is_too_old_to_be_shown_is_free(tmp_path: Path) -> None:
    now = [T0 / 1000]
    with running(HistoryLog, tmp_path, max_records=10, max_age=60.0, clock=lambda: now[0]) as log:
        answer(log, ClaimKey("k", b"new"))
        append(log, row(0, idempotency_key="k"))
        assert not answer(log, ClaimKey("k", b"new")).is_new
        now[0] += 61
        assert OTHER == answer(log, ClaimKey("k", b"other"))
        append(log, row(1, idempotency_key="k", finished_at_ms=T0 + 61_000))
        assert row(1).record == answer(log, ClaimKey("k", b"other")).record


def test_a_start_keeps_the_newest_of_the_keys_that_never_got_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_keys, "LOST_KEPT", 2)
    with running(HistoryLog, tmp_path, max_records=10) as log:
        for key in "abcd":
            answer(log, ClaimKey(key, b"new"))
        append(log, row(1, idempotency_key="a"))
    with running(HistoryLog, tmp_path, max_records=10):
        assert ["a", "c", "d"] == keys(tmp_path)
