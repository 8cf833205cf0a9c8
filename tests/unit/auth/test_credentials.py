"""The token of a command: from a file or a variable, never from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatcher.auth.credentials import headers, read_token, refusal
from dispatcher.errors import SettingsError
from dispatcher.options import COMMANDS


def test_no_command_takes_a_token_as_an_argument() -> None:
    taking = {option.name for command in COMMANDS.values() for option in command.options if "token" in option.name}
    assert {"require-token", "token-file"} == taking


def test_the_file_beats_the_variable(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("hd_of_file\n", encoding="utf-8")
    environment = {"DISPATCHER_TOKEN": " hd_of_variable "}
    assert "hd_of_file" == read_token(file, environment)
    assert "hd_of_variable" == read_token(None, environment)
    assert "" == read_token(None, {})


@pytest.mark.parametrize("content", [b"", b" \n", b"a b", b"a\nb", b"\xff\xfe", b"x" * 257, b"x" * 100_000])
def test_what_is_no_token_is_refused_without_being_shown(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        read_token(file, {})
    assert f"--token-file: {file} holds no token" in str(refused.value)
    assert "x" * 50 not in str(refused.value)


def test_a_variable_that_holds_no_token_is_refused_too() -> None:
    with pytest.raises(SettingsError, match="DISPATCHER_TOKEN holds no token"):
        read_token(None, {"DISPATCHER_TOKEN": "a b"})


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--token-file: cannot read .*: No such file"):
        read_token(tmp_path / "none", {})


def test_a_token_is_shown_as_bearer_and_no_token_not_at_all() -> None:
    assert {"Authorization": "Bearer hd_a"} == headers("hd_a")
    assert {} == headers("")


def test_a_refusal_says_what_the_coordinator_said_and_what_helps() -> None:
    assert "no such token; --token-file or DISPATCHER_TOKEN gives another" == refusal(401, "no such token")
    assert "too small" == refusal(403, "too small")
