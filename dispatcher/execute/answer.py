"""One `POST /api/execute` of the shell's, and its answer piece by piece. Runs on the command's event loop.

Before step 1 of a request's way and behind its end. What would surprise: the answer is read no faster than it is taken
here, since that is what slows the coordinator down where the shell's own reader is slow.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from dispatcher.monitor import feed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dispatcher.access import Access

PIECES = 4
"""Pieces of the answer, of 64 KiB each, that wait to be taken."""

_NO_LIMIT = 2**62  # of an answer that is read piece by piece


class Answer:
    """The answer to `content`, which is sent when the first piece is asked for. `status` is 0 until it has come."""

    def __init__(self, access: Access, content: dict[str, Any]) -> None:
        """Prepare to send; proxies from the environment are not used."""
        self.status = 0
        self._access = access
        self._content = content
        self._client = SimpleAsyncHTTPClient(force_instance=True, max_body_size=_NO_LIMIT)
        self._is_wanted = True
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(PIECES)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes.

        Raises:
            UnreachableError: no coordinator answers there, or it went away in mid-answer.
        """
        fetching = asyncio.create_task(self._fetch())
        try:
            while (piece := await self._pieces.get()) is not None:
                yield piece
            await fetching
        except (HTTPClientError, OSError, StreamClosedError, ValueError) as error:
            raise feed.UnreachableError(f"{self._access.url} {self._what_happened}: {feed.reason(error)}") from error
        finally:
            fetching.cancel()
            self._client.close()
            await self._let_go()

    @property
    def _what_happened(self) -> str:
        return "went away before its answer ended" if self.status else "does not answer"

    async def _let_go(self) -> None:
        """Let the connection out of its wait for room: it ends with the loop, and Tornado logs what ends in a call."""
        self._is_wanted = False
        while not self._pieces.empty():
            self._pieces.get_nowait()
        await asyncio.sleep(0)

    async def _take(self, piece: bytes) -> None:
        if self._is_wanted:
            await self._pieces.put(piece)

    async def _fetch(self) -> None:
        request = HTTPRequest(
            f"{self._access.url}/api/execute",
            "POST",
            {"Content-Type": "application/json"},
            json.dumps(self._content),
            connect_timeout=feed.CONNECT_SECONDS,
            request_timeout=0,
            header_callback=self._take_header,
            streaming_callback=self._take,  # what it returns is awaited
        )
        try:
            fetching = self._client.fetch(await self._access.prepare(request), raise_error=False)
            # Whoever stops reading never hears how the connection ended; Python would complain of that on stderr.
            fetching.add_done_callback(lambda done: done.cancelled() or done.exception())
            response = await asyncio.shield(fetching)  # and Tornado of a fetch that was cancelled
            if response.error is not None and response.code == 599:
                raise response.error
        finally:
            await self._pieces.put(None)

    def _take_header(self, line: str) -> None:
        if line.startswith("HTTP/"):
            self.status = int(line.split()[1])
