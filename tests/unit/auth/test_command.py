"""`token create|list|revoke`, as they are typed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dispatcher.auth.roles import Role
from dispatcher.auth.tokens import TokenStore, id_of
from dispatcher.cli import main
from dispatcher.errors import ExitStatus

Captured = pytest.CaptureFixture[str]


def create(state: Path, role: str, *more: str) -> int:
    return main(["token", "create", "--role", role, "--state-dir", str(state), *more])


@pytest.mark.parametrize("role", Role)
def test_the_token_alone_is_written_to_stdout(tmp_path: Path, capsys: Captured, role: Role) -> None:
    assert ExitStatus.DONE == create(tmp_path, role)
    out, err = capsys.readouterr()
    [secret] = out.splitlines()
    assert role is TokenStore(tmp_path).read()[id_of(secret)].role
    assert f"made the {role} token {id_of(secret)}; it is shown here only\n" == err


def test_the_list_shows_what_is_known_of_each_and_no_secret(tmp_path: Path, capsys: Captured) -> None:
    create(tmp_path, "agent", "--name", "gateway 1")
    create(tmp_path, "admin")
    secrets = capsys.readouterr().out.split()
    assert ExitStatus.DONE == main(["token", "list", "--state-dir", str(tmp_path)])
    out = capsys.readouterr().out
    shown = [re.sub(r"\d{4}-\S+Z", "WHEN", line).split() for line in out.splitlines()]
    ids = [id_of(secret) for secret in secrets]
    assert [
        ["id", "role", "created", "name"],
        [ids[0], "agent", "WHEN", "gateway", "1"],
        [ids[1], "admin", "WHEN"],
    ] == shown
    assert not any(secret in out for secret in secrets)


@pytest.mark.parametrize("flag", [[], ["--token-id"]])
def test_a_token_is_revoked_by_its_id(tmp_path: Path, capsys: Captured, flag: list[str]) -> None:
    create(tmp_path, "agent")
    token_id = id_of(capsys.readouterr().out)
    assert ExitStatus.DONE == main(["token", "revoke", *flag, token_id, "--state-dir", str(tmp_path)])
    assert f"revoked the agent token {token_id}\n" == capsys.readouterr().err
    assert {} == TokenStore(tmp_path).read()
    assert ExitStatus.FAILED == main(["token", "revoke", token_id, "--state-dir", str(tmp_path)])
    assert f"dispatcher.pyz: there is no token {token_id}\n" == capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ([], "token: needs create, list or revoke first\n"),
        (["make"], "token: needs create, list or revoke first, not 'make'"),
        (["create"], "--role (DISPATCHER_ROLE): Is missing"),
        (["create", "--role", "root"], "--role: Must be one of admin, operator, reader, agent."),
        (["create", "--role", "agent", "--name", "x" * 65], "--name: must be printable and have 64 characters at most"),
        (["create", "--role", "agent", "--name", "a\x1bb"], "--name: must be printable and have 64 characters at most"),
        (["revoke"], "--token-id (DISPATCHER_TOKEN_ID): Is missing"),
        (["list", "x"], "there is nothing to do with 'x'"),
    ],
)
def test_what_is_wrong_is_told_and_makes_nothing(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, typed: list[str], said: str
) -> None:
    monkeypatch.setenv("DISPATCHER_STATE_DIR", str(tmp_path))
    assert ExitStatus.USAGE == main(["token", *typed])
    out, err = capsys.readouterr()
    assert "" == out
    assert said in err
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("typed", [["--help"], ["create", "--help"], ["revoke", "x", "-h"]])
def test_help_is_written_to_stdout(capsys: Captured, typed: list[str]) -> None:
    assert ExitStatus.DONE == main(["token", *typed])
    assert "dispatcher.pyz token" in capsys.readouterr().out


def test_a_state_folder_that_cannot_be_written_is_told(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "file").touch()
    assert ExitStatus.FAILED == create(tmp_path / "file", "agent")
    assert "cannot write the tokens in" in capsys.readouterr().err
