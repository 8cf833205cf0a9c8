"""How history's speed depends on its size, and what reading does to appends. Run by hand: prints a table.

    python -m tests.bench.bench_history [RECORDS ...]        (default: 1000 1000000)

Each history is filled in a temporary directory (`TMPDIR` says where). Two values of each filter are common and never
meet, so that "nothing matches" is the worst that a filter can ask for.
"""

# ruff: noqa: T201  (what it prints is its result)

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dispatcher.actors.database import connect_read_only
from dispatcher.actors.history import HistoryLog
from dispatcher.actors.history_reader import HistoryReader, page_query
from dispatcher.actors.messages import AppendRecords, HistoryFilter, Outcome, ReadHistory, ReadTotals, RecordRow

if TYPE_CHECKING:
    from pykka import ActorRef

START_MS = 1_700_000_000_000
STEP_MS = 400

FILTERS = {
    "none": HistoryFilter(),
    "agent": HistoryFilter(agent_id="agent-0"),
    "source": HistoryFilter(source_ip="2001:db8::5"),
    "failed": HistoryFilter(outcome=Outcome.FAILED),
    "status and agent": HistoryFilter(status=200, agent_id="agent-0"),
    "rare error": HistoryFilter(error="tls"),
    "absent": HistoryFilter(status=418),
    "worst: agent and source never meet": HistoryFilter(agent_id="agent-0", source_ip="2001:db8::5"),
    "worst: half and half never meet": HistoryFilter(agent_id="agent-0", status=404),
}


def row(number: int, size: int) -> RecordRow:
    """Make a record: agent-1 alone has odd addresses and status 404, one in a thousand fails."""
    odd = number % 2
    failed = number % 1000 == 0
    return RecordRow(
        id=f"{number:020}",
        outcome=Outcome.FAILED if failed else Outcome.COMPLETED,
        agent_id=f"agent-{odd}",
        source_ip=f"2001:db8::{number % 32:x}",
        status=None if failed else (200, 404)[odd],
        error_kind=("tls" if number == 0 else "timeout") if failed else None,
        finished_at_ms=START_MS + number * STEP_MS,
        total_ms=None if failed else 1 + number % 97,
        record=b"x" * size,
    )


def fill(log: ActorRef[HistoryLog], count: int, size: int, first: int = 0) -> None:
    """Append `count` records, a thousand in flight."""
    for start in range(first, first + count, 1000):
        futures = [
            log.ask(AppendRecords((row(number, size),)), block=False)
            for number in range(start, min(start + 1000, first + count))
        ]
        for future in futures:
            future.get(timeout=60)


def best_ms(ref: ActorRef[Any], message: object, times: int = 5) -> float:
    """Return the fastest answer of some in milliseconds."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        ref.ask(message, timeout=60)
        taken.append(time.perf_counter() - begin)
    return min(taken) * 1000


def show_pages(directory: Path, reader: ActorRef[HistoryReader], count: int) -> None:
    """Print how long the first page of each filter takes, and how SQLite looks for it."""
    now = START_MS + count * STEP_MS
    times = {
        "last hour, absent": HistoryFilter(since_ms=now - 3_600_000, status=418),
        "before the middle": HistoryFilter(until_ms=START_MS + count // 2 * STEP_MS),
    }
    connection = connect_read_only(directory, "history")
    for name, where in (FILTERS | times).items():
        taken = best_ms(reader, ReadHistory(50, None, where))
        query, values = page_query(connection, None, where, 0)
        plan = connection.execute(f"EXPLAIN QUERY PLAN {query}", (*values, 51)).fetchall()
        print(f"{count:>9,}  {name:36} {taken:9.2f} ms  {plan[0][3]}")
    connection.close()


def append_times(log: ActorRef[HistoryLog], count: int, first: int) -> list[float]:
    """Append one record after the other and return what each took in ms, sorted."""
    return sorted(best_ms(log, AppendRecords((row(number, 2000),)), 1) for number in range(first, first + count))


def show_appends(log: ActorRef[HistoryLog], reader: ActorRef[HistoryReader], first: int) -> None:
    """Print what an append takes alone, and while somebody reads pages of 500 records of 64 KiB without pause."""
    for name, is_read in (("alone", False), ("beside 500 x 64 KiB pages", True)):
        stop = threading.Event()

        def read(stop: threading.Event = stop) -> None:
            while not stop.is_set():
                reader.ask(ReadHistory(500, first, HistoryFilter(until_ms=START_MS + first * STEP_MS)), timeout=60)

        thread = threading.Thread(target=read)
        if is_read:
            thread.start()
        taken = append_times(log, 1000, first + 1000 * is_read)
        stop.set()
        if is_read:
            thread.join()
        print(f"append {name:28} p50 {taken[500]:7.2f}  p99 {taken[990]:7.2f}  max {taken[-1]:7.2f} ms")


def main(sizes: list[int]) -> None:
    """Fill a history of each size and print its times."""
    for count in sizes:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            log = HistoryLog.start(directory, max_records=10**9)
            begin = time.perf_counter()
            fill(log, count, 500)
            print(f"{count:>9,}  appended at {count / (time.perf_counter() - begin):,.0f}/s")
            reader = HistoryReader.start(directory)
            show_pages(directory, reader, count)
            print(f"{count:>9,}  totals {best_ms(log, ReadTotals()):.2f} ms")
            if count == sizes[0]:
                fill(log, 1000, 64 * 1024, first=count)
                show_appends(log, reader, count + 1000)
            reader.stop()
            log.stop()


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [1000, 1_000_000])
