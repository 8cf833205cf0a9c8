"""Both ends of a connection for the tests of streams, plain and with TLS: the one under test, and an ordinary one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable

import pytest
import trustme
from tornado.iostream import IOStream, SSLIOStream

from dispatcher.streams import Arrivals

AUTHORITY = trustme.CA()
MUCH = bytes(range(256)) * (1 << 14)
"""4 MiB: more than the sockets of a test hold."""

_SERVER = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
AUTHORITY.issue_cert("127.0.0.1").configure_cert(_SERVER)
_CLIENT = ssl.create_default_context()
AUTHORITY.configure_trust(_CLIENT)


class Both:
    """The two ends of a connection: the one under test, and an ordinary one."""

    def __init__(self, stream: IOStream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.stream = stream
        self.reader = reader
        self.writer = writer
        self.arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.ends = 0
        self.arrivals = Arrivals(stream, self.arrived.put_nowait, self._end)

    def _end(self) -> None:
        self.ends += 1
        self.ended.set()

    def reset(self) -> None:
        """End the connection from the other side, not as one that has said all."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()

    async def take(self, size: int) -> bytes:
        taken = bytearray()
        while len(taken) < size:
            taken += await self.arrived.get()
        return bytes(taken)


def _sockets() -> tuple[socket.socket, socket.socket]:
    """Two ends that hold little, so that a peer that does not read is soon noticed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        far = socket.socket()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        far.connect(server.getsockname())
        near, _ = server.accept()
    return near, far


@contextlib.asynccontextmanager
async def plain() -> AsyncIterator[Both]:
    near, far = _sockets()
    reader, writer = await asyncio.open_connection(sock=far)
    async with _ends(Both(IOStream(near), reader, writer)) as both:
        yield both


@contextlib.asynccontextmanager
async def tls() -> AsyncIterator[Both]:
    near, far = _sockets()
    near.setblocking(False)
    wrapped = _SERVER.wrap_socket(near, server_side=True, do_handshake_on_connect=False)
    stream = SSLIOStream(wrapped)
    opening = asyncio.open_connection(sock=far, ssl=_CLIENT, server_hostname="127.0.0.1")
    (reader, writer), _ = await asyncio.gather(opening, stream.wait_for_handshake())
    async with _ends(Both(stream, reader, writer)) as both:
        yield both


@contextlib.asynccontextmanager
async def _ends(both: Both) -> AsyncIterator[Both]:
    try:
        yield both
    finally:
        both.stream.close()
        both.writer.transport.abort()


Kind = Callable[[], contextlib.AbstractAsyncContextManager[Both]]
both_kinds = pytest.mark.parametrize("kind", [plain, tls])
