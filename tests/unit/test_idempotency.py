"""What a key is, what makes two requests the same, and who may go first."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pykka
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.actors.errors import StoreError
from dispatcher.actors.history import HistoryLog
from dispatcher.idempotency import (
    KEY_PATTERN,
    MAX_KEY_CHARS,
    IdempotencyKeys,
    KeyLostError,
    KeyReusedError,
    KeyRunningError,
    digest_of,
    parse_key,
)
from dispatcher.not_accepted import AbandonedError
from dispatcher.request import RequestSpec
from dispatcher.wire.messages import HttpVersion
from tests.support.broken_store import REASON, unwritable
from tests.unit.actors.stored import running
from tests.unit.loops import on_loop

BASE = RequestSpec("http://x/")


@pytest.fixture
def history(tmp_path: Path) -> Iterator[pykka.ActorRef[Any]]:
    with running(HistoryLog, tmp_path, max_records=100) as ref:
        yield ref


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ('"8e03978e-40d5-43e8-bc93-6894a57f9324"', "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        ("8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        (r' "a \"b\" \\ , ;" ', r'a "b" \ , ;'),
        ("a" * MAX_KEY_CHARS, "a" * MAX_KEY_CHARS),
    ],
)
def test_a_key_is_a_string_with_or_without_its_quotes(header: str, key: str) -> None:
    assert key == parse_key(header)
    assert re.match(KEY_PATTERN, header.strip())


@pytest.mark.parametrize(
    "header", ["", " ", '""', '"a', 'a"', '"a"b"', r'"\a"', "a b", "a, b", '"a", "b"', "\u00e4", '"\x7f"', "a" * 256]
)
def test_what_is_no_key_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_key(header)
    assert not re.match(KEY_PATTERN, header)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=MAX_KEY_CHARS))
def test_any_printable_ascii_can_be_a_key(key: str) -> None:
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    assert key == parse_key(f'"{escaped}"')


CHANGES: dict[str, Any] = {
    "url": "http://y/",
    "method": "POST",
    "headers": (("A", "b"),),
    "body": b"",
    "timeout": 1.0,
    "follow_redirects": True,
    "max_redirects": 1,
    "verify_tls": False,
    "http_version": HttpVersion.HTTP_2,
    "max_body_bytes": 1,
    "retries": 1,
}


def test_requests_that_differ_in_anything_have_different_digests() -> None:
    assert {field.name for field in dataclasses.fields(RequestSpec) if field.init} == set(CHANGES)
    digests = {digest_of(dataclasses.replace(BASE, **{name: value})) for name, value in CHANGES.items()}
    assert len(CHANGES) + 1 == len(digests | {digest_of(BASE)})
    assert digest_of(BASE) == digest_of(RequestSpec("http://x/"))


def test_a_digest_stays_what_it_is_so_that_a_newer_version_knows_it() -> None:
    assert "b899c613" == digest_of(dataclasses.replace(BASE, **CHANGES)).hex()[:8]


def test_a_digest_is_the_same_whatever_writes_json_on_this_machine() -> None:
    expected = hashlib.sha256(b'{"url":"http://x/","timeout":1e-05}').digest()
    assert expected == digest_of(RequestSpec("http://x/", timeout=0.00001))


def task_that(outcome: Any) -> asyncio.Task[Any]:
    async def end() -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return asyncio.create_task(end())


class _Recorded:
    """Stands for a record; only its key is looked at."""

    def __init__(self, key: str | None) -> None:
        self.idempotency_key = key


def test_the_first_runs_and_the_same_key_is_refused_while_it_does(history: pykka.ActorRef[Any]) -> None:
    async def test() -> None:
        keys = IdempotencyKeys(history)
        first, second = await asyncio.gather(keys.claim("k", b"d"), keys.claim("k", b"d"), return_exceptions=True)
        assert first is None
        assert isinstance(second, KeyRunningError)
        with pytest.raises(KeyReusedError):
            await keys.claim("k", b"other")
        assert await keys.claim("another", b"d") is None

    on_loop(test)


def test_a_key_whose_execution_left_no_record_is_lost_and_not_run_again(history: pykka.ActorRef[Any]) -> None:
    async def test() -> None:
        assert await IdempotencyKeys(history).claim("k", b"d") is None
        after_a_restart = IdempotencyKeys(history)
        for _ in range(2):
            with pytest.raises(KeyLostError):
                await after_a_restart.claim("k", b"d")
        with pytest.raises(KeyReusedError):
            await after_a_restart.claim("k", b"other")

    on_loop(test)


@pytest.mark.parametrize(
    ("ended", "is_free"),
    [
        (_Recorded(None), True),
        (_Recorded("k"), False),
        (AbandonedError("gone"), True),
        (RuntimeError("who knows"), False),
    ],
)
def test_a_key_under_which_nothing_was_sent_is_free_again(
    history: pykka.ActorRef[Any], ended: Any, is_free: bool
) -> None:
    async def test() -> None:
        keys = IdempotencyKeys(history)
        await keys.claim("k", b"d")
        task = task_that(ended)
        keys.hold("k", task)
        await asyncio.wait([task])
        if is_free:
            assert await keys.claim("k", b"other") is None
        else:
            with pytest.raises(KeyLostError):
                await keys.claim("k", b"d")

    on_loop(test)


def test_a_key_that_could_not_be_claimed_is_not_held(tmp_path: Path, history: pykka.ActorRef[Any]) -> None:
    async def test() -> None:
        keys = IdempotencyKeys(history)
        with unwritable(tmp_path / "history.sqlite3", "idempotency"):
            for _ in range(2):
                with pytest.raises(StoreError, match=REASON):
                    await keys.claim("k", b"d")
        assert await keys.claim("k", b"d") is None

    on_loop(test)
