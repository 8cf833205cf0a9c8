"""Writes a record to the caller: the last step of a request's way. A large body goes out piece by piece.

Encoding 50 MB of base64 at once would hold the event loop for far longer than 50 ms, so a body over `PIECE_BYTES` is
encoded a piece a turn, and the next piece waits until the caller has taken the one before.
"""

from __future__ import annotations

import asyncio
import base64
import codecs
import json
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from dispatcher.record import JsonObject, dump

if TYPE_CHECKING:
    from dispatcher.record import Record

PIECE_BYTES = 3 * 64 * 1024
"""A piece of a body; a multiple of 3, so that pieces of base64 join without padding."""


class Sink(Protocol):
    """What takes an answer, such as a handler."""

    def write(self, chunk: bytes) -> None:
        """Put a piece among those that leave next."""

    async def flush_in_turns(self) -> None:
        """Send what was written, and let the loop turn."""


async def write(handler: Sink, record: Record, *, beginning: bytes = b"{") -> None:
    """Write the whole record; `beginning` is its brace, and members (JSON, with their commas) before its own."""
    if (whole := in_one_piece(record, beginning)) is not None:
        handler.write(whole)
        return
    is_text = await _is_text(record.body, is_cut=_is_truncated(record))
    place = secrets.token_hex(16)
    body: JsonObject = {
        "encoding": "utf-8" if is_text else "base64",
        "data": place,
        "size": record.response.body_size if record.response is not None else 0,
        "truncated": _is_truncated(record),
    }
    head, tail = dump(record.as_json(body)).split(place.encode(), 1)
    handler.write(beginning + head[1:])
    for piece in _text_pieces(record.body) if is_text else _base64_pieces(record.body):
        handler.write(piece)
        await handler.flush_in_turns()
    handler.write(tail)


def in_one_piece(record: Record, beginning: bytes = b"{") -> bytes | None:
    """Return all that `write` would write; None where that is too much to be written at once."""
    return beginning + record.to_json_bytes()[1:] if len(record.body) <= PIECE_BYTES else None


def in_problem(record: Record) -> JsonObject:
    """Return a record as a member of a problem; where it has a body, the first piece of it."""
    return record.with_body(PIECE_BYTES)


def _is_truncated(record: Record) -> bool:
    return record.response is not None and record.response.truncated


def _slices(body: bytes) -> Iterator[memoryview]:
    view = memoryview(body)
    for start in range(0, len(view), PIECE_BYTES):
        yield view[start : start + PIECE_BYTES]


async def _is_text(body: bytes, *, is_cut: bool) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for piece in _slices(body):
            decoder.decode(piece)
            await asyncio.sleep(0)
        decoder.decode(b"", final=not is_cut)
    except UnicodeDecodeError:
        return False
    return True


def _text_pieces(body: bytes) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for piece in _slices(body):
        yield json.dumps(decoder.decode(piece), ensure_ascii=False)[1:-1].encode("utf-8")


def _base64_pieces(body: bytes) -> Iterator[bytes]:
    for piece in _slices(body):
        yield base64.b64encode(piece)
