"""The beginning of a connection, before its first request: its first byte tells TLS from HTTP. On the event loop.

What comes over TLS gets its handshake here. Whoever speaks the other of the two is told so in HTTP, because that is
what a person sees: a client of HTTP shows the answer, and one of TLS says "wrong version number".
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError

from dispatcher.record import dump
from dispatcher.tls import words
from dispatcher.web import problems

if TYPE_CHECKING:
    import ssl

    from tornado.iostream import IOStream

logger = logging.getLogger(__name__)

GREETING_SECONDS = 10.0
"""How long a new connection may take to its first byte and to the end of its TLS handshake."""

_TLS_HANDSHAKE = b"\x16"
"""The type of the record that a ClientHello comes in (RFC 8446, 5.1); no HTTP method begins so."""

_GOODBYE_SECONDS = 2.0
_GOODBYE_BYTES = 64 * 1024
"""How long and how far a caller that is turned away is read: closing on unread bytes would destroy the answer."""


async def greet(stream: IOStream, context: ssl.SSLContext | None, seconds: float = GREETING_SECONDS) -> IOStream | None:
    """Return the stream to speak HTTP on, over TLS where there is a `context`; None where nothing came of it.

    It may take `seconds`, and `GREETING_SECONDS` at most.
    """
    seconds = min(seconds, GREETING_SECONDS)
    peer = _name(stream.socket)
    try:
        async with asyncio.timeout(seconds):
            return await _greet(stream, context, peer)
    except TimeoutError:
        logger.debug("refused a connection of %s: it did not begin within %g s", peer, seconds)
    except (OSError, StreamClosedError) as error:
        if context is not None:
            logger.info("refused a connection of %s: %s", peer, words.of_client(error))
    close(stream)
    return None


def close(stream: IOStream) -> None:
    """Close a connection whose greeting may have ended in any way."""
    # A handshake that failed or was given up has taken the socket along, and closed it.
    if stream.socket is not None:
        stream.close()


async def _greet(stream: IOStream, context: ssl.SSLContext | None, peer: str) -> IOStream | None:
    first = await _first_byte(stream.socket)
    is_tls = first == _TLS_HANDSHAKE
    if first and is_tls and context is not None:
        return await stream.start_tls(server_side=True, ssl_options=context)
    if first and not is_tls and context is None:
        return stream
    if first:
        logger.info("refused a connection of %s: it speaks %s", peer, "TLS" if is_tls else "no TLS")
        await _turn_away(stream, words.HTTP_WANTED if is_tls else words.HTTPS_WANTED)
    stream.close()
    return None


async def _first_byte(connection: socket.socket) -> bytes:
    """Wait for the first byte and leave it where it is; nothing where the other end closed."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection)
    return connection.recv(1, socket.MSG_PEEK)


async def _turn_away(stream: IOStream, detail: str) -> None:
    body = dump(problems.Problem(400, "wrong_scheme", detail).content)
    head = (
        "HTTP/1.1 400 Bad Request\r\n"
        f"Content-Type: {problems.CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with suppress(TimeoutError, OSError, StreamClosedError):
        async with asyncio.timeout(_GOODBYE_SECONDS):
            await stream.write(head.encode("ascii") + body)
            stream.socket.shutdown(socket.SHUT_WR)
            await stream.read_bytes(_GOODBYE_BYTES)


def _name(connection: socket.socket) -> str:
    try:
        host, port = connection.getpeername()[:2]
    except OSError:
        return "a caller that has gone"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
