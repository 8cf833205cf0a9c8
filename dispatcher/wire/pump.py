"""Sends what a channel has, one frame at a time: the one loop that steps 4 and 8 of a request's way share.

Everything that is put into the channel during one turn of the event loop leaves in one frame, because the pump sends
only afterwards, and one frame a turn. It waits for each frame to be taken before it makes the next: what is small
overtakes there. It is no task: nearly every frame is taken at once, and a task for each cost two more turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dispatcher.afterwards import Afterwards
from dispatcher.wire.channel import Channel

Write = Callable[[bytes], "asyncio.Future[None] | None"]
"""Sends a frame: None where all of it was taken by now, else a future that is done when it was."""


class Pump:
    """Writes a channel's frames with `write` until it is ended or `write` fails, which `on_error` is told."""

    def __init__(self, channel: Channel, write: Write, on_error: Callable[[Exception], None]) -> None:
        """Send nothing yet."""
        self._channel = channel
        self._write: Write | None = write
        self._on_error: Callable[[Exception], None] | None = on_error
        self._afterwards = Afterwards.here()
        self._is_sending = False
        self._flushed: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Say that the channel may have something to send."""
        if not self._is_sending and self._write is not None and not self._channel.outbox.is_empty:
            self._is_sending = True
            self._afterwards.call(self._send)

    async def flush(self) -> None:
        """Wait until all has been sent, or nothing can be sent any more."""
        if self._write is None or (not self._is_sending and self._channel.outbox.is_empty):
            return
        if self._flushed is None:
            self._flushed = asyncio.get_running_loop().create_future()
        # Shielded: whoever gives up waiting must not end the waiting of others.
        await asyncio.shield(self._flushed)

    def end(self) -> None:
        """Send no more. Lets go of what it was given too, so that no cycle of references outlives a link."""
        self._write = self._on_error = None
        self._let_go()

    def _send(self) -> None:
        if self._write is None:
            return
        try:
            frame = self._channel.outbox.next_frame()
            under_way = None if frame is None else self._write(frame)
        except Exception as error:  # noqa: BLE001 (it is told as it is)
            self._fail(error)
            return
        if under_way is not None:
            under_way.add_done_callback(self._taken)
        else:
            self._rest()
            if frame is not None:
                self.wake()

    def _taken(self, frame: asyncio.Future[None]) -> None:
        error = frame.exception()
        if isinstance(error, Exception):
            self._fail(error)
        else:
            self._rest()
            self.wake()

    def _rest(self) -> None:
        self._is_sending = False
        if self._channel.outbox.is_empty:
            self._let_go()

    def _fail(self, error: Exception) -> None:
        on_error, self._is_sending = self._on_error, False
        self.end()
        if on_error is not None:
            on_error(error)

    def _let_go(self) -> None:
        if self._flushed is not None and not self._flushed.done():
            self._flushed.set_result(None)
        self._flushed = None
