"""What a large history costs those who read it: ``python -m tests.bench.bench_reading``.

Two coordinators, one over a small and one over a large history, are asked in turn for the first page and for the
stats. Every record must be counted, and the page must be the newest ones in their order.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from dispatcher.actors.history import HistoryLog
from dispatcher.actors.messages import AppendRecords
from tests.bench.bench_history import row
from tests.bench.clients import get
from tests.bench.table import Row, Size, at_most, main, medians
from tests.support.processes import Process, dispatcher_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dispatcher.actors.messages import RecordRow

SMALL = 1_000
PAGE = 50
MAX_RECORDS = "2000000"
WHAT = {"first page of history": "/api/history", "stats": "/api/stats"}
AT_ONCE = 1_000


def record(number: int) -> RecordRow:
    """Make a record of about 600 bytes."""
    made = row(number, 0)
    content = {"id": made.id, "outcome": made.outcome.value, "agent_id": made.agent_id, "body": "x" * 500}
    return made._replace(record=json.dumps(content).encode())


def fill(directory: Path, count: int) -> None:
    """Write a history."""
    log = HistoryLog.start(directory, max_records=int(MAX_RECORDS))
    for start in range(0, count, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, count))
        for future in [log.ask(AppendRecords((record(number),)), block=False) for number in numbers]:
            future.get(timeout=60)
    log.stop()


class Reader:
    """A coordinator over a history of `count` records."""

    def __init__(self, directory: Path, count: int) -> None:
        fill(directory, count)
        options = ["--port", "0", "--state-dir", str(directory), "--history-max-records", MAX_RECORDS]
        self.process = Process("coordinator", [*dispatcher_command(), "coordinator", *options])
        self._port = int(self.process.wait_for_line("coordinator ready on ").rpartition(":")[2])
        self._count = count

    async def milliseconds(self, path: str, times: int) -> float:
        """Return the median of asking so often."""
        return statistics.median((await get(self._port, path, times, 1)).times) * 1000

    async def check(self) -> None:
        """Nothing is missing."""
        for path in WHAT.values():
            answer = json.loads((await get(self._port, path, 1, 1)).bodies[0])
            if path == WHAT["stats"]:
                assert self._count == answer["executions"]["total"]
            else:
                newest = [f"{self._count - number:020}" for number in range(1, PAGE + 1)]
                assert newest == [item["id"] for item in answer["items"]]


async def compare(small: Reader, large: Reader, size: Size, counts: str) -> list[Row]:
    """Measure both rows."""
    times = size.of(0.02)
    found = []
    for what, path in WHAT.items():
        median = await medians(
            size.rounds,
            {
                "small": lambda path=path: small.milliseconds(path, times),  # type: ignore[misc]  # a default
                "large": lambda path=path: large.milliseconds(path, times),  # type: ignore[misc]  # a default
            },
        )
        ratio, detail = median["large"] / median["small"], f"{median['large']:.2f} ms against {median['small']:.2f} ms"
        found.append(at_most(2, f"{what}, {counts} records", ratio, detail))
    await small.check()
    await large.check()
    return found


def rows(size: Size) -> Iterator[Row]:
    """Fill two histories and compare."""
    count = size.count * 100
    with ExitStack() as stack:
        readers = []
        for number in (SMALL, count):
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            readers.append(Reader(directory, number))
            stack.callback(readers[-1].process.kill)
        yield from asyncio.run(compare(*readers, size, f"{count:,} against {SMALL:,}"))


if __name__ == "__main__":
    main(rows)
