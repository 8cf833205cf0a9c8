"""A TCP proxy that commits faults on the way: between agent and coordinator, monitor and coordinator, or any two.

Runs on an event loop in a thread of its own, and is steered from the test's. A `Fault` holds for every connection, the
open ones too, from the moment that it is set; `reset` and `close` end what is open. Bytes are passed on unchanged and
in order: what a fault takes away is time, the end of a stream, or all that comes after.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE_BYTES = 64 * 1024
UP_SECONDS = 10.0


@dataclass(frozen=True)
class Fault:
    """What is done to every connection; the default does nothing.

    `delay` are seconds before each piece of at most `piece` bytes. Without `reads` nothing more is taken from either
    side, so that both run full; without `delivers` all that is taken is thrown away (a black hole: both sides seem to
    be connected). After `cut_after` more bytes, both ways together, a connection is closed in the middle of whatever
    it carried. `passes` is whether new connections get through: the others are closed at once.
    """

    delay: float = 0.0
    piece: int = PIECE_BYTES
    reads: bool = True
    delivers: bool = True
    cut_after: int | None = None
    passes: bool = True


NONE = Fault()


class FaultProxy:
    """A proxy on a free port of 127.0.0.1 to `host`:`port`, up while its context lasts."""

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.connections = 0
        """How many have been let through."""
        self._upstream = host, port
        self._fault = NONE
        self._left = 0
        self._changed = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fault proxy")
        self._up, self._stop = threading.Event(), asyncio.Event()

    @property
    def url(self) -> str:
        """Where clients connect in place of the upstream."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(UP_SECONDS), "the proxy does not listen"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(UP_SECONDS)

    def commit(self, fault: Fault) -> None:
        """Commit a fault from now on."""
        self._do(lambda: self._set(fault))

    def heal(self) -> None:
        """Pass everything on again."""
        self.commit(NONE)

    def reset(self) -> None:
        """End every open connection with an RST on both sides."""
        self._do(self._reset)

    def _do(self, action: Callable[[], None]) -> None:
        done = threading.Event()

        def act() -> None:
            action()
            done.set()

        self._loop.call_soon_threadsafe(act)
        assert done.wait(UP_SECONDS), "the proxy does not turn"

    def _set(self, fault: Fault) -> None:
        self._fault = fault
        self._left = fault.cut_after or 0
        self._changed.set()
        self._changed = asyncio.Event()

    def _reset(self) -> None:
        for writer in self._writers:
            handle: socket.socket = writer.get_extra_info("socket")
            if handle.fileno() >= 0:  # one whose peer has just gone may be closed already
                handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, limit=PIECE_BYTES)
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        await self._stop.wait()
        server.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            # Cancelled by the end of the proxy alone, and then nobody waits to hear of it.
            with contextlib.suppress(asyncio.CancelledError):
                if self._fault.passes:
                    await self._join(reader, writer)
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await self._until(lambda fault: fault.delivers)
            far_reader, far_writer = await asyncio.open_connection(*self._upstream, limit=PIECE_BYTES)
            self._writers.add(far_writer)
            self.connections += 1
            try:
                ways = (self._pass(reader, far_writer), self._pass(far_reader, writer))
                tasks = [asyncio.create_task(way) for way in ways]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            finally:
                self._writers.discard(far_writer)
                far_writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await self._pass_piece(reader, writer):
                pass

    async def _pass_piece(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Pass on what comes next; False where this way of the connection has ended."""
        await self._until(lambda fault: fault.reads)
        piece = await reader.read(self._fault.piece)
        await self._until(lambda fault: fault.reads)
        if not self._fault.delivers:
            await self._swallow(reader)
            return False
        if self._fault.delay:
            await asyncio.sleep(self._fault.delay)  # the pace is the fault; nothing waits for it
        if self._fault.cut_after is not None:
            piece, self._left = piece[: self._left], max(0, self._left - len(piece))
        writer.write(piece)
        await writer.drain()
        return bool(piece) and (self._fault.cut_after is None or self._left > 0)

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        """Throw away what comes until the fault is over; a connection that lost bytes then has to end."""
        dropping = asyncio.create_task(self._drop(reader))
        try:
            await self._until(lambda fault: fault.delivers)
        finally:
            dropping.cancel()

    async def _drop(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(PIECE_BYTES):
                pass

    async def _until(self, holds: Callable[[Fault], bool]) -> None:
        while not holds(self._fault):
            await self._changed.wait()
