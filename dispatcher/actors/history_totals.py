"""Counts over every record ever appended, and of those that are kept, exact after any end of the process.

Step 9 of a request's way, on HistoryLog's thread. What would surprise: they are not on disk as of the last commit, but
as of some commits before, together with the place up to which they count; a start counts the records after it. A commit
of 64 records changes some 50 numbers, and writing those cost more than the records' index. So no record may be deleted
before it is counted on disk, and how many are kept is written whenever some are deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dispatcher.actors.history_blocks import BLOCK
from dispatcher.actors.history_columns import Columns
from dispatcher.actors.history_retention import Kept, Pruned
from dispatcher.actors.inserts import insert
from dispatcher.actors.latency import LatencyHistogram, bucket_of
from dispatcher.actors.messages import HistoryTotals

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from dispatcher.actors.database import Migration

MIGRATION_3: Migration = (
    "INSERT INTO total SELECT 'latency', bucket, n FROM latency",
    "INSERT INTO total SELECT 'longest', 'ms', ms FROM longest",
    "INSERT INTO total SELECT 'kept', 'records', records FROM kept",
    "INSERT INTO total SELECT 'kept', 'bytes', bytes FROM kept",
    "DROP TABLE latency",
    "DROP TABLE longest",
    "DROP TABLE kept",
)
"""All numbers lie in one table, so that they are written by few statements and mostly into one page."""

MIGRATION_4: Migration = (
    "ALTER TABLE record ADD COLUMN total_ms REAL",
    "INSERT INTO total SELECT 'counted', 'place', coalesce(max(seq), 0) FROM record",
)
"""A record has all that is counted of it, and the numbers say up to which place they count."""

MOST_UNSAVED = 4096
"""Places by which the numbers on disk may be behind before a commit brings them up: 1 ms for it, 10 ms for a start."""

COUNTED = ("outcome", "status", "error", "latency", "longest", "kept", "counted")
"""What there are numbers of. Those of ``longest``, ``kept`` and ``counted`` have names of ours."""

_UNCOUNTED = "SELECT seq, outcome, status, error, total_ms, size FROM record WHERE seq > ? ORDER BY seq"
_REPLACE = "ON CONFLICT (what, value) DO UPDATE SET n = excluded.n"
_UNCOUNT = "UPDATE total SET n = n - CASE value WHEN 'records' THEN ? ELSE ? END WHERE what = 'kept'"

Numbers = dict[str, dict[str | int, float]]
"""Each number by what it is of and which: ``{"status": {"200": 3}, "latency": {345: 3}}``, the latter by bucket."""


class Totals:
    """How many records had each outcome, status and kind of error, their latencies, and how many are kept."""

    def __init__(self, numbers: Numbers | None = None) -> None:
        """Start from some numbers, which are on disk; one that is missing is 0."""
        self._numbers: Numbers = numbers or {what: {} for what in COUNTED}
        self._saved = self._place

    @classmethod
    def load(cls, connection: sqlite3.Connection) -> Totals:
        """Read the totals as of the last commit."""
        numbers: Numbers = {what: {} for what in COUNTED}
        for what, value, n in connection.execute("SELECT what, value, n FROM total"):
            numbers[what][int(value) if what == "latency" else value] = n
        totals = cls(numbers)
        uncounted = connection.execute(_UNCOUNTED, (totals._place,)).fetchall()
        if uncounted:
            places, outcomes, statuses, errors, times, sizes = zip(*uncounted, strict=True)
            totals.count(
                places, Columns(outcome=outcomes, status=statuses, error_kind=errors, total_ms=times, size=sizes)
            )
        return totals

    def copy(self) -> Totals:
        """Return the same totals, to be changed by a transaction that may fail."""
        copy = Totals({what: numbers.copy() for what, numbers in self._numbers.items()})
        copy._saved = self._saved
        return copy

    def count(self, places: Sequence[int], columns: Columns) -> None:
        """Count records that were added at these `places`, which grow."""
        if not places:
            return
        self._numbers["counted"]["place"] = places[-1]
        self._add("kept", "records", len(columns.size))
        self._add("kept", "bytes", sum(columns.size))
        named = (("outcome", columns.outcome), ("status", columns.status), ("error", columns.error_kind))
        for what, column in named:
            for value in {*column} - {None}:  # few: for them this is less than a `Counter`
                self._add(what, str(value), column.count(value))
        timed = [time for time in columns.total_ms if time is not None]
        if timed:
            longest, latencies = self._numbers["longest"], self._numbers["latency"]
            longest["ms"] = max(longest.get("ms", 0), *timed)
            for bucket in map(bucket_of, timed):
                latencies[bucket] = latencies.get(bucket, 0) + 1

    def uncount(self, pruned: Pruned) -> None:
        """Count records as deleted; what else was counted of them stays."""
        self._add("kept", "records", -pruned.records)
        self._add("kept", "bytes", -pruned.size)

    def _add(self, what: str, value: str, n: float) -> None:
        numbers = self._numbers[what]
        numbers[value] = numbers.get(value, 0) + n

    def save(self, connection: sqlite3.Connection, pruned: Pruned) -> None:
        """Write what a start could not find out, in the transaction that added the last and deleted the `pruned`."""
        if self._place - self._saved >= MOST_UNSAVED or max(pruned.blocks, default=-1) >= self._saved // BLOCK:
            rows = [(what, value, n) for what, numbers in self._numbers.items() for value, n in numbers.items()]
            whats, values, ns = zip(*rows, strict=True)
            insert(connection, "total", {"what": whats, "value": values, "n": ns}, _REPLACE)
            self._saved = self._place
        elif pruned.records:
            connection.execute(_UNCOUNT, (pruned.records, pruned.size))

    @property
    def _place(self) -> int:
        """The place of the last record that was counted."""
        return int(self._numbers["counted"].get("place", 0))

    @property
    def kept(self) -> Kept:
        """How many records there are."""
        kept = self._numbers["kept"]
        return Kept(int(kept.get("records", 0)), int(kept.get("bytes", 0)))

    def describe(self) -> HistoryTotals:
        """Return the totals as they are now."""
        longest = self._numbers["longest"].get("ms")
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
        return {value: int(n) for value, n in self._numbers[what].items()}
