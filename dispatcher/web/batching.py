"""The answer of a batch: a line for each execution as it ends, and a summary. The last step of many requests' ways.

Runs on the event loop. What would surprise: the answer is 200 before the first execution has ended, so what goes wrong
later is told by the lines, and why a batch ended early by the summary. What ended in one turn of the loop goes out
together, and the batch hears of it when the caller has taken it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.record import dump
from dispatcher.web import record_writer
from dispatcher.web.operations import LINES

if TYPE_CHECKING:
    from dispatcher.batch import Batch, Finished
    from dispatcher.web.base import BaseHandler

LINES_BYTES = 256 * 1024
"""Lines go out together up to this size; writing as much takes the loop a millisecond."""


async def answer(handler: BaseHandler, batch: Batch) -> None:
    """Write all that a batch has to tell, as fast as the caller reads.

    Raises:
        StreamClosedError: the caller went away.
    """
    handler.set_header("Content-Type", LINES)
    await handler.flush()
    while finished := await batch.take():
        await _write(handler, batch, finished)
    handler.write(dump({"summary": batch.tally.as_json(batch.count, batch.stopped)}) + b"\n")


async def _write(handler: BaseHandler, batch: Batch, finished: list[Finished]) -> None:
    lines: list[bytes] = []
    written: list[Finished] = []
    size = 0
    for each in finished:
        line = record_writer.in_one_piece(each.record, _beginning(each))
        if line is None:
            await _send(handler, batch, lines, written)
            await record_writer.write(handler, each.record, beginning=_beginning(each))
            line, size = b"", LINES_BYTES
        lines += (line, b"\n")
        written.append(each)
        size += len(line)
        if size >= LINES_BYTES:
            await _send(handler, batch, lines, written)
            size = 0
    await _send(handler, batch, lines, written)


async def _send(handler: BaseHandler, batch: Batch, lines: list[bytes], written: list[Finished]) -> None:
    """Send these lines together, tell the batch that they were taken, and leave both lists empty."""
    if not lines:
        return
    handler.write(b"".join(lines))
    lines.clear()
    await handler.flush_in_turns()
    batch.delivered(written)
    written.clear()


def _beginning(finished: Finished) -> bytes:
    """Return the members of a line that stand before those of its record."""
    if finished.unrecorded:
        return b'{"sequence":%d,"unrecorded":%b,' % (finished.sequence, dump(finished.unrecorded))
    return b'{"sequence":%d,' % finished.sequence
