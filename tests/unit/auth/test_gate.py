"""The gate: who is let in, how tokens are compared, what a change of the file does, and what a flood costs."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from dispatcher import seldom
from dispatcher.auth import gate as gate_module
from dispatcher.auth.gate import Gate, Identity, NoTokenError, WrongTokenError
from dispatcher.auth.roles import Role
from dispatcher.auth.tokens import TokenStore, digest
from tests.unit.loops import on_loop, turns


class Guest:
    """A visitor that remembers that it was ended."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def end_access(self) -> None:
        self.ended.set()


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(gate_module, "WATCH_SECONDS", 0.005)


@asynccontextmanager
async def watching(store: TokenStore) -> AsyncIterator[Gate]:
    gate = Gate(store, is_token_required=True)
    watch = asyncio.create_task(gate.watch())
    yield gate
    watch.cancel()
    with suppress(asyncio.CancelledError):
        await watch


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await turns()


def is_known(gate: Gate, secret: str) -> bool:
    try:
        gate.identify(f"Bearer {secret}")
    except WrongTokenError:
        return False
    return True


@pytest.mark.parametrize("role", Role)
def test_a_token_says_who_asks(store: TokenStore, role: Role) -> None:
    token, secret = store.create(role)
    gate = Gate(store, is_token_required=True)
    for header in (f"Bearer {secret}", f"bearer  {secret} "):
        assert Identity(role, token.id) == gate.identify(header)


def test_without_a_token_nobody_is_let_in_where_one_is_needed_and_anybody_where_none_is(store: TokenStore) -> None:
    with pytest.raises(NoTokenError):
        Gate(store, is_token_required=True).identify(None)
    assert Identity(Role.ADMIN) == Gate(store, is_token_required=False).identify(None)


@pytest.mark.parametrize("is_required", [True, False])
def test_a_token_that_is_sent_must_be_valid_even_where_none_is_needed(store: TokenStore, is_required: bool) -> None:
    _, secret = store.create(Role.ADMIN)
    gate = Gate(store, is_token_required=is_required)
    token_id = secret.split("_")[1]
    for header in (
        "",
        "Bearer",
        "Bearer ",
        f"Basic {secret}",
        secret,
        f"Bearer {secret[:-1]}",
        f"Bearer {secret}x",
        f"Bearer {secret.upper()}",
        f"Bearer {secret} {secret}",
        f"Bearer {secret},Bearer {secret}",
        f"Bearer hd_{token_id}_",
        f"Bearer hd_00000000_{secrets.token_urlsafe(32)}",
        f"Bearer {digest(secret)}",
        "Bearer \u00e4\udc80",
        "Bearer " + "x" * 100_000,
    ):
        with pytest.raises(WrongTokenError):
            gate.identify(header)


def test_tokens_are_compared_in_constant_time_whether_the_id_is_known_or_not(
    store: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, secret = store.create(Role.ADMIN)
    gate = Gate(store, is_token_required=True)
    compared: list[tuple[str, str]] = []
    real = hmac.compare_digest

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(gate_module.hmac, "compare_digest", compare)
    gate.identify(f"Bearer {secret}")
    for wrong in (f"hd_{token.id}_x", "hd_00000000_x"):
        with pytest.raises(WrongTokenError):
            gate.identify(f"Bearer {wrong}")
    assert [(digest(secret), token.sha256), (digest(f"hd_{token.id}_x"), token.sha256)] == compared[:2]
    assert [digest("hd_00000000_x"), 64] == [compared[2][0], len(compared[2][1])]


def test_a_token_that_is_made_while_it_runs_is_valid(store: TokenStore) -> None:
    async def test() -> None:
        async with watching(store) as gate:
            assert not gate.has_tokens
            _, secret = store.create(Role.READER)
            await until(lambda: is_known(gate, secret))
            assert gate.has_tokens

    on_loop(test)


def test_revoking_ends_what_is_open_with_the_token_and_nothing_else(store: TokenStore) -> None:
    async def test() -> None:
        (first, secret), (other, _) = store.create(Role.AGENT), store.create(Role.AGENT)
        async with watching(store) as gate:
            guest, gone, neighbour, local = Guest(), Guest(), Guest(), Guest()
            gate.enter(Identity(Role.AGENT, first.id), guest)
            gate.enter(Identity(Role.AGENT, first.id), gone)
            gate.leave(Identity(Role.AGENT, first.id), gone)
            gate.enter(Identity(Role.AGENT, other.id), neighbour)
            gate.enter(Identity(Role.ADMIN), local)
            store.revoke(first.id)
            await guest.ended.wait()
            assert not is_known(gate, secret)
            assert [False] * 3 == [each.ended.is_set() for each in (gone, neighbour, local)]

    on_loop(test)


def test_removing_the_file_revokes_all(store: TokenStore) -> None:
    async def test() -> None:
        token, _ = store.create(Role.AGENT)
        async with watching(store) as gate:
            guest = Guest()
            gate.enter(Identity(Role.AGENT, token.id), guest)
            store.path.unlink()
            await guest.ended.wait()
            assert not gate.has_tokens
            assert 1 == gate.changes

    on_loop(test)


def test_a_file_that_is_damaged_is_told_once_and_changes_nothing_until_it_is_mended(
    store: TokenStore, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        _, secret = store.create(Role.AGENT)
        whole = store.path.read_text(encoding="utf-8")
        looked = 0
        real = store.stamp

        def stamp() -> tuple[int, ...]:
            nonlocal looked
            looked += 1
            return real()

        async with watching(store) as gate:
            store.path.write_text("{", encoding="utf-8")
            store.stamp = stamp  # type: ignore[method-assign]  # counts the looks
            await until(lambda: looked > 3)
            assert is_known(gate, secret)
            assert 1 == caplog.text.count("is damaged")
            store.path.write_text(json.dumps({**json.loads(whole), "tokens": []}), encoding="utf-8")
            await until(lambda: not is_known(gate, secret))

    on_loop(test)


def test_a_thousand_wrong_tokens_give_two_lines_and_the_number(
    store: TokenStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seldom, "LOG_SECONDS", 0.05)

    async def test() -> None:
        gate = Gate(store, is_token_required=True)
        for number in range(1000):
            gate.refused(f"192.0.2.{number % 256}")
        lines = [record for record in caplog.records if "without a valid token" in record.message]
        assert ["requests without a valid token: 1 refused, the last from 192.0.2.0"] == [
            record.message for record in lines
        ]
        await until(lambda: "999 refused, the last from 192.0.2.231" in caplog.text)
        assert 2 == caplog.text.count("without a valid token")

    on_loop(test)


def test_a_wrong_token_costs_one_hash_and_one_comparison(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(20):
        store.create(Role.AGENT)
    gate = Gate(store, is_token_required=True)
    hashed: list[str] = []
    monkeypatch.setattr(gate_module, "digest", lambda token: hashed.append(token) or digest(token))
    for wrong in ("x" * 256, "hd_00000000_x", "x" * 257):
        with pytest.raises(WrongTokenError):
            gate.identify(f"Bearer {wrong}")
    assert ["x" * 256, "hd_00000000_x"] == hashed
