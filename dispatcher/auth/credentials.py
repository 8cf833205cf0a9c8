"""The token that a command shows its coordinator, read once before the command begins its work. Main thread.

It comes from a file or from DISPATCHER_TOKEN and never from the command line, where every user of the machine could
read it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from dispatcher.errors import SettingsError
from dispatcher.option import ENVIRONMENT_PREFIX
from dispatcher.options import TOKEN_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN_VARIABLE = f"{ENVIRONMENT_PREFIX}TOKEN"
MAX_FILE_BYTES = 4096
_TOKEN = re.compile(r"[\x21-\x7e]{1,256}")


REFUSED = (401, 403)
"""Statuses that say that the token is the matter: trying again would not change them."""


def refusal(status: int, said: str) -> str:
    """Say why the coordinator lets nobody in with this token, which `said` so, and what helps."""
    return f"{said}; {TOKEN_FILE.flag} or {TOKEN_VARIABLE} gives another" if status == 401 else said


def headers(token: str) -> dict[str, str]:
    """Return the header lines that show a token; none for the empty one."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def read_token(token_file: Path | None, environment: Mapping[str, str]) -> str:
    """Return the token of `--token-file`, else that of DISPATCHER_TOKEN, else nothing.

    Raises:
        SettingsError: the file cannot be read, or what is there is no token.
    """
    if token_file is not None:
        return _checked(_content(token_file), f"{TOKEN_FILE.flag}: {token_file}")
    text = environment.get(TOKEN_VARIABLE, "")
    return _checked(text, TOKEN_VARIABLE) if text else ""


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise SettingsError(f"{TOKEN_FILE.flag}: cannot read {path}: {error.strerror}") from error


def _checked(text: str, source: str) -> str:
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        raise SettingsError(f"{source} holds no token: it must be one line without spaces, 256 characters at most")
    return token
