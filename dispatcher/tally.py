"""How the executions of a batch ended, counted for its summary. Counts on the event loop, once for each; no I/O."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dispatcher.actors.messages import Outcome

if TYPE_CHECKING:
    from dispatcher.errors import FailureKind
    from dispatcher.record import Record


def _zeros() -> defaultdict[Any, int]:
    return defaultdict(int)  # a third of what a `Counter` costs


@dataclass(slots=True)
class Tally:
    """How the executions of a batch ended, so far."""

    began: float = field(default_factory=time.monotonic)
    outcomes: defaultdict[Outcome, int] = field(default_factory=_zeros)
    by_status: defaultdict[int, int] = field(default_factory=_zeros)
    by_error: defaultdict[FailureKind, int] = field(default_factory=_zeros)

    def add(self, record: Record) -> None:
        """Count a record."""
        self.outcomes[record.outcome] += 1
        if record.failure is not None:
            self.by_error[record.failure.kind] += 1
        elif record.response is not None and record.response.status is not None:
            self.by_status[record.response.status] += 1

    def as_json(self, count: int, stopped: str | None) -> dict[str, Any]:
        """Return the summary of a batch of `count`, which ended early where `stopped` says why."""
        return {
            "count": count,
            **{str(outcome): self.outcomes[outcome] for outcome in Outcome},
            "seconds": round(time.monotonic() - self.began, 3),
            "by_status": {str(status): number for status, number in sorted(self.by_status.items())},
            "by_error": {str(kind): number for kind, number in sorted(self.by_error.items())},
            "stopped": stopped,
        }
