"""A request over a limit: step 1 of its way ends here, with an answer that its sender gets to read.

Whoever closes a connection with unread data resets it, and the sender never sees the answer. So what is far too
large is answered at once, while it still comes, and what comes is thrown away until its sender has seen enough.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError

from dispatcher.web import problems
from dispatcher.web.problems import Problem

if TYPE_CHECKING:
    from tornado.iostream import IOStream

NO_LIMIT = 2**62
"""For Tornado's own limit, which would end the connection without an answer."""

LINGER_SECONDS = 10.0
"""How long what still comes is thrown away after the answer."""

_DISCARD_BYTES = 64 * 1024


def problem(limit: int) -> Problem:
    """Make the answer to a body of more than `limit` bytes."""
    return Problem(413, "too_large", f"the body has more than the {limit} bytes allowed (--max-request-bytes)")


def problem_of_head(begun: bytes | bytearray, limit: int) -> Problem:
    """Make the answer to a head of more than `limit` bytes, of which as many have come and more."""
    if b"\n" not in begun[:limit]:
        return Problem(414, "uri_too_long", f"the first line of the request has more than the {limit} bytes allowed")
    detail = f"the head of the request has more than the {limit} bytes allowed"
    return Problem(431, "head_too_large", detail)


async def answer_at_once(stream: IOStream, answer: Problem) -> None:
    """Answer before the request has come, throw away what still comes for a while, and close the connection."""
    with contextlib.suppress(StreamClosedError, TimeoutError, OSError):
        async with asyncio.timeout(LINGER_SECONDS):
            await stream.write(problems.as_response(answer))
            # Whoever reads to the end of the answer sees it now, and closes.
            stream.socket.shutdown(socket.SHUT_WR)
            while True:
                await stream.read_bytes(_DISCARD_BYTES, partial=True)
                # What has come already is read without waiting: a fast sender would hold the loop.
                await asyncio.sleep(0)
    stream.close()
