"""Who an agent is: its id, and the key that proves that the id is its own. Read once, before the first registration.

Stands before a request's way; main thread. Both are kept in the state directory, a file for each coordinator and id,
locked while its agent runs: so two agents of one machine share the directory and never an identity. What would
surprise: where nothing can be written there is no key at all, because one that is lost with the process would shut
the same agent out when it is started again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from dispatcher.checks import AGENT_ID, AGENT_KEY
from dispatcher.errors import RefusedError

logger = logging.getLogger(__name__)

FOLDER = "agents"
"""Below the state directory, mode 0700; its files are 0600."""

UNNAMED_AT_MOST = 64
"""Agents without `--agent-id` that one state directory keeps apart; those past it keep nothing."""

_KEY_BYTES = 32
_NAMED_TOLD = 5


@dataclass(slots=True)
class Identity:
    """An agent's id, None until the coordinator has made one up, and its key, None where none can be kept."""

    agent_id: str | None
    key: str | None = field(default=None, repr=False)
    path: Path | None = None
    lock: IO[bytes] | None = field(default=None, repr=False)

    def take(self, agent_id: str) -> None:
        """Be `agent_id` from now on, after a restart too."""
        if agent_id == self.agent_id:
            return
        self.agent_id = agent_id
        if self.path is None:
            return
        try:
            _write(self)
        except OSError as error:
            logger.warning("cannot keep this agent's id in %s: %s", self.path, error.strerror or error)
        else:
            logger.info("agent id %s: made up by the coordinator and kept in %s", agent_id, self.path)

    def close(self) -> None:
        """Let another process be this agent."""
        if self.lock is not None:
            self.lock.close()


def open_identity(state_dir: Path, coordinator_url: str, agent_id: str | None) -> Identity:
    """Return the identity that `state_dir` keeps for `agent_id` at this coordinator, made and kept if there is none.

    Without an id it is one that no running agent has, so that an agent that is started again is who it was: the first
    that was made up here or, where none was, the one that was named here, unless there are several of those.

    Raises:
        RefusedError: an agent of this id runs on this machine already, from the same directory.
    """
    folder = state_dir / FOLDER
    ending = f"-{hashlib.sha256(coordinator_url.encode()).hexdigest()[:12]}.json"
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        named = _named(folder, ending) if agent_id is None else []
        for name in [agent_id] if agent_id is not None else _names(folder, ending, named):
            path = folder / f"{name}{ending}"
            lock = _lock(path)
            if not isinstance(lock, str):
                found = _load(path, lock, agent_id)
                _tell(found, agent_id, named)
                return found
    except OSError as error:
        reason = error.strerror or str(error)
    else:
        if agent_id is not None:
            raise RefusedError(f"agent {agent_id} runs on this machine already (process {lock}), from {state_dir}")
        reason = f"{UNNAMED_AT_MOST} agents without --agent-id keep theirs there already"
    logger.warning(
        "cannot keep this agent's id and key in %s: %s; its id is its own only while it is connected", folder, reason
    )
    return Identity(agent_id)


def _named(folder: Path, ending: str) -> list[str]:
    """Return the ids that agents were given by name, whose identities are kept here and can be read."""
    kept = {path.name.removesuffix(ending): path for path in sorted(folder.glob(f"[!_]*{ending}"))}
    return [name for name, path in kept.items() if _kept_id(path) == name]


def _names(folder: Path, ending: str, named: list[str]) -> list[str]:
    """Return what the identity of an agent without an id may be kept as, in the order in which they are tried."""
    unnamed = [f"_{number}" for number in range(1, UNNAMED_AT_MOST + 1)]
    has_unnamed = any(_kept_id(folder / f"{name}{ending}") for name in unnamed)
    return unnamed if has_unnamed or len(named) != 1 else [*named, *unnamed]


def _tell(identity: Identity, agent_id: str | None, named: list[str]) -> None:
    """Log who this agent is, and why."""
    if agent_id is not None:
        logger.info("agent id %s: as its settings say; its key is kept in %s", agent_id, identity.path)
    elif identity.agent_id is not None:
        logger.info("agent id %s: the one that is kept in %s, since none was given", identity.agent_id, identity.path)
    elif len(named) > 1:
        several = ", ".join(named[:_NAMED_TOLD])
        logger.warning("agent id: a new one, since none was given and several agents were named here: %s", several)
    else:
        logger.info("agent id: a new one, since none was given and none is kept for a stopped agent")


def _lock(path: Path) -> IO[bytes] | str:
    """Lock the identity at `path`; the id of the process that has it where another one does."""
    lock = os.fdopen(os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with lock:
            return lock.read(20).decode("ascii", "replace").strip() or "unknown"
    except OSError:
        # A file system without locks: what remains is that the coordinator tells copies apart.
        logger.debug("%s cannot be locked", path)
    lock.truncate(0)
    lock.write(str(os.getpid()).encode("ascii"))
    lock.flush()
    return lock


def _load(path: Path, lock: IO[bytes], agent_id: str | None) -> Identity:
    try:
        kept = _read(path, agent_id)
        if kept is None:
            kept = Identity(agent_id, secrets.token_urlsafe(_KEY_BYTES))
            kept.path = path
            _write(kept)
    except OSError:
        lock.close()
        raise
    kept.path, kept.lock = path, lock
    return kept


def _kept_id(path: Path) -> str | None:
    """Return the id that is kept at `path`; None where none is that could be used."""
    try:
        kept = _parsed(path.read_bytes())
    except OSError:
        return None
    return None if kept is None else kept.agent_id


def _read(path: Path, agent_id: str | None) -> Identity | None:
    """Return what is kept at `path`; None where nothing of use is."""
    try:
        kept = _parsed(path.read_bytes())
    except FileNotFoundError:
        return None
    if kept is None:
        logger.warning("%s cannot be read as an agent's identity; a new one takes its place", path)
        return None
    return Identity(agent_id or kept.agent_id, kept.key)


def _parsed(written: bytes) -> Identity | None:
    try:
        content = json.loads(written)
        kept_id, key = content["agent_id"], content["key"]
        if AGENT_KEY.fullmatch(key) and (kept_id is None or AGENT_ID.fullmatch(kept_id)):
            return Identity(kept_id, key)
    except (ValueError, KeyError, TypeError):
        pass
    return None


def _write(identity: Identity) -> None:
    """Write the file as a whole or not at all: half a key would shut this agent out."""
    assert identity.path is not None
    content = json.dumps({"agent_id": identity.agent_id, "key": identity.key}).encode()
    fresh = identity.path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(identity.path)
