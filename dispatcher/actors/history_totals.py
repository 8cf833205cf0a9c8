"""Counts over every record ever appended, kept in the same transaction as the records and apart from retention.

Step 9 of a request's way, on HistoryLog's thread. What would surprise: a batch is counted by itself first and joins
the totals only after its commit, so that a transaction that failed leaves no trace in memory either.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from dispatcher.actors.latency import LatencyHistogram
from dispatcher.actors.messages import HistoryTotals

if TYPE_CHECKING:
    import sqlite3

    from dispatcher.actors.messages import RecordRow

_ADD_TOTAL = "INSERT INTO total VALUES (?1, ?2, ?3) ON CONFLICT (what, value) DO UPDATE SET n = n + ?3"
_ADD_LATENCY = "INSERT INTO latency VALUES (?1, ?2) ON CONFLICT (bucket) DO UPDATE SET n = n + ?2"
_SET_LONGEST = "INSERT INTO longest VALUES (0, ?1) ON CONFLICT (id) DO UPDATE SET ms = max(ms, ?1)"


class Totals:
    """How many records had each outcome, status and kind of error, and their latencies."""

    def __init__(self, counts: Counter[tuple[str, str]] | None = None, latency: LatencyHistogram | None = None):
        """Start from `counts` by (what, value), such as ``("status", "200")``."""
        self._counts = counts or Counter()
        self._latency = latency or LatencyHistogram()

    @classmethod
    def load(cls, connection: sqlite3.Connection) -> Totals:
        """Read the totals as they were committed last."""
        counts = Counter({(what, value): n for what, value, n in connection.execute("SELECT * FROM total")})
        longest = connection.execute("SELECT ms FROM longest").fetchone()
        buckets = dict(connection.execute("SELECT * FROM latency"))
        return cls(counts, LatencyHistogram(buckets, longest and longest[0]))

    def count(self, row: RecordRow) -> None:
        """Count one record."""
        self._counts["outcome", row.outcome.value] += 1
        if row.status is not None:
            self._counts["status", str(row.status)] += 1
        if row.error_kind is not None:
            self._counts["error", row.error_kind] += 1
        if row.total_ms is not None:
            self._latency.add(row.total_ms)

    def add_to(self, connection: sqlite3.Connection) -> None:
        """Add what was counted here to the totals on disk."""
        connection.executemany(_ADD_TOTAL, ((*key, n) for key, n in self._counts.items()))
        connection.executemany(_ADD_LATENCY, self._latency.counts.items())
        if self._latency.longest_ms is not None:
            connection.execute(_SET_LONGEST, (self._latency.longest_ms,))

    def merge(self, other: Totals) -> None:
        """Count everything that `other` has counted."""
        self._counts.update(other._counts)
        self._latency.merge(other._latency)

    def describe(self) -> HistoryTotals:
        """Return the totals as they are now."""
        return HistoryTotals(
            by_outcome=self._of("outcome"),
            by_status=self._of("status"),
            by_error=self._of("error"),
            p50=self._latency.percentile(0.50),
            p90=self._latency.percentile(0.90),
            p99=self._latency.percentile(0.99),
            max=self._latency.longest_ms,
        )

    def _of(self, what: str) -> dict[str, int]:
        return {value: n for (kind, value), n in self._counts.items() if kind == what}
