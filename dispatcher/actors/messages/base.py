"""What every message is, and how an execution can end."""

from __future__ import annotations

from enum import StrEnum
from typing import Generic, TypeVar

R_co = TypeVar("R_co", covariant=True)


class Message(Generic[R_co]):
    """A message whose answer, if asked, is an `R_co`."""

    __slots__ = ()


class Outcome(StrEnum):
    """How an execution ended (``outcome`` in a record)."""

    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"
