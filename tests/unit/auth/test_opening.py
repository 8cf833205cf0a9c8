"""Where a token is needed, and what a first start makes."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from dispatcher import settings
from dispatcher.auth.opening import is_loopback, listens_on_loopback_only, open_gate
from dispatcher.auth.roles import Role
from dispatcher.auth.tokens import TokensError, TokenStore
from dispatcher.errors import SettingsError


def chosen(state_dir: Path, **options: Any) -> settings.CoordinatorSettings:
    given = {f"--{name.replace('_', '-')}": value for name, value in options.items()}
    return settings.coordinator({"--state-dir": str(state_dir), **given}, {})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "::1%lo"])
def test_an_address_that_only_this_machine_reaches_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1", "fe80::1", "localhost", "", "x"])
def test_any_other_address_and_any_name_is_not(host: str) -> None:
    assert not is_loopback(host)


def test_one_socket_that_others_reach_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("0.0.0.0", 0)) as other:
        assert listens_on_loopback_only([one])
        assert not listens_on_loopback_only([one, other])


def test_on_a_loopback_address_no_token_is_needed_and_none_is_made(tmp_path: Path) -> None:
    assert not open_gate(chosen(tmp_path), is_local=True).is_token_required
    assert [] == list(tmp_path.iterdir())


def test_on_any_other_address_a_first_start_makes_a_token_of_each_kind_and_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = open_gate(chosen(tmp_path), is_local=False)
    assert gate.is_token_required
    for role in Role:
        path = tmp_path / f"{role}.token"
        assert role is gate.identify(f"Bearer {path.read_text(encoding='utf-8').strip()}").role
    files = ", ".join(str(tmp_path / f"{role}.token") for role in Role)
    assert f"first start: a token of each kind was made: {files}\n" == capsys.readouterr().err


def test_a_later_start_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_gate(chosen(tmp_path), is_local=False)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    capsys.readouterr()
    open_gate(chosen(tmp_path), is_local=False)
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert "" == capsys.readouterr().err


def test_tokens_that_were_all_revoked_are_not_made_again_but_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = TokenStore(tmp_path)
    store.revoke(store.create(Role.ADMIN)[0].id)
    assert not open_gate(chosen(tmp_path), is_local=False).has_tokens
    assert "none is valid: make one with `token create`" in caplog.text


def test_a_token_may_be_asked_for_on_a_loopback_address_too(tmp_path: Path) -> None:
    assert open_gate(chosen(tmp_path, require_token=True), is_local=True).is_token_required


def test_the_way_around_is_said_loudly_at_every_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        caplog.clear()
        gate = open_gate(chosen(tmp_path, insecure_no_auth=True, host="::"), is_local=False)
        assert not gate.is_token_required
        [record] = caplog.records
        assert logging.WARNING == record.levelno
        assert "--insecure-no-auth: WHOEVER REACHES :: port 8000" in record.message


def test_the_way_around_has_nothing_to_say_on_a_loopback_address(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_gate(chosen(tmp_path, insecure_no_auth=True), is_local=True)
    assert [] == caplog.records


def test_asking_for_a_token_and_for_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--insecure-no-auth: Says the opposite of --require-token"):
        chosen(tmp_path, insecure_no_auth=True, require_token=True)


def test_a_damaged_file_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "tokens.json").write_text("{", encoding="utf-8")
    with pytest.raises(TokensError, match="is damaged"):
        open_gate(chosen(tmp_path), is_local=False)
