"""What a connection and the short way know of each other: between a request's bytes and step 1 of its way, and back.

Protocols, without a line of code. What would surprise: an answer is not returned nor awaited but called for, since
the call that tells of an execution's end is where it leaves soonest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tornado.iostream import IOStream


class Caller(Protocol):
    """Whoever waits for the answer to a request; the gate's `Visitor`."""

    def take_answer(self) -> None:
        """The answer is there to be taken. To be said once, and maybe before the request's `begin` returns."""

    def end_access(self) -> None:
        """End at once."""


class Asked(Protocol):
    """A request that the short way takes: the first `size` bytes of what has come.

    Where it `is_last` its connection is not kept. It may be begun again once it has ended.
    """

    size: int
    is_last: bool

    def begin(self, caller: Caller) -> None:
        """Find the answer, and say so to `caller`."""

    def answer(self) -> bytes | Callable[[IOStream], Awaitable[None]]:
        """Return the answer that is there; one that is long writes itself to the stream, piece by piece."""

    def end(self) -> None:
        """Its answer has left, or never will: its caller went away. It may wait for its turn yet."""


class ShortWay(Protocol):
    """Knows which requests need no more than a look."""

    def look(self, arrived: bytes, last: Asked | None) -> Asked | None:
        """Return the request that `arrived` begins with, if it is one for the short way and all of it is there.

        `last` is what was asked before on the same connection, and has ended.
        """
