"""When an exit is put aside, and for how long: a plain class beside the pool. Decides, does no I/O.

What would surprise: what brings an exit back is one lease, not a probe of its own. When its pause is over it stands at
the back of the rotation like a new exit, and while that one execution has not ended nothing else is given to it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0
"""Of the default for `--exit-pause-max`."""

_LEAST_PART = 0.8
"""A pause is 80 to 100 % of its length: exits of one machine that failed together do not come back together."""


class Finding(Enum):
    """What the end of a lease says of its exit."""

    WORKS = "works"
    FAILS = "fails"
    NOTHING = "nothing"


@dataclass(slots=True)
class Setbacks:
    """What went wrong with one exit since it last worked. `why` names the last failure."""

    failures: int = 0
    is_paused: bool = False
    is_tried: bool = False
    why: str = ""

    @property
    def is_aside(self) -> bool:
        """Whether the exit must not be leased."""
        return self.is_paused or self.is_tried

    @property
    def reason(self) -> str | None:
        """Why it is aside, in words; None where it is not."""
        if self.is_paused:
            return f"set aside, failure {self.failures} in a row: {self.why}"
        return f"being tried again after: {self.why}" if self.is_tried else None

    def news(self, failures: int) -> str | None:
        """Say in words what is worth a line in the log, by the `failures` before: the first in a row, and its end."""
        if self.failures and not failures:
            return f"is set aside: {self.why}"
        return f"works again, after {failures} failures in a row" if failures and not self.failures else None

    def leased(self) -> None:
        """Take note of a lease: one of an exit that failed before is its trial."""
        self.is_tried = self.failures > 0

    def ended(self, finding: Finding, why: str) -> bool:
        """Take in the end of a lease; say whether a pause begins.

        While one is under way, leases from before it that end change nothing: they are the same failure.
        """
        if self.is_paused:
            return False
        self.is_tried = False
        if finding is Finding.FAILS:
            self.failures, self.why = self.failures + 1, why
            self.is_paused = True
        elif finding is Finding.WORKS:
            self.failures = 0
        return self.is_paused

    def pause_over(self) -> None:
        """Let the exit be leased once."""
        self.is_paused = False


def pause(failures: int, longest: float = LONGEST_PAUSE_SECONDS) -> float:
    """Return how many seconds an exit is aside after so many failures in a row: 1 s, then twice as long each time."""
    full = min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 30), longest)
    return full * random.uniform(_LEAST_PART, 1.0)  # noqa: S311 (spreads load; nothing is kept secret by it)
