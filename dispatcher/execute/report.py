"""What `execute` says of records: a line each, their sum, and the exit status that scripts look at. Pure."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from dispatcher.errors import ExitStatus
from dispatcher.monitor.text import safe_text

HEAD = f"{'#':>7}  {'agent':<16} {'source address':<26} {'status':<18} time"


def line(record: dict[str, Any], number: int) -> str:
    """Write a record as a line of the table that `HEAD` begins; what went wrong stands at its end."""
    error, response = record["error"], record["response"]
    status = error["kind"] if error else str(response["status"])
    row = (
        f"{record.get('sequence', number):>7}  {record['agent_id'] or '-':<16} {record['source_ip'] or '-':<26} "
        f"{status:<18} {record['timings']['total']:.1f} ms"
    )
    return safe_text(f"{row}  {error['detail']}" if error else row)


@dataclass(slots=True)
class Counts:
    """How the executions ended that were told of. `stopped` is why the coordinator began no more."""

    outcomes: Counter[str] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)
    by_error: Counter[str] = field(default_factory=Counter)
    stopped: str | None = None

    def add(self, record: dict[str, Any]) -> None:
        """Count a record."""
        self.outcomes[record["outcome"]] += 1
        if record["error"] is None:
            self.by_status[str(record["response"]["status"])] += 1
        else:
            self.by_error[record["error"]["kind"]] += 1

    @property
    def completed(self) -> int:
        """Executions that the target answered."""
        return self.outcomes["completed"]

    @property
    def failed(self) -> int:
        """Executions of which it is known that no answer came."""
        return self.outcomes["failed"]

    @property
    def unknown(self) -> int:
        """Executions whose agent was lost."""
        return self.outcomes["unknown"]

    @property
    def all(self) -> int:
        """All that were told of."""
        return sum(self.outcomes.values())

    def status(self, wanted: int) -> ExitStatus:
        """Return the exit status after these of `wanted` executions."""
        if self.by_error["no_exit"]:
            return ExitStatus.NO_EXIT
        return ExitStatus.DONE if self.completed == wanted else ExitStatus.FAILED

    def summary(self, wanted: int, seconds: float) -> str:
        """Write the sum for people, in one or two lines."""
        rate = self.all / seconds if seconds else 0.0
        kinds = [f"{name} x{number}" for name, number in sorted((self.by_status + self.by_error).items())]
        told = (
            f"{self.all} executions in {seconds:.1f} s, {rate:.0f}/s: {self.completed} completed, "
            f"{self.failed} failed, {self.unknown} unknown" + (f"; {', '.join(kinds)}" if kinds else "")
        )
        if self.all < wanted:
            why = self.stopped or "the answer ended early"
            told += f"\n{self.all} of {wanted} were told of: {safe_text(why)}"
        return told

    def summary_json(self, wanted: int, seconds: float) -> str:
        """Write the sum as the coordinator does, for where it does not come to that."""
        content = {
            "count": wanted,
            "completed": self.completed,
            "failed": self.failed,
            "unknown": self.unknown,
            "seconds": round(seconds, 3),
            "by_status": dict(sorted(self.by_status.items())),
            "by_error": dict(sorted(self.by_error.items())),
            "stopped": self.stopped,
        }
        return json.dumps({"summary": content}, separators=(",", ":"))
