"""Sends what a channel has, one frame at a time: the one loop that steps 4 and 8 of a request's way share.

Everything that is put into the channel during one turn of the event loop leaves in one frame, because the pump wakes
only in the next turn. It waits for each frame to be taken before it makes the next: what is small overtakes there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from dispatcher.wire.channel import Channel


class Pump:
    """Writes a channel's frames with `write`, in a task of its own, until it is cancelled or `write` raises."""

    def __init__(self, channel: Channel, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Prepare to send; `run` does it."""
        self._channel = channel
        self._write = write
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_over = False

    def wake(self) -> None:
        """Say that the channel may have something to send."""
        if not self._is_over:
            self._wanted.set()
            self._idle.clear()

    async def flush(self) -> None:
        """Wait until all has been sent, or nothing can be sent any more."""
        await self._idle.wait()

    async def run(self) -> None:
        """Send for ever."""
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                while (frame := self._channel.outbox.next_frame()) is not None:
                    await self._write(frame)
                if self._channel.outbox.is_empty:
                    self._idle.set()
        finally:
            self._is_over = True
            self._idle.set()
