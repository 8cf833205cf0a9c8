"""A line of the log for what may happen any number of times a second: how often it did, and whom it last met.

On the event loop, beside a request's way: refusals are cheap, and a log that has a line for each is not.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

LOG_SECONDS = 1.0
"""A line in this time at most."""


class Seldom:
    """Says `line`, a warning with a count and whom it last met (`%d`, `%s`), at once and then every `LOG_SECONDS`."""

    def __init__(self, log: logging.Logger, line: str) -> None:
        """Begin with nothing to say."""
        self._log = log
        self._line = line
        self._count = 0
        self._last = ""
        self._timer: asyncio.TimerHandle | None = None

    def count(self, whom: str) -> None:
        """It has happened once more."""
        self._count += 1
        self._last = whom
        if self._timer is None:
            self._tell()

    def _tell(self) -> None:
        self._timer = None
        if self._count:
            self._log.warning(self._line, self._count, self._last)
            self._count = 0
            self._timer = asyncio.get_running_loop().call_later(LOG_SECONDS, self._tell)
