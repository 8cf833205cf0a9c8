"""Tornado's WebSocket as a link needs it: between steps 4 and 5 of a request's way, and back. On the event loop.

What would surprise: Tornado's own loop of reading is replaced, by callbacks in the socket's own events (`streams.py`)
that cut frames by themselves (`frames.py`), and a frame is written without a future where the system takes it. Tornado
wakes a task for each, reads each in pieces, and makes a task of each that is written; all that costs more than a small
frame itself. Nor would it let the loop turn while a peer sends as fast as it is read. The handshake, what a frame says,
the answers to pings and the way to part are Tornado's. A test fails if Tornado no longer calls what is replaced here.
"""

from __future__ import annotations

import asyncio
import os
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tornado import httpclient
from tornado.httputil import HTTPHeaders
from tornado.websocket import (
    WebSocketClientConnection,
    WebSocketClosedError,
    WebSocketError,
    WebSocketHandler,
    WebSocketProtocol13,
)

from dispatcher import streams
from dispatcher.afterwards import TURN_SECONDS
from dispatcher.wire import frames, limits, masking
from dispatcher.wire.frames import FrameReader

if TYPE_CHECKING:
    from collections.abc import Callable

_CLOSE_BROKEN = 1002
_CLOSE_TOO_LONG = 1009


class LinkProtocol(WebSocketProtocol13):
    """Reads frames as they come, and writes them as they are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what Tornado's takes."""
        super().__init__(*args, **kwargs)
        masking.have_tornado_mask_quickly()
        self._frames = FrameReader(self.params.max_message_size, are_masked=not self.mask_outgoing)
        self._arrivals: streams.Arrivals | None = None
        self._is_held = False
        self._has_ended = False

    def take(self, most_bytes: int) -> None:
        """Take messages of `most_bytes` at most from now on."""
        self._frames.take(most_bytes)

    def send(self, content: bytes) -> asyncio.Future[None] | None:
        """Send a message as one frame; None where the system has taken all of it by now, else when it has.

        Raises:
            StreamClosedError: here or from the future; nobody is there to take it.
        """
        return streams.write(self.stream, frames.write(content, os.urandom(4) if self.mask_outgoing else b""))

    async def _receive_frame_loop(self) -> None:
        """Begin to read. Tornado calls this once, as a loop that ends with the link; here, what comes calls."""
        self._arrivals = streams.Arrivals(self.stream, self._arrive, self._end)
        self._arrive(self._arrivals.listen())

    def _arrive(self, came: bytes) -> None:
        self._frames.add(came)
        try:
            self._handle_frames()
        except frames.TooLongError as error:
            self._refuse(_CLOSE_TOO_LONG, str(error))
        except frames.BrokenFrameError as error:
            self._refuse(_CLOSE_BROKEN, str(error))

    def _refuse(self, code: int, why: str) -> None:
        """End the link over what came; `why` is the reason that its end is told with, here and there."""
        self.close(code, why)
        self.close_reason = f"the peer broke the protocol: {why}"
        self._abort()

    def _handle_frames(self) -> None:
        """Handle all frames that are there as a whole, unless one has others wait, or the turn is over before."""
        ends = time.monotonic() + TURN_SECONDS
        while not self.client_terminated and (frame := self._frames.next()) is not None:
            opcode, content = frame
            if opcode == frames.BINARY:
                handled = self._run_callback(self.handler.on_message, content)  # all that Tornado's does with it
            else:
                handled = self._handle_message(opcode, content)
            if handled is not None:
                self._hold()
                handled.add_done_callback(self._go_on)
                return
            if time.monotonic() > ends:
                self._hold()
                asyncio.get_running_loop().call_soon(self._let_a_turn_pass)
                return

    def _hold(self) -> None:
        """Read nothing more for a while."""
        assert self._arrivals is not None
        self._is_held = True
        self._arrivals.release()

    def _let_a_turn_pass(self) -> None:
        # Only in the next comes what was due by time, or on other sockets, when this one began.
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self, _handled: object = None) -> None:
        assert self._arrivals is not None
        self._is_held = False
        # First what is there: to read on with each turn would pile up what takes more than a turn.
        self._arrive(b"")
        if not self._is_held:
            self._arrive(self._arrivals.listen())
        if self.stream.closed():
            self._end()

    def _end(self) -> None:
        """Tell the handler that the link is gone, once, and after all that came."""
        if self._is_held or self._has_ended:
            return
        self._has_ended = True
        if not self.client_terminated:
            self._abort()
        self.handler.on_ws_connection_close(self.close_code, self.close_reason and in_one_line(self.close_reason))


def in_one_line(said: str) -> str:
    """Return what a peer said without what a log would take for the end of its line, or a terminal for a command."""
    return "".join(each if each.isprintable() else "?" for each in said)


class LinkServer(WebSocketHandler):
    """The coordinator's end."""

    def get_websocket_protocol(self) -> LinkProtocol | None:
        """Make the protocol; None for a version that Tornado does not know. Tornado calls this for each link."""
        made = super().get_websocket_protocol()
        if made is None:
            return None
        assert isinstance(made, WebSocketProtocol13)
        return LinkProtocol(self, made.mask_outgoing, made.params)

    def take(self, most_bytes: int) -> None:
        """Take messages of `most_bytes` at most from now on, if the link has not ended."""
        if isinstance(self.ws_connection, LinkProtocol):
            self.ws_connection.take(most_bytes)

    def send_frame(self, content: bytes) -> asyncio.Future[None] | None:
        """Send a frame, as `LinkProtocol.send` does. Raises `WebSocketClosedError` too, once the link ends."""
        link = self.ws_connection
        if link is None or link.is_closing():
            raise WebSocketClosedError
        assert isinstance(link, LinkProtocol)
        return link.send(content)


def _mistake(key: bytes, headers: HTTPHeaders) -> str | None:
    """Say what is wrong with the answer to a handshake with `key`, or None (RFC 6455, 4.1)."""
    if headers.get("Upgrade", "").lower() != "websocket" or headers.get("Connection", "").lower() != "upgrade":
        return "it does not upgrade to WebSocket"
    if headers.get("Sec-WebSocket-Accept") != WebSocketProtocol13.compute_accept_value(key):
        return "its Sec-WebSocket-Accept is not for the key that was sent"
    if headers.get("Sec-WebSocket-Extensions"):
        return "it wants an extension that was not offered"
    return None


class LinkClient(WebSocketClientConnection):
    """The agent's end."""

    async def headers_received(self, start_line: Any, headers: HTTPHeaders) -> None:
        """Take the answer to the handshake. Tornado calls this; of a wrong one it would say that the stream closed."""
        mistake = _mistake(self.key, headers) if start_line.code == HTTPStatus.SWITCHING_PROTOCOLS else None
        if mistake is None:
            await super().headers_received(start_line, headers)
        else:
            self.connect_future.set_exception(WebSocketError(f"a wrong answer to the handshake: {mistake}"))
            self.connection.close()

    def get_websocket_protocol(self) -> LinkProtocol:
        """Make the protocol. Tornado calls this once the coordinator has agreed."""
        return LinkProtocol(self, mask_outgoing=True, params=self.params)

    def send_frame(self, content: bytes) -> asyncio.Future[None] | None:
        """Send a frame, as `LinkProtocol.send` does. Raises `WebSocketClosedError` too, once the link ends."""
        link = self.protocol
        if link is None or link.is_closing():
            raise WebSocketClosedError
        assert isinstance(link, LinkProtocol)
        return link.send(content)


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
