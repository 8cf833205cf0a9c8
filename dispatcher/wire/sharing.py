"""Executions of one frame that ask for the same say it once: between steps 4 and 5 of a request's way. Sans-I/O.

In a batch nearly all do. An `Execute` that asks for what the one before it in its frame asked for is written as an
`Again`, a third as long, and read as a `Likewise`, which costs the agent a third as much and says that it is the same.
Frames stand by themselves: nothing is remembered from one to the next. An execution with a body is always said in full.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from dispatcher.wire import codec
from dispatcher.wire.codec import Invalid
from dispatcher.wire.messages import Again, Execute, Message

if TYPE_CHECKING:
    from collections.abc import Callable

_OWN = ("id", "source", "timeout")
_SHARED = tuple(name for name in Execute.__match_args__ if name not in _OWN)
_asked: Callable[[Execute], tuple[Any, ...]] = operator.attrgetter(*_SHARED)


class Likewise(Execute):
    """An execution that asks for what `like` does, another of its frame; so all that do are known by that object."""

    __slots__ = ("like",)

    body = b""

    def __init__(self, identifier: str, source: str, timeout: float, like: Execute) -> None:
        """Ask from `source`, within `timeout` seconds."""
        self.id = identifier  # type: ignore[misc]  # being made
        self.source = source  # type: ignore[misc]  # as above
        self.timeout = timeout  # type: ignore[misc]  # as above
        self.like = like  # type: ignore[misc]  # as above

    def __getattr__(self, name: str) -> Any:
        """Return a member that was not set here, which is all that executions share."""
        return getattr(self.like, name)


class Writer:
    """Writes the messages of one frame, in their order, as they stand in it without their bodies."""

    def __init__(self) -> None:
        """Begin a frame."""
        self._asked: tuple[Any, ...] | None = None

    def write(self, message: Message) -> bytes:
        """Write the next one."""
        if type(message) is Execute:
            asked = _asked(message)
            if asked == self._asked:
                return codec.message_json(Again(message.id, message.source, message.timeout))
            self._asked = None if message.body else asked
        return codec.message_json(message)


class Reader:
    """Takes the messages of one frame, in their order, and makes an `Execute` of each `Again`."""

    def __init__(self) -> None:
        """Begin a frame."""
        self._like: Execute | None = None

    def take(self, message: Message | Invalid) -> Message | Invalid:
        """Return what the next one means."""
        if type(message) is Again:
            if self._like is None:
                return Invalid(Again.tag, message.id, "no execution without a body is before it in its frame")
            return Likewise(message.id, message.source, message.timeout, self._like)
        if type(message) is Execute:
            self._like = None if message.body else message
        elif type(message) is Invalid and message.tag == Execute.tag:
            self._like = None
        return message
