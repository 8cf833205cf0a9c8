"""Counts over every record ever appended, and of those that are kept, in the same transaction as the records.

Step 9 of a request's way, on HistoryLog's thread. What would surprise: a batch is counted by itself first and joins
the totals only after its commit, so that a transaction that failed leaves no trace in memory either.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from dispatcher.actors.history_retention import Kept, Pruned
from dispatcher.actors.inserts import insert
from dispatcher.actors.latency import LatencyHistogram, bucket_of
from dispatcher.actors.messages import HistoryTotals

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from dispatcher.actors.database import Migration
    from dispatcher.actors.messages import RecordRow

MIGRATION: Migration = (
    "INSERT INTO total SELECT 'latency', bucket, n FROM latency",
    "INSERT INTO total SELECT 'longest', 'ms', ms FROM longest",
    "INSERT INTO total SELECT 'kept', 'records', records FROM kept",
    "INSERT INTO total SELECT 'kept', 'bytes', bytes FROM kept",
    "DROP TABLE latency",
    "DROP TABLE longest",
    "DROP TABLE kept",
)
"""All numbers lie in one table, so that a commit writes them by one statement and mostly into one page."""

_ADD = """ON CONFLICT (what, value)
    DO UPDATE SET n = CASE what WHEN 'longest' THEN max(n, excluded.n) ELSE n + excluded.n END"""

_LONGEST = ("longest", "ms")
_RECORDS, _BYTES = ("kept", "records"), ("kept", "bytes")

Numbers = dict[tuple[str, str | int], float]
"""Each number by what it is of and which, such as ``("status", "200")`` or ``("latency", 345)``, a bucket."""


class Totals:
    """How many records had each outcome, status and kind of error, their latencies, and how many are kept."""

    def __init__(self, numbers: Numbers | None = None) -> None:
        """Start from some numbers; one that is missing is 0."""
        self._numbers = numbers or {}

    @classmethod
    def load(cls, connection: sqlite3.Connection) -> Totals:
        """Read the totals as they were committed last."""
        numbers: Numbers = {}
        for what, value, n in connection.execute("SELECT what, value, n FROM total"):
            numbers[what, int(value) if what == "latency" else value] = n
        return cls(numbers)

    @classmethod
    def of(cls, rows: Sequence[RecordRow]) -> Totals:
        """Count records that were added."""
        if not rows:
            return cls()
        _, outcomes, _, _, statuses, errors, _, times, records, _ = zip(*rows, strict=True)
        numbers: Numbers = {_RECORDS: len(rows), _BYTES: sum(map(len, records))}
        for what, column in (("outcome", outcomes), ("status", statuses), ("error", errors)):
            for value in set(column):  # few: for them this is less than a `Counter`
                if value is not None:
                    numbers[what, str(value)] = column.count(value)
        timed = [time for time in times if time is not None]
        for bucket, n in Counter(map(bucket_of, timed)).items():
            numbers["latency", bucket] = n
        if timed:
            numbers[_LONGEST] = max(timed)
        return cls(numbers)

    @property
    def kept(self) -> Kept:
        """How many records there are."""
        return Kept(int(self._numbers.get(_RECORDS, 0)), int(self._numbers.get(_BYTES, 0)))

    def uncount(self, pruned: Pruned) -> None:
        """Count records as deleted; what else was counted of them stays."""
        self.merge(Totals({_RECORDS: -pruned.records, _BYTES: -pruned.size}))

    def add_to(self, connection: sqlite3.Connection) -> None:
        """Add what was counted here to the totals on disk."""
        insert(connection, "total", [(what, value, n) for (what, value), n in self._numbers.items()], _ADD)

    def merge(self, other: Totals) -> None:
        """Count everything that `other` has counted."""
        numbers = self._numbers
        for key, n in other._numbers.items():
            before = numbers.get(key, 0)
            numbers[key] = before + n if key != _LONGEST else max(before, n)

    def describe(self) -> HistoryTotals:
        """Return the totals as they are now."""
        longest = self._numbers.get(_LONGEST)
        latency = LatencyHistogram(self._of("latency"), longest)
        return HistoryTotals(
            by_outcome=self._of("outcome"),
            by_status=self._of("status"),
            by_error=self._of("error"),
            p50=latency.percentile(0.50),
            p90=latency.percentile(0.90),
            p99=latency.percentile(0.99),
            max=longest if longest is None else float(longest),
        )

    def _of(self, what: str) -> dict[Any, int]:
        return {value: int(n) for (kind, value), n in self._numbers.items() if kind == what}
