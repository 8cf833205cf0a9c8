"""The tokens of a coordinator, in one file of its state directory: made, listed, revoked. Blocks on the disk.

The file holds no secret: of each token it has the SHA-256. That is enough, and a slow hash would be no better, because
a token is 256 random bits that nobody can guess, unlike a password. A new file takes the place of the old one whole,
so whoever reads it without the lock reads one that is whole. What root makes belongs to whom the directory belongs to:
a coordinator that runs as a user of its own must be able to read it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from dispatcher.auth.roles import Role
from dispatcher.errors import DispatcherError

MAX_TOKENS = 1000
"""Tokens of one coordinator; each agent may have its own."""

MAX_NAME_CHARS = 64
_ID = re.compile(r"[0-9a-f]{8}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PREFIX = "hd"
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token: `sha256` of the whole token in hexadecimal, `created_at` in seconds since 1970."""

    id: str
    role: Role
    name: str
    created_at: float
    sha256: str


class TokensError(DispatcherError):
    """The tokens cannot be read or written; the text says why."""


def digest(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def id_of(token: str) -> str:
    """Return which token this claims to be; empty where it claims nothing."""
    prefix, _, rest = token.partition("_")
    return rest.partition("_")[0] if prefix == _PREFIX else ""


class TokenStore:
    """The tokens below a state directory."""

    def __init__(self, state_dir: Path) -> None:
        """Know where; nothing is read or made yet."""
        self._folder = state_dir
        self.path = state_dir / "tokens.json"

    def exists(self) -> bool:
        """Say whether tokens were ever made here; they may all be revoked."""
        return self.path.exists()

    def stamp(self) -> tuple[int, ...]:
        """Return what changes whenever the file does; empty where there is none."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._error("read", error) from error
        return status.st_ino, status.st_mtime_ns, status.st_size

    def read(self) -> dict[str, Token]:
        """Return the tokens by id; none where there is no file.

        Raises:
            TokensError: the file cannot be read, or is not as it was written.
        """
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            found = [_token(item) for item in content["tokens"]]
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._error("read", error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise TokensError(
                f"{self.path} is damaged ({error}): mend it, or remove it to revoke all tokens"
            ) from error
        return {token.id: token for token in found}

    def create(self, role: Role, name: str = "") -> tuple[Token, str]:
        """Make a token; return what is kept of it and the token itself, which is nowhere else.

        Raises:
            TokensError: it cannot be written, or there are `MAX_TOKENS` already.
        """
        with self._locked():
            known = self.read()
            if len(known) >= MAX_TOKENS:
                raise TokensError(f"there are {MAX_TOKENS} tokens, as many as a coordinator takes: revoke some first")
            token, secret = _make(role, name, known)
            self._write({**known, token.id: token})
        return token, secret

    def create_first(self) -> list[Path]:
        """Make a token of each kind, each in a file of its own, all or none; return the files.

        None where tokens were made already, by a command at the same time say.

        Raises:
            TokensError: they cannot be written.
        """
        with self._locked():
            if self.exists():
                return []
            known: dict[str, Token] = {}
            files = []
            for role in Role:
                token, secret = _make(role, "first start", known)
                known[token.id] = token
                files.append(self._folder / f"{role}.token")
                self._replace(files[-1], f"{secret}\n")
            self._write(known)
        return files

    def revoke(self, token_id: str) -> Token:
        """Take a token away; a coordinator that runs notices within a second.

        Raises:
            TokensError: there is no such token, or the file cannot be written.
        """
        with self._locked():
            known = self.read()
            if token_id not in known:
                raise TokensError(f"there is no token {token_id}")
            revoked = known.pop(token_id)
            self._write(known)
        return revoked

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time read and write, for the length of a block."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._folder / "tokens.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._error("write", error) from error
        try:
            self._give_to_owner(lock)
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, tokens: dict[str, Token]) -> None:
        content = {"version": 1, "tokens": [asdict(token) for token in tokens.values()]}
        self._replace(self.path, json.dumps(content, indent=1) + "\n")

    def _replace(self, path: Path, text: str) -> None:
        new = path.with_name(f"{path.name}.new")
        try:
            new.unlink(missing_ok=True)
            file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(file, "w", encoding="utf-8") as stream:
                self._give_to_owner(file)
                stream.write(text)
                stream.flush()
                os.fsync(file)
            new.replace(path)
        except OSError as error:
            raise self._error("write", error) from error

    def _give_to_owner(self, file: int) -> None:
        if os.geteuid() == 0:
            owner = self._folder.stat()
            os.fchown(file, owner.st_uid, owner.st_gid)

    def _error(self, verb: str, error: OSError) -> TokensError:
        return TokensError(f"cannot {verb} the tokens in {self._folder}: {error.strerror or error}")


def _make(role: Role, name: str, known: dict[str, Token]) -> tuple[Token, str]:
    """Make a token whose id is not among `known`, and the secret that is it."""
    identifier = next(made for made in iter(lambda: secrets.token_hex(4), "") if made not in known)
    secret = f"{_PREFIX}_{identifier}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    return Token(identifier, role, name, time.time(), digest(secret)), secret


def _token(item: dict[str, object]) -> Token:
    """Read one token of the file, where a field that is missing or odd must not become one that lets in."""
    token = Token(
        id=str(item["id"]),
        role=Role(str(item["role"])),
        name=str(item["name"]),
        created_at=float(str(item["created_at"])),
        sha256=str(item["sha256"]),
    )
    if not _ID.fullmatch(token.id) or not _DIGEST.fullmatch(token.sha256):
        raise ValueError(f"the token {token.id!r} is not as it was written")
    return token
