"""What the measurements have in common: rows of one table, each a ratio within one run, and rounds that alternate.

A measurement is a module ``bench_NAME`` with ``rows(size)``; `main` runs it alone, ``bench_table`` runs all of them.
Contenders take turns, round by round, and a row compares their medians: what else the machine does meets all of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tests.support import one_file

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping


@dataclass(frozen=True)
class Size:
    """How much is measured: `count` steps a round, and so many rounds."""

    count: int
    rounds: int

    def of(self, factor: float) -> int:
        """Return a count for what takes `factor` times as many steps."""
        return max(1, int(self.count * factor))


FULL = Size(10_000, 7)
QUICK = Size(2_000, 5)


@dataclass(frozen=True)
class Row:
    """One line of the table: `value` is to be at least or at most `limit`; `detail` says what it was made of.

    A `value` of None was not measured, and `detail` says why; it holds nothing.
    """

    measure: str
    value: float | None
    bound: str
    limit: float
    detail: str
    unit: str = "x"

    @property
    def holds(self) -> bool:
        """Whether the bound is kept."""
        if self.value is None:
            return False
        return self.value >= self.limit if self.bound == "at least" else self.value <= self.limit

    def __str__(self) -> str:
        shown = "**not measured**" if self.value is None else f"{self.value:.2f} {self.unit}"
        mark = "" if self.holds or self.value is None else " **missed**"
        return f"| {self.measure} | {shown}{mark} | {self.bound} {self.limit:g} {self.unit} | {self.detail} |"


def at_least(limit: float, measure: str, value: float | None, detail: str, unit: str = "x") -> Row:
    """Make a row whose value must not be smaller."""
    return Row(measure, value, "at least", limit, detail, unit)


def at_most(limit: float, measure: str, value: float | None, detail: str, unit: str = "x") -> Row:
    """Make a row whose value must not be larger."""
    return Row(measure, value, "at most", limit, detail, unit)


async def medians(rounds: int, contenders: Mapping[str, Callable[[], Awaitable[float]]]) -> dict[str, float]:
    """Let the contenders measure in turns, after one round that does not count; return each one's median."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, measure in contenders.items():
            value = await measure()
            if number:
                found[name].append(value)
    return {name: statistics.median(values) for name, values in found.items()}


def main(rows: Callable[[Size], Iterable[Row]]) -> None:
    """Run one measurement as a program; fails where a bound is missed.

    Prints what is measured and then its rows, or with ``--json`` nothing but a JSON object a row.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--json", action="store_true", help="a JSON object a row")
    options = parser.parse_args()
    if not options.json:
        sys.stdout.write(f"measured: {one_file.description()}\n")
    missed = False
    for row in rows(QUICK if options.quick else FULL):
        missed |= not row.holds
        sys.stdout.write(f"{json.dumps(asdict(row)) if options.json else row}\n")
        sys.stdout.flush()
    sys.exit(1 if missed else 0)
