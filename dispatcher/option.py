"""What an option of the command line is. Standard library only; `options.py` has the table of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

ENVIRONMENT_PREFIX = "DISPATCHER_"
PROGRAM = "dispatcher.pyz"


class Kind(StrEnum):
    """What an option's value is."""

    TEXT = "text"
    WHOLE = "whole"
    NUMBER = "number"
    FLAG = "flag"
    LOG_LEVEL = "log_level"
    HOST = "host"
    URL = "url"
    ADDRESS = "address"
    AGENT_ID = "agent_id"
    PATH = "path"
    FILE = "file"
    HEADER = "header"
    TARGET = "target"
    ROLE = "role"
    ORIGIN = "origin"


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `low` and `high` bound its value, `repeats` lets it be given more than once."""

    name: str
    metavar: str
    help: str
    kind: Kind = Kind.TEXT
    default: Any = None
    low: float | None = None
    high: float | None = None
    repeats: bool = False
    is_required: bool = False

    @property
    def flag(self) -> str:
        """The option as it is typed."""
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable of the option."""
        return ENVIRONMENT_PREFIX + self.name.replace("-", "_").upper()

    @property
    def key(self) -> str:
        """The option as a Python name."""
        return self.name.replace("-", "_")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of the program."""

    name: str
    summary: str
    options: tuple[Option, ...]
