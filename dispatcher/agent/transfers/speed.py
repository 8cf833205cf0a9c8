"""Ends transfers whose target reads or answers too slowly: a dripping one shall not hold a slot until the timeout.

Step 7 of a request's way, on the event loop. libcurl's own limit (LOW_SPEED_LIMIT) counts the time in which a target
thinks, too; this one counts only while a request is being sent and from the first line of the answer on, so a target
may take as long as the execution's timeout to begin. One timer looks at all transfers, which costs each nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dispatcher.agent.transfers import curl_info

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from dispatcher.agent.transfers.transfer import Transfer

MIN_SPEED = 100
"""Bytes a second, on the wire and in either direction; 0 for no limit. A modem of 1980 is faster."""

MIN_SPEED_SECONDS = 30.0
"""Over how long the speed is measured: as long as an execution may take in all, unless its timeout was raised."""

_LOOKS = 4


class SpeedWatch:
    """Looks at transfers `_LOOKS` times in `seconds`, as long as there are any.

    So one that falls below `min_speed` for `seconds` ends at most half as long again after it began to. `end` is
    called with each such transfer.
    """

    def __init__(
        self,
        min_speed: int,
        seconds: float,
        transfers: Callable[[], Collection[Transfer]],
        end: Callable[[Transfer], None],
    ) -> None:
        """Look at what `transfers` returns."""
        self._min_speed = min_speed
        self._seconds = seconds
        self._transfers = transfers
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """A transfer has begun."""
        if self._timer is None and self._min_speed > 0:
            self._timer = self._loop.call_later(self._seconds / _LOOKS, self._look)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        for transfer in list(self._transfers()):
            if self._is_too_slow(transfer, now):
                self._end(transfer)
        if self._transfers():
            self.wake()

    def _is_too_slow(self, transfer: Transfer, now: float) -> bool:
        moved = curl_info.moved_bytes(transfer)
        if moved is None:
            transfer.pace = None
            return False
        if transfer.pace is None:
            transfer.pace = now, moved
            return False
        since, before = transfer.pace
        if now - since < self._seconds:
            return False
        transfer.pace = now, moved
        return moved - before < self._min_speed * (now - since)
