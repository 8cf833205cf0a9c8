"""Knows which results the coordinator has: the end of a request's way through an agent. On its event loop.

A ping goes behind the results that have left, and since frames stay in order its answer is behind them too. It goes a
second after the first of them, or as soon as there are `MANY` of them: in a batch the results that are kept meanwhile
would else be tens of thousands, which no processor's cache holds, and each would be fetched from memory to be let go.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

PROOF_SECONDS = 1.0
"""From a result that was sent to the ping whose answer proves that the coordinator has it."""

MANY = 128
"""So many results are not kept waiting for `PROOF_SECONDS`: at 15,000 a second they are 120 pings."""

PROOF = b"results"
"""What a ping says whose answer proves results."""


class Proof:
    """Pings with `ping` for the results of one link, and tells `on_delivered` which of them have been proven.

    `unsent` returns the ids of what has not left as a whole, which no answer proves.
    """

    def __init__(
        self,
        ping: Callable[[bytes], None],
        unsent: Callable[[], Collection[str]],
        on_delivered: Callable[[Collection[str]], None],
    ) -> None:
        """Begin with nothing to prove."""
        self._ping = ping
        self._unsent = unsent
        self._on_delivered = on_delivered
        self._unproven: list[str] = []
        self._proving: list[str] = []
        self._is_asking = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether there are results that have not been proven."""
        return bool(self._unproven or self._proving)

    def want(self, identifier: str) -> None:
        """A result was put among what leaves."""
        unproven = self._unproven
        unproven.append(identifier)
        if self._is_asking:
            return
        if len(unproven) == MANY:
            self._ask_in(0.0)
        elif self._timer is None:
            self._ask_in(PROOF_SECONDS)

    def hear(self, data: bytes) -> None:
        """An answer to a ping has come."""
        if data != PROOF or not self._is_asking:
            return
        self._is_asking = False
        proven, self._proving = self._proving, []
        self._on_delivered(proven)
        if self._unproven:
            # Where nothing of so many had left, it is not to be asked again in no time.
            self._ask_in(0.0 if proven and len(self._unproven) >= MANY else PROOF_SECONDS)

    def close(self) -> None:
        """The link is gone: ask no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _ask_in(self, seconds: float) -> None:
        self.close()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._ask)

    def _ask(self) -> None:
        self._timer = None
        self._is_asking = True
        unsent = self._unsent()
        self._proving = [each for each in self._unproven if each not in unsent]
        self._unproven = [each for each in self._unproven if each in unsent]
        self._ping(PROOF)
