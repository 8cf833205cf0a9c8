"""Counts over every record ever appended, and of those that are kept, in the same transaction as the records.

Step 9 of a request's way, on HistoryLog's thread. What would surprise: a batch is counted by itself first and joins
the totals only after its commit, so that a transaction that failed leaves no trace in memory either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.actors.history_retention import Kept, Pruned
from dispatcher.actors.inserts import insert
from dispatcher.actors.latency import LatencyHistogram, bucket_of
from dispatcher.actors.messages import HistoryTotals

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

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

Number = tuple[tuple[str, str], float]
"""A number by what it is of and which, such as ``("status", "200")``."""


class Totals:
    """How many records had each outcome, status and kind of error, their latencies, and how many are kept."""

    def __init__(self, numbers: Iterable[Number] = ()) -> None:
        """Start from some numbers; one that is missing is 0."""
        self._numbers: dict[tuple[str, str], float] = dict(numbers)

    @classmethod
    def load(cls, connection: sqlite3.Connection) -> Totals:
        """Read the totals as they were committed last."""
        return cls(((what, value), n) for what, value, n in connection.execute("SELECT what, value, n FROM total"))

    @property
    def kept(self) -> Kept:
        """How many records there are."""
        return Kept(round(self._numbers.get(_RECORDS, 0)), round(self._numbers.get(_BYTES, 0)))

    def count(self, rows: Sequence[RecordRow]) -> None:
        """Count records that were added, at least one."""
        _, outcomes, _, _, statuses, errors, _, times, records, _ = zip(*rows, strict=True)
        for what, column in (("outcome", outcomes), ("status", statuses), ("error", errors)):
            for value in set(column):
                if value is not None:
                    self._add((what, str(value)), column.count(value))
        for time in times:
            if time is not None:
                self._add(("latency", str(bucket_of(time))), 1)
                self._add(_LONGEST, time)
        self._add(_RECORDS, len(rows))
        self._add(_BYTES, sum(map(len, records)))

    def uncount(self, pruned: Pruned) -> None:
        """Count records as deleted; what else was counted of them stays."""
        self._add(_RECORDS, -pruned.records)
        self._add(_BYTES, -pruned.size)

    def add_to(self, connection: sqlite3.Connection) -> None:
        """Add what was counted here to the totals on disk."""
        insert(connection, "total", [(what, value, n) for (what, value), n in self._numbers.items()], _ADD)

    def merge(self, other: Totals) -> None:
        """Count everything that `other` has counted."""
        for key, n in other._numbers.items():
            self._add(key, n)

    def _add(self, key: tuple[str, str], n: float) -> None:
        before = self._numbers.get(key, 0)
        self._numbers[key] = max(before, n) if key == _LONGEST else before + n

    def describe(self) -> HistoryTotals:
        """Return the totals as they are now."""
        longest = self._numbers.get(_LONGEST)
        latency = LatencyHistogram({int(bucket): n for bucket, n in self._of("latency").items()}, longest)
        return HistoryTotals(
            by_outcome=self._of("outcome"),
            by_status=self._of("status"),
            by_error=self._of("error"),
            p50=latency.percentile(0.50),
            p90=latency.percentile(0.90),
            p99=latency.percentile(0.99),
            max=longest if longest is None else float(longest),
        )

    def _of(self, what: str) -> dict[str, int]:
        return {value: round(n) for (kind, value), n in self._numbers.items() if kind == what}
