"""`token create|list|revoke`: the tokens of the coordinator whose state directory is named. Main thread.

It works on the file alone, whether the coordinator runs or not; one that runs notices within a second.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.auth.tokens import MAX_NAME_CHARS, TokenStore
from dispatcher.errors import ExitStatus, SettingsError
from dispatcher.options import TOKEN_CREATE, TOKEN_LIST, TOKEN_REVOKE
from dispatcher.settings import load
from dispatcher.timestamps import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    from dispatcher.auth.roles import Role


@dataclass(frozen=True, slots=True)
class CreateSettings:
    """What `options.TOKEN_CREATE` says."""

    state_dir: Path
    role: Role
    name: str | None


@dataclass(frozen=True, slots=True)
class ListSettings:
    """What `options.TOKEN_LIST` says."""

    state_dir: Path


@dataclass(frozen=True, slots=True)
class RevokeSettings:
    """What `options.TOKEN_REVOKE` says."""

    state_dir: Path
    token_id: str


def create(given: Mapping[str, Any], environment: Mapping[str, str]) -> int:
    """Make a token and write it, and nothing else, to stdout; return the exit status.

    Raises:
        SettingsError: a line for each setting that is wrong.
        TokensError: the token cannot be kept.
    """
    wanted = load(TOKEN_CREATE, CreateSettings, given, environment)
    name = wanted.name or ""
    if len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise SettingsError(f"--name: must be printable and have {MAX_NAME_CHARS} characters at most")
    token, secret = TokenStore(wanted.state_dir).create(wanted.role, name)
    _write(f"{secret}\n")
    sys.stderr.write(f"made the {token.role} token {token.id}; it is shown here only\n")
    return ExitStatus.DONE


def list_all(given: Mapping[str, Any], environment: Mapping[str, str]) -> int:
    """Write a line a token to stdout, the oldest first; see `create`."""
    wanted = load(TOKEN_LIST, ListSettings, given, environment)
    tokens = sorted(TokenStore(wanted.state_dir).read().values(), key=lambda token: token.created_at)
    rows = [("id", "role", "created", "name")]
    rows += [(token.id, token.role, rfc3339(token.created_at), token.name) for token in tokens]
    _write("".join(f"{row[0]:<10}{row[1]:<10}{row[2]:<26}{row[3]}".rstrip() + "\n" for row in rows))
    return ExitStatus.DONE


def revoke(given: Mapping[str, Any], environment: Mapping[str, str]) -> int:
    """Take a token away; see `create`."""
    wanted = load(TOKEN_REVOKE, RevokeSettings, given, environment)
    token = TokenStore(wanted.state_dir).revoke(wanted.token_id)
    sys.stderr.write(f"revoked the {token.role} token {token.id}\n")
    return ExitStatus.DONE


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


RUNNERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, str]], int]] = {
    TOKEN_CREATE.name: create,
    TOKEN_LIST.name: list_all,
    TOKEN_REVOKE.name: revoke,
}
