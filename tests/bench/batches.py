"""A reader of a batch that costs little beside what it measures: the bytes are kept and looked at afterwards."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

_END = b"\r\n0\r\n\r\n"
"""The last chunk. It stands nowhere before: JSON has no line break but the one behind each line."""


@dataclass
class Lines:
    """The lines of a batch's answer, the summary last, and the seconds that it took."""

    seconds: float
    records: list[bytes]
    summary: dict[str, Any]


class _Reader(asyncio.Protocol):
    """Reads a chunked answer to its end; keeps all of it, or of what has come only as much as a summary needs."""

    TAIL_BYTES = 64 * 1024

    def __init__(self, request: bytes, done: asyncio.Future[bytes], *, keeps_all: bool) -> None:
        self._request = request
        self._done = done
        self._keeps_all = keeps_all
        self._parts = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parts += data
        if self._parts.endswith(_END) and not self._done.done():
            self._done.set_result(bytes(self._parts))
        elif not self._keeps_all:
            del self._parts[: -self.TAIL_BYTES]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError(f"closed by the server: {bytes(self._parts[-500:])!r}"))


async def batch(port: int, content: dict[str, Any], *, keeps_all: bool = True) -> Lines:
    """Execute a batch; without `keeps_all` only its summary is kept."""
    body = json.dumps(content).encode()
    head = f"POST /api/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    request = f"{head}Content-Type: application/json\r\n\r\n".encode() + body
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bytes] = loop.create_future()
    began = time.perf_counter()
    transport, _ = await loop.create_connection(lambda: _Reader(request, done, keeps_all=keeps_all), "127.0.0.1", port)
    answer = await done
    seconds = time.perf_counter() - began
    transport.close()
    lines = _lines(answer) if keeps_all else [answer[answer.rindex(b'{"summary"') : answer.rindex(b"\n\r\n0\r\n")]]
    return Lines(seconds, lines[:-1], json.loads(lines[-1])["summary"])


def _lines(answer: bytes) -> list[bytes]:
    head, _, chunks = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), answer[:2000]
    found, place = [], 0
    while size := int(chunks[place : (end := chunks.index(b"\r\n", place))], 16):
        found.append(chunks[end + 2 : end + 2 + size])
        place = end + 2 + size + 2
    return b"".join(found).splitlines()
