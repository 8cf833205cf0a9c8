"""Tornado's WebSocket as a link needs it: between steps 4 and 5 of a request's way, and back. On the event loop.

What would surprise: two methods of Tornado's are replaced. Its own reads a frame in four pieces, for which the stream
leaves and joins the selector each time; and it makes a task of each frame that is written, to raise another exception.
Both cost more than a small frame itself. Nor would it let the loop turn while a peer sends as fast as it is read. A
test fails if Tornado no longer calls what is replaced here. Its mask is replaced too where it is not in C (`masking`).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from tornado import httpclient
from tornado.httputil import HTTPHeaders
from tornado.websocket import WebSocketClientConnection, WebSocketHandler, WebSocketProtocol13

from dispatcher.wire import limits, masking

if TYPE_CHECKING:
    from collections.abc import Callable

READ_BYTES = 64 * 1024
"""What is taken from a stream on which much comes."""

LITTLE_BYTES = 4096
"""What is taken from one on which little comes: to clear 64 KiB each time cost more than to read a small frame."""

TURN_SECONDS = 0.005
"""How long frames that come one upon another may keep the loop before others get their turn."""


class LinkProtocol(WebSocketProtocol13):
    """Reads all that has come at once, and writes without a task."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what Tornado's takes."""
        super().__init__(*args, **kwargs)
        masking.have_tornado_mask_quickly()
        self._arrived = bytearray()
        self._turn_ends = 0.0

    def write_message(self, message: str | bytes | dict[str, Any], binary: bool = False) -> asyncio.Future[None]:
        """Send bytes as one frame; the future is done when all of it was handed to the system.

        Raises:
            StreamClosedError: here or from the future; nobody is there to take it.
        """
        assert binary
        assert isinstance(message, bytes)
        return self._write_frame(True, 0x2, message)

    async def _read_bytes(self, n: int) -> bytes:
        """Return the next `n` bytes. Tornado calls this for each part of a frame."""
        arrived = self._arrived
        while len(arrived) < n:
            arrived += await self._read_some()
        self._wire_bytes_in += n
        taken = bytes(arrived[:n])
        del arrived[:n]
        return taken

    async def _read_some(self) -> bytes:
        assert self.stream is not None
        reading = self.stream.read_bytes(READ_BYTES, partial=True)
        assert isinstance(reading, asyncio.Future)
        turns = not reading.done()
        if not turns and time.monotonic() > self._turn_ends:
            await asyncio.sleep(0)
            # Once more: only now comes what was due by time, or on other sockets, when the first turn began.
            await asyncio.sleep(0)
            turns = True
        try:
            came: bytes = await reading
        finally:
            del reading  # else the error of a stream that was closed would hold all that led here, and that the error
        if turns:
            self._turn_ends = time.monotonic() + TURN_SECONDS
        self.stream.read_chunk_size = LITTLE_BYTES if len(came) < LITTLE_BYTES else READ_BYTES
        return came


class LinkServer(WebSocketHandler):
    """The coordinator's end."""

    def get_websocket_protocol(self) -> LinkProtocol | None:
        """Make the protocol; None for a version that Tornado does not know. Tornado calls this for each link."""
        made = super().get_websocket_protocol()
        if made is None:
            return None
        assert isinstance(made, WebSocketProtocol13)
        return LinkProtocol(self, made.mask_outgoing, made.params)


class LinkClient(WebSocketClientConnection):
    """The agent's end."""

    def get_websocket_protocol(self) -> LinkProtocol:
        """Make the protocol. Tornado calls this once the coordinator has agreed."""
        return LinkProtocol(self, mask_outgoing=True, params=self.params)


async def connect(request: httpclient.HTTPRequest, on_frame: Callable[[str | bytes | None], None]) -> LinkClient:
    """Open a link; `on_frame` gets each frame that comes, and None when the link is gone.

    Raises:
        Exception: what Tornado's resolver, TLS and HTTP client raise; there is no link.
    """
    # As `websocket_connect` does, which takes no class of another's.
    request.headers = HTTPHeaders(request.headers)
    whole = httpclient._RequestProxy(request, httpclient.HTTPRequest._DEFAULTS)  # noqa: SLF001 (as above)
    client = LinkClient(whole, on_frame, max_message_size=limits.MAX_FRAME_BYTES)  # type: ignore[arg-type]  # it stands for one
    await client.connect_future
    return client
