"""What a lease and a change cost in a small pool and in a large one: ``python -m tests.bench.bench_rotation``.

A step must cost the same whatever the size; each line ends with the ratio.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from dispatcher.actors.rotation import Rotation, Tier

SMALL, LARGE = 10, 100_000
STEPS = 200_000


def filled(size: int) -> Rotation[int]:
    rotation: Rotation[int] = Rotation()
    for key in range(size):
        rotation.put(key, Tier.FIRST)
    return rotation


def lease(rotation: Rotation[int], _size: int) -> None:
    rotation.lease()


def come_and_go(rotation: Rotation[int], size: int) -> None:
    rotation.put(size, Tier.FIRST)
    rotation.remove(size)


def nanoseconds(step: Callable[[Rotation[int], int], None], size: int) -> float:
    """Measure one step, the best of five rounds."""
    rotation = filled(size)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter_ns()
        for _ in range(STEPS):
            step(rotation, size)
        best = min(best, (time.perf_counter_ns() - start) / STEPS)
    return best


def main() -> None:
    for step in (lease, come_and_go):
        small, large = nanoseconds(step, SMALL), nanoseconds(step, LARGE)
        line = (
            f"{step.__name__}: {small:.0f} ns of {SMALL} keys, {large:.0f} ns of {LARGE}, {large / small:.2f} times\n"
        )
        sys.stdout.write(line)


if __name__ == "__main__":
    main()
