"""What the tests of a caller's connection share: a short way that does as it is told, and both ends of a connection."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from dispatcher.web.server import Server

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tornado.iostream import IOStream

    from dispatcher.web.asked import Asked, Caller

MUCH = b"x" * 40_000_000
"""More than the systems of both ends take of what nobody reads."""


class Said:
    """`say WORD.`, which is answered with the word once it is let go; in pieces where it is `slow`."""

    def __init__(self, way: Way, word: bytes) -> None:
        self._way = way
        self._word = word
        self._caller: Caller | None = None
        self.size = len(b"say .") + len(word)
        self.is_last = word == b"bye"

    def begin(self, caller: Caller) -> None:
        self._caller = caller
        self._way.begun.append(self._word)
        if self._word == b"early fault":
            raise ZeroDivisionError
        if self._way.is_held:
            self._way.waiting.append(self)
        else:
            caller.take_answer()

    def let_go(self) -> None:
        if self._caller is not None:
            self._caller.take_answer()

    def answer(self) -> bytes | Callable[[IOStream], Awaitable[None]]:
        if self._word == b"fault":
            raise ZeroDivisionError
        if self._word in (b"slow", b"slow fault"):
            return self._write
        return (MUCH if self._word == b"much" else self._word) + b"\n"

    async def _write(self, stream: IOStream) -> None:
        for letter in b"slow":
            await stream.write(bytes([letter]))
            await asyncio.sleep(0)
        if self._word == b"slow fault":
            raise ZeroDivisionError
        await stream.write(b"\n")

    def end(self) -> None:
        self._caller = None
        self._way.ended.append(self._word)


class Way:
    """A short way for whoever says something."""

    def __init__(self) -> None:
        self.is_held = False
        self.begun: list[bytes] = []
        self.waiting: list[Said] = []
        self.ended: list[bytes] = []
        self.lasts: list[Asked | None] = []

    async def begins(self, word: bytes) -> None:
        """Wait until this is asked."""
        while word not in self.begun:  # noqa: ASYNC110 (nobody is told; the test's own deadline bounds it)
            await asyncio.sleep(0)

    def let_go(self) -> None:
        """Answer what waits, and all that comes."""
        self.is_held = False
        for said in self.waiting:
            said.let_go()

    def look(self, arrived: bytes, last: Asked | None) -> Said | None:
        self.lasts.append(last)
        word, end, _ = arrived.removeprefix(b"say ").partition(b".")
        return Said(self, word) if arrived.startswith(b"say ") and end else None


class Size(RequestHandler):
    """Answers with the size of what was sent, or with much."""

    def get(self) -> None:
        self.write(MUCH)

    def post(self) -> None:
        self.write(f"{len(self.request.body)} bytes\n")


@contextlib.asynccontextmanager
async def talking(
    context: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[tuple[Server, Way, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A server, its short way, and both ends of a connection to it, over TLS where there is a `context`."""
    way = Way()
    server = Server(Application([("/", Size)], log_function=lambda _: None), short_way=way, **options)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    port = sockets[0].getsockname()[1]
    name = None if context is None else "localhost"
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    try:
        yield server, way, reader, writer
    finally:
        writer.close()
        server.stop()
        await server.close_all_connections()


async def server_forgets(server: Server) -> None:
    """Wait until the server has seen its one connection begin and end."""
    await server_knows(server)
    while server._connections:  # noqa: ASYNC110 (nobody is told; the test's own deadline bounds it)
        await asyncio.sleep(0)


async def server_knows(server: Server) -> None:
    """Wait until the server has seen its one connection begin."""
    while not server._connections:  # noqa: ASYNC110 (as above)
        await asyncio.sleep(0)


def post(size: int) -> bytes:
    """A request that is Tornado's."""
    return b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % size + b"say x." * (size // 6)
