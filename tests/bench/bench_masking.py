"""What a frame's mask costs where Tornado has none in C: ``python -m tests.bench.bench_masking``.

The contenders are Tornado's own in Python and ours, on a frame as large as links share. At 20 times the speed the
largest frame, 4 MiB, is masked within the 50 ms that nothing may hold the event loop.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from tornado import util

from dispatcher.wire import limits, masking
from tests.bench.table import Row, Size, at_least, main, medians

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Mask = Callable[[bytes, bytes], bytes]

KEY, FRAME = os.urandom(4), os.urandom(limits.SHARED_FRAME_BYTES)
THEIRS: Mask = util._websocket_mask_python


def milliseconds(mask: Mask) -> float:
    """Measure one frame."""
    began = time.perf_counter()
    mask(KEY, FRAME)
    return (time.perf_counter() - began) * 1000


async def compare(size: Size) -> Row:
    """Measure the row."""

    async def of(mask: Mask) -> float:
        return milliseconds(mask)

    found = await medians(size.rounds, {"theirs": lambda: of(THEIRS), "ours": lambda: of(masking.mask)})
    assert THEIRS(KEY, FRAME) == masking.mask(KEY, FRAME)
    return at_least(
        20,
        "masking a frame of 256 KiB without C, Tornado's time to ours",
        found["theirs"] / found["ours"],
        f"{found['theirs']:.1f} ms to {found['ours']:.2f} ms",
    )


def rows(size: Size) -> Iterator[Row]:
    """Compare."""
    yield asyncio.run(compare(size))


if __name__ == "__main__":
    main(rows)
