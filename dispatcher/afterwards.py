"""What is due once after all that one turn of the loop brings: a commit, a frame, the news of ended leases.

Runs on the event loop, at the end of every step of a request's way. Many cause it, and it is to be done once for all of
them, so it waits until they are through: for the loop's next turn. What would surprise: whoever has gone through what a
socket brought (`with afterwards:`) does it there and then if nothing else is due in this turn. It would come next
either way; but one execution alone would pay for a turn of the loop at each of its steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sized
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

TURN_SECONDS = 0.005
"""How long one piece of work may keep the loop before others get their turn; a tenth of the 50 ms that are promised."""

_UNKNOWN = (None,)
"""Stands for what is due on a loop that does not tell: something may be."""


class Afterwards:
    """The calls of one loop that wait for the end of what goes on now. On the loop's thread only."""

    __slots__ = ("__weakref__", "_calls", "_depth", "_due", "_is_scheduled")

    def __init__(self, due: Sized) -> None:
        """Begin with no call; `due` is what the loop has left to do in this turn. `here` makes one."""
        self._due = due
        self._calls: list[Callable[[], None]] = []
        self._depth = 0
        self._is_scheduled = False

    @classmethod
    def here(cls) -> Afterwards:
        """Return the one of the running loop."""
        loop = asyncio.get_running_loop()
        known = _KNOWN.get(loop)
        if known is None:
            known = _KNOWN[loop] = cls(getattr(loop, "_ready", _UNKNOWN))
        return known

    def call(self, function: Callable[[], None]) -> None:
        """Have `function` called once: at the end of the `with` that goes on, or in the loop's next turn.

        In the order in which they were asked for. What one of them asks for is due in the turn after.
        """
        self._calls.append(function)
        if not self._depth:
            self._schedule()

    def __enter__(self) -> None:
        """Begin to do what may cause calls; one may stand in another, and the outermost counts."""
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        """Make the calls, or leave them to the next turn where others are due in this one: they may cause more."""
        self._depth -= 1
        if not self._calls or self._depth:
            return
        if self._due:
            self._schedule()
        else:
            self._make_calls()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._make_calls)

    def _make_calls(self) -> None:
        self._is_scheduled = False
        calls, self._calls = self._calls, []
        self._depth += 1
        for function in calls:
            try:
                function()
            except Exception as error:  # noqa: BLE001 (told as the loop tells of what it calls itself)
                tell_of(error, "what was due afterwards failed")
        self._depth -= 1
        if self._calls:
            self._schedule()


def tell_of(error: Exception, what: str) -> None:
    """Tell the loop of an error of a call that one of its own calls made for another."""
    asyncio.get_running_loop().call_exception_handler({"message": what, "exception": error})


_KNOWN: WeakKeyDictionary[asyncio.AbstractEventLoop, Afterwards] = WeakKeyDictionary()
