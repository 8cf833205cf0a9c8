"""The file of tokens: what is in it, who can read it, and that nothing is lost between processes."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dispatcher.auth import tokens
from dispatcher.auth.roles import Role
from dispatcher.auth.tokens import TokensError, TokenStore, id_of


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path / "state")


def test_no_file_means_no_tokens(store: TokenStore) -> None:
    assert {} == store.read()
    assert () == store.stamp()
    assert not store.exists()


def test_a_token_is_256_random_bits_behind_its_id(store: TokenStore) -> None:
    made = [store.create(Role.READER) for _ in range(3)]
    assert 3 == len({secret for _, secret in made})
    for token, secret in made:
        prefix, identifier, rest = secret.split("_", 2)
        assert ("hd", token.id, 43) == (prefix, identifier, len(rest))
        assert token.id == id_of(secret)


@pytest.mark.parametrize("text", ["", "x", "hd", "xx_12345678_a"])
def test_what_is_no_token_of_ours_claims_no_id(text: str) -> None:
    assert "" == id_of(text)


def test_the_file_has_the_hash_and_never_the_token(store: TokenStore) -> None:
    _, secret = store.create(Role.ADMIN, "ops")
    text = store.path.read_text(encoding="utf-8")
    assert secret not in text
    assert secret.split("_", 2)[2] not in text
    [kept] = json.loads(text)["tokens"]
    assert hashlib.sha256(secret.encode()).hexdigest() == kept["sha256"]
    assert ("admin", "ops") == (kept["role"], kept["name"])


def test_only_the_owner_can_read_anything_of_it(store: TokenStore) -> None:
    umask = os.umask(0)
    try:
        files = store.create_first()
    finally:
        os.umask(umask)
    assert 0o700 == mode(store.path.parent)
    assert {0o600} == {mode(path) for path in store.path.parent.iterdir()}
    assert set(files) <= set(store.path.parent.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_makes_belongs_to_whom_the_directory_belongs_to(store: TokenStore) -> None:
    store.path.parent.mkdir()
    os.chown(store.path.parent, 12345, 23456)
    store.create_first()
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in store.path.parent.iterdir()}
    assert {(12345, 23456)} == owners


def test_the_first_tokens_are_one_of_each_kind_in_files_of_their_own(store: TokenStore) -> None:
    files = store.create_first()
    assert [f"{role}.token" for role in Role] == [path.name for path in files]
    known = store.read()
    for role, path in zip(Role, files, strict=True):
        secret = path.read_text(encoding="utf-8").strip()
        assert (role, tokens.digest(secret)) == (known[id_of(secret)].role, known[id_of(secret)].sha256)


def test_where_tokens_are_a_first_start_makes_none(store: TokenStore) -> None:
    token, _ = store.create(Role.AGENT)
    assert [] == store.create_first()
    assert {token.id: token} == store.read()


def test_a_first_start_that_cannot_be_written_leaves_no_half_of_it(store: TokenStore) -> None:
    store.path.parent.mkdir()
    (store.path.parent / "reader.token").mkdir()
    with pytest.raises(TokensError, match="cannot write the tokens"):
        store.create_first()
    assert not store.exists()


def test_a_revoked_token_is_gone_and_the_others_stay(store: TokenStore) -> None:
    (first, _), (second, _) = store.create(Role.AGENT), store.create(Role.READER)
    stamp = store.stamp()
    assert first == store.revoke(first.id)
    assert stamp != store.stamp()
    assert {second.id: second} == store.read()
    with pytest.raises(TokensError, match=f"there is no token {first.id}"):
        store.revoke(first.id)


def test_there_are_so_many_tokens_at_most(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MAX_TOKENS", 2)
    for _ in range(2):
        store.create(Role.AGENT)
    with pytest.raises(TokensError, match="there are 2 tokens"):
        store.create(Role.AGENT)


def test_tokens_that_are_made_at_the_same_time_are_all_kept(store: TokenStore) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: TokenStore(store.path.parent).create(Role.READER)[0].id, range(24)))
    assert set(made) == set(store.read())


DAMAGED = ["", "{", "[]", '{"tokens": [1]}', '{"tokens": [{"id": "a"}]}']


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_file_is_told_and_lets_nobody_in(store: TokenStore, text: str) -> None:
    store.create(Role.ADMIN)
    store.path.write_text(text, encoding="utf-8")
    with pytest.raises(TokensError, match="is damaged"):
        store.read()


@pytest.mark.parametrize(("field", "value"), [("sha256", ""), ("sha256", "x" * 64), ("id", ""), ("role", "root")])
def test_a_token_with_an_odd_field_is_damage(store: TokenStore, field: str, value: str) -> None:
    store.create(Role.ADMIN)
    content = json.loads(store.path.read_text(encoding="utf-8"))
    content["tokens"][0][field] = value
    store.path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(TokensError, match="is damaged"):
        store.read()


def test_what_cannot_be_read_says_why(store: TokenStore) -> None:
    store.path.mkdir(parents=True)
    with pytest.raises(TokensError, match=r"cannot read the tokens in .*: Is a directory"):
        store.read()
