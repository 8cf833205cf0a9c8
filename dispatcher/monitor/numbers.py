"""Numbers, times and levels as people read them in few cells. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime


def duration(ms: float) -> str:
    """Write milliseconds in at most eight cells: ``0.4 ms``, ``12.3 ms``, ``1.24 s``, ``2.1 min``."""
    if ms < 99.95:
        return f"{ms:.1f} ms"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    if ms < 99_950:
        return f"{ms / 1000:.2f} s" if ms < 9995 else f"{ms / 1000:.1f} s"
    return f"{ms / 60_000:.1f} min" if ms < 5_997_000 else f"{ms / 60_000:.0f} min"


def age(seconds: float) -> str:
    """Write how long something is ago in at most four cells: ``3s``, ``119s``, ``12m``, ``5h``, ``9d``."""
    seconds = max(0.0, seconds)
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * length:
            return f"{int(seconds // length)}{unit}"
    return f"{int(seconds)}s"


def count(number: int) -> str:
    """Write a count in at most four cells: ``9999``, ``123k``, ``4.5M``."""
    if number < 10_000:
        return str(number)
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            short = number / size
            return f"{short:.1f}{unit}" if short < 9.95 else f"{int(short)}{unit}"
    return str(number)


def size(bytes_: int) -> str:
    """Write a number of bytes: ``812 B``, ``4.2 KiB``, ``10 MiB``."""
    if bytes_ < 1024:
        return f"{bytes_} B"
    for factor, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if bytes_ >= factor:
            value = bytes_ / factor
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
    return f"{bytes_} B"


def clock(timestamp: str) -> str:
    """Return the time of day of an RFC 3339 timestamp in UTC: ``10:31:02``; what is none stays as it is."""
    return timestamp[11:19] if len(timestamp) >= 19 and timestamp[10] == "T" else timestamp


def seconds_of(timestamp: str) -> float | None:
    """Return an RFC 3339 timestamp as seconds since 1970; None where it is none."""
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else moment.replace(tzinfo=UTC).timestamp()


def since(timestamp: str, now: float) -> str:
    """Write how long a timestamp is ago; `never` where there is none."""
    moment = seconds_of(timestamp)
    return "never" if moment is None else age(now - moment)


def sparkline(counts: Sequence[int], width: int, levels: str) -> str:
    """Draw the newest counts as levels, one cell for as many of them as fill the width; the newest at the right.

    `levels` goes from nothing to full; anything above nothing gets at least the lowest level.
    """
    if width < 1 or not counts:
        return ""
    bucket = max(1, -(-len(counts) // width))
    start = len(counts) % bucket
    sums = [sum(counts[place : place + bucket]) for place in range(start, len(counts), bucket)][-width:]
    highest = max(sums, default=0) or 1
    steps = len(levels) - 1
    return "".join(levels[-(-number * steps // highest)] for number in sums).rjust(width, levels[0])
