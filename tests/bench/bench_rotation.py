"""What a lease and its release cost in a small pool and in a large one: ``python -m tests.bench.bench_rotation``.

A step must cost the same whatever the size. The steps are the pool's own handling of its messages, on this thread.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from dispatcher.actors.messages import ExitsChanged, LeaseEnd, LeaseExits, LeasesEnded, Outcome
from dispatcher.actors.pool import IpPool
from dispatcher.wire.messages import AddressReport, AddressState
from tests.bench.table import Row, Size, at_most, main, medians

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL, LARGE = 10, 100_000


def filled(size: int) -> IpPool:
    """Return a pool of so many exits."""
    pool = IpPool()
    connection: Any = None  # the pool only hands it out
    reports = tuple(AddressReport(f"2001:db8::{number:x}", AddressState.PREFERRED) for number in range(size))
    pool.on_receive(ExitsChanged("agent-01", connection, reports, ()))
    return pool


def nanoseconds(pool: IpPool, count: int) -> float:
    """Measure one lease and its release."""
    began = time.perf_counter_ns()
    for _ in range(count):
        (lease,) = pool.on_receive(LeaseExits())
        pool.on_receive(LeasesEnded((LeaseEnd(lease.stay, Outcome.COMPLETED),)))
    return (time.perf_counter_ns() - began) / count


def check(pool: IpPool, size: int) -> None:
    """Any `size` leases are of different exits."""
    assert size == len({lease.address for lease in pool.on_receive(LeaseExits(size))})


async def compare(size: Size) -> Row:
    """Measure the row."""
    small, large = filled(SMALL), filled(LARGE)

    async def of(pool: IpPool) -> float:
        return nanoseconds(pool, size.of(5))

    found = await medians(size.rounds, {"small": lambda: of(small), "large": lambda: of(large)})
    check(small, SMALL)
    check(large, LARGE)
    return at_most(
        1.5,
        f"lease and release, {LARGE:,} exits against {SMALL}",
        found["large"] / found["small"],
        f"{found['large']:,.0f} ns against {found['small']:,.0f} ns",
    )


def rows(size: Size) -> Iterator[Row]:
    """Compare."""
    yield asyncio.run(compare(size))


if __name__ == "__main__":
    main(rows)
