"""Work that many may ask for at once, such as what follows the end of an execution: so much in one turn of the loop.

Runs on the event loop, between steps 8 and 9 of a request's way. A call is made at once while its turn of the loop has
room for it, so one alone waits for nothing; those past that wait in order. When a link with thousands of executions is
lost, all of them end in one moment, and the loop still is never held for long.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from dispatcher.afterwards import Afterwards

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_A_TURN = 64
"""Calls in one turn of the loop: some 5 ms where each ends an execution."""


class Turns:
    """Makes calls in the order in which they were asked for. Made by whoever runs on the loop."""

    def __init__(self, most: int = MOST_A_TURN) -> None:
        """Make at most `most` calls in a turn of the loop that runs here."""
        self._most = most
        self._left = most
        self._waiting: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._afterwards = Afterwards.here()

    def call(self, function: Callable[[Any], None], argument: Any) -> None:
        """Call `function`, which raises nothing, with `argument`: now, or in one of the next turns."""
        if self._left == self._most:
            self._afterwards.call(self._end_turn)
        if self._left:
            self._left -= 1
            function(argument)
        else:
            self._waiting.append((function, argument))

    def _end_turn(self) -> None:
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._begin_turn)
        else:
            self._left = self._most

    def _begin_turn(self) -> None:
        self._left = self._most
        if not self._waiting:
            return
        # What is asked for by these calls is behind those that wait.
        self._left = 0
        asyncio.get_running_loop().call_soon(self._begin_turn)
        for _ in range(min(self._most, len(self._waiting))):
            function, argument = self._waiting.popleft()
            function(argument)
