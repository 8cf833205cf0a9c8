"""A state directory for state machines of Hypothesis: its actors are stopped, killed and broken in any order."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pykka
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.unit.actors.stored import WAIT


def copy_of(state_dir: Path) -> Path:
    """Copy the files as a `kill -9` at this moment would leave them."""
    copied = Path(tempfile.mkdtemp())
    for path in state_dir.iterdir():
        if not path.name.endswith(".lock"):
            shutil.copy(path, copied)
    return copied


class Stored(RuleBasedStateMachine):
    """A state directory that moves at each kill; `reopen` starts the actors over it."""

    def __init__(self) -> None:
        super().__init__()
        self.state_dir = Path(tempfile.mkdtemp())
        self.actors: list[pykka.ActorRef[Any]] = []
        self.broken: contextlib.AbstractContextManager[None] | None = None

    def reopen(self) -> None:
        raise NotImplementedError

    def break_store(self) -> contextlib.AbstractContextManager[None]:
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.reopen()

    def stop(self) -> None:
        for actor in reversed(self.actors):
            actor.stop(timeout=WAIT)
        self.actors = []

    @rule()
    def restart(self) -> None:
        self.stop()
        self.reopen()

    @rule()
    def kill(self) -> None:
        copied = copy_of(self.state_dir)
        self.mend()
        self.stop()
        shutil.rmtree(self.state_dir)
        self.state_dir = copied
        self._forget_the_break()
        self.reopen()

    def _forget_the_break(self) -> None:
        """The copy may hold the trigger that made the store fail."""
        for path in self.state_dir.glob("*.sqlite3"):
            with contextlib.closing(sqlite3.connect(path)) as other:
                for (name,) in other.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
                    other.execute(f"DROP TRIGGER {name}")

    @precondition(lambda self: self.broken is None)
    @rule()
    def fail(self) -> None:
        self.broken = self.break_store()
        self.broken.__enter__()

    @rule()
    def mend(self) -> None:
        if self.broken is not None:
            self.broken.__exit__(None, None, None)
            self.broken = None

    def teardown(self) -> None:
        self.mend()
        self.stop()
        shutil.rmtree(self.state_dir)
