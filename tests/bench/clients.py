"""Clients that cost little beside what they measure: a GET again and again over a kept connection."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)


@dataclass
class Answers:
    """The bodies, each one's seconds, and the seconds of all."""

    seconds: float = 0.0
    bodies: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)


class Client(asyncio.Protocol):
    """One connection; sends the next request when the last one is answered, for as long as `turns` has any."""

    def __init__(self, request: bytes, turns: Iterator[object], answers: Answers, done: asyncio.Future[None]) -> None:
        self._request = request
        self._turns = turns
        self._answers = answers
        self._done = done
        self._buffer = b""
        self._began = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = _LENGTH.search(head + b"\r\n")
        assert length is not None, head
        if len(body) == int(length[1]):
            self._answers.bodies.append(body)
            self._answers.times.append(time.perf_counter() - self._began)
            self._buffer = b""
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("closed by the server"))

    def _next(self) -> None:
        assert self._transport is not None
        if next(self._turns, None) is None:
            self._done.set_result(None)
            self._transport.close()
        else:
            self._began = time.perf_counter()
            self._transport.write(self._request)


async def get(port: int, path: str, count: int, width: int) -> Answers:
    """Make `count` requests over `width` connections."""
    loop = asyncio.get_running_loop()
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    turns = iter(range(1, count + 1))
    answers = Answers()
    done = [loop.create_future() for _ in range(width)]
    began = time.perf_counter()
    for each in done:
        client = Client(request, turns, answers, each)
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]  # a default
    await asyncio.gather(*done)
    answers.seconds = time.perf_counter() - began
    return answers
