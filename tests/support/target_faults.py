"""The faults that a test target can commit, one function each: it gets the request and the open connection."""

from __future__ import annotations

import asyncio
import functools
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable

from tests.support.target_http import Request

Fault = Callable[[Request, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

BOMB_BYTES = 1024 * 1024 * 1024
HUGE_HEADER_BYTES = 1_000_000
DRIP_SECONDS = 0.02


async def hang(_: Request, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Never answer; end when the peer gives up."""
    await reader.read()


async def reset(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection in place of an answer."""
    handle: socket.socket = writer.get_extra_info("socket")
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def reset_in_body(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection after ten bytes of a body of 1000."""
    await close_early(request, reader, writer)
    await reset(request, reader, writer)


async def close_early(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Promise 1000 bytes, send ten, and close."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n0123456789")
    await writer.drain()


async def close_in_headers(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close in the middle of a header line."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    await writer.drain()


async def drip(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send one byte of an endless body every `DRIP_SECONDS`, until the peer is gone."""
    await _drip_after(b"HTTP/1.1 200 OK\r\n\r\n", writer)


async def drip_headers(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send an endless header, a byte every `DRIP_SECONDS`."""
    await _drip_after(b"HTTP/1.1 200 OK\r\nX-Drip: ", writer)


async def _drip_after(beginning: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(beginning)
    while not writer.is_closing():
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(DRIP_SECONDS)  # the pace is the fault; nothing waits for it


async def huge_headers(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send `HUGE_HEADER_BYTES` of headers, in lines of 1 kB."""
    line = b"X-Huge: " + b"h" * 990 + b"\r\n"
    writer.write(b"HTTP/1.1 200 OK\r\n" + line * (HUGE_HEADER_BYTES // len(line)) + b"\r\n")
    await writer.drain()


async def long_header(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send one header line of `HUGE_HEADER_BYTES`."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Long: " + b"h" * HUGE_HEADER_BYTES + b"\r\n\r\n")
    await writer.drain()


async def invalid(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say something that is not HTTP."""
    writer.write(b"220 mail.test ESMTP ready\r\n")
    await writer.drain()


async def invalid_chunks(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin a chunked body whose chunk size is no number."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n")
    await writer.drain()


async def corrupt_gzip(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Call a body gzip that is none."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip")
    await writer.drain()


async def bomb(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send `BOMB_BYTES` of zeros as gzip, about a thousandth of that on the wire."""
    packed = bomb_body()
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
    writer.write(head.encode() + packed)
    await writer.drain()


@functools.cache
def bomb_body() -> bytes:
    """Pack the bomb: one packed MiB of zeros, repeated, which is valid because each ends on a full flush."""
    block = bytes(1024 * 1024)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(BOMB_BYTES // len(block)):
        checksum = zlib.crc32(block, checksum)
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    tail = packer.flush(zlib.Z_FINISH) + struct.pack("<II", checksum, BOMB_BYTES % 2**32)
    return head + packed * (BOMB_BYTES // len(block)) + tail


BY_NAME: dict[str, Fault] = {
    "hang": hang,
    "reset": reset,
    "reset-in-body": reset_in_body,
    "close-early": close_early,
    "close-in-headers": close_in_headers,
    "drip": drip,
    "drip-headers": drip_headers,
    "huge-headers": huge_headers,
    "long-header": long_header,
    "invalid": invalid,
    "invalid-chunks": invalid_chunks,
    "corrupt-gzip": corrupt_gzip,
    "bomb": bomb,
}
