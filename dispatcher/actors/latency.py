"""Percentiles of all latencies ever seen, from counts in buckets that grow by a constant factor.

Beside a request's way: `history_totals.py` counts each finished execution into one. Pure, no I/O. What would
surprise: a bucket's number alone says its bounds, so histograms merge by adding counts and are stored as they are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

RELATIVE_ERROR = 0.01
"""A percentile is at most this far off, as a part of the true value, from `SMALLEST_MS` upwards."""

SMALLEST_MS = 0.001
"""One microsecond: what is not longer is counted as nothing."""

_GROWTH = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GROWTH = math.log(_GROWTH)


def bucket_of(value_ms: float) -> int:
    """Return the number of the bucket that counts `value_ms`: 0 up to `SMALLEST_MS`, 1,216 at ten hours."""
    return math.ceil(math.log(value_ms / SMALLEST_MS) / _LOG_GROWTH) if value_ms > SMALLEST_MS else 0


def middle_of(bucket: int) -> float:
    """Return the milliseconds that stand for a bucket: at most `RELATIVE_ERROR` from everything in it."""
    if bucket == 0:
        return 0.0
    return float(SMALLEST_MS * _GROWTH**bucket * (1 - RELATIVE_ERROR))


class LatencyHistogram:
    """How many latencies fell into each bucket, and the longest of all in milliseconds (None: there was none)."""

    def __init__(self, counts: Mapping[int, int], longest_ms: float | None) -> None:
        """Look at `counts` by bucket."""
        self._counts = counts
        self._longest_ms = longest_ms

    def percentile(self, fraction: float) -> float | None:
        """Return the latency that `fraction` (over 0, up to 1) of all do not exceed, in ms; None before the first."""
        rank = max(1, math.ceil(fraction * sum(self._counts.values())))
        seen = 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= rank:
                return min(middle_of(bucket), self._longest_ms or 0.0)
        return None
