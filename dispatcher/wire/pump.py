"""Sends what a channel has, one frame at a time: the one loop that steps 4 and 8 of a request's way share.

Everything that is put into the channel during one turn of the event loop leaves in one frame, because the pump sends
only in the next turn. It waits for each frame to be taken before it makes the next: what is small overtakes there. Its
task lives only while there is something to send: of thousands of links nearly all have nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from dispatcher.wire.channel import Channel

Write = Callable[[bytes], Awaitable[None]]


class Pump:
    """Writes a channel's frames with `write` until it is ended or `write` raises, which `on_error` is told."""

    def __init__(self, channel: Channel, write: Write, on_error: Callable[[Exception], None]) -> None:
        """Send nothing yet."""
        self._channel = channel
        self._write: Write | None = write
        self._on_error: Callable[[Exception], None] | None = on_error
        self._sending: asyncio.Task[None] | None = None
        self._flushed: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Say that the channel may have something to send."""
        if self._sending is None and self._write is not None and not self._channel.outbox.is_empty:
            self._sending = asyncio.get_running_loop().create_task(self._send(self._write))

    async def flush(self) -> None:
        """Wait until all has been sent, or nothing can be sent any more."""
        if self._write is None or (self._sending is None and self._channel.outbox.is_empty):
            return
        if self._flushed is None:
            self._flushed = asyncio.get_running_loop().create_future()
        # Shielded: whoever gives up waiting must not end the waiting of others.
        await asyncio.shield(self._flushed)

    def end(self) -> None:
        """Send no more. Lets go of what it was given too, so that no cycle of references outlives a link."""
        self._write = self._on_error = None
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        self._let_go()

    async def _send(self, write: Write) -> None:
        try:
            while (frame := self._channel.outbox.next_frame()) is not None:
                await write(frame)
        except Exception as error:  # noqa: BLE001 (it is told as it is)
            self._fail(error)
            return
        self._sending = None
        if self._channel.outbox.is_empty:
            self._let_go()

    def _fail(self, error: Exception) -> None:
        on_error, self._sending = self._on_error, None
        self.end()
        if on_error is not None:
            on_error(error)

    def _let_go(self) -> None:
        if self._flushed is not None and not self._flushed.done():
            self._flushed.set_result(None)
        self._flushed = None
