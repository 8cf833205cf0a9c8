"""A caller's connection, one request after another: before the first step of a request's way and after the last.

On the event loop. What has come is shown to the short way first; what that does not take goes to Tornado as if nobody
had looked, but not before its whole head is there: Tornado ends a connection whose head is too long without a word.
What would surprise: for that it is put back into Tornado's stream, by two of its private names, because Tornado offers
no way to look at what has come without leaving the selector. One timer a connection looks every now and then whether
it is idle, or nothing of its answer is taken, for too long; Tornado sets one for each request.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Protocol

from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.iostream import StreamClosedError, UnsatisfiableReadError

from dispatcher.web import too_large
from dispatcher.web.send_timeout import SendTimeout

if TYPE_CHECKING:
    from tornado.http1connection import HTTP1ConnectionParameters
    from tornado.httputil import HTTPServerConnectionDelegate
    from tornado.iostream import IOStream

logger = logging.getLogger(__name__)

LOOK_BYTES = 4096
"""The longest request that may take the short way. A connection remembers one, and makes room for as much when it looks
whether something has come; Tornado's 64 KiB are 1 us to clear, and out of the processor's caches goes what was there.
"""

HEAD_END = re.compile(rb"\r?\n\r?\n")
"""Where a head ends, to Tornado too."""

_LONGEST_END = 4

_NOT_TAKEN = "ended a connection of %s: it took nothing of its answer for %g s (--send-timeout)"


class Asked(Protocol):
    """A request that the short way takes: the first `size` bytes of what has come."""

    size: int

    async def answer(self, stream: IOStream) -> bool:
        """Answer it; False where the connection is not to be kept."""


class ShortWay(Protocol):
    """Knows which requests need no more than a look."""

    def look(self, arrived: bytes, last: Asked | None) -> Asked | None:
        """Return the request that `arrived` begins with, if it is one for the short way and all of it is there.

        `last` is what was asked before on the same connection.
        """


class Replies(Protocol):
    """Is told which connections wait for an answer."""

    def begun(self, connection: object) -> None:
        """A request has come."""

    def ended(self, connection: object) -> None:
        """Its answer has left, or never will. May be said twice."""


class Connection(HTTP1ServerConnection):
    """One connection. Without a `short_way` all requests are Tornado's."""

    def __init__(  # noqa: PLR0913 - what Tornado's has, and what ours is for
        self,
        stream: IOStream,
        params: HTTP1ConnectionParameters,
        context: object,
        replies: Replies,
        short_way: ShortWay | None,
        *,
        send_timeout: float,
    ) -> None:
        """Prepare; `start_serving` begins to read. A `send_timeout` of 0 seconds is none."""
        super().__init__(stream, params, context)
        self._replies = replies
        self._short_way = short_way
        self._last: Asked | None = None
        self._idle_since: float | None = None
        self._sending = SendTimeout(stream, send_timeout)
        self._timer: asyncio.TimerHandle | None = None

    async def _server_request_loop(self, delegate: HTTPServerConnectionDelegate) -> None:
        """Serve until the connection ends. Tornado calls this once, when it begins."""
        self.stream.set_nodelay(True)
        self._watch()
        try:
            while await self._serve(delegate):
                self._replies.ended(self)
        except (StreamClosedError, UnsatisfiableReadError):
            logger.debug("a caller went away")
        except asyncio.CancelledError:
            self.stream.close()
        except Exception:
            logger.exception("a connection failed")
            self.stream.close()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            delegate.on_close(self)

    async def _serve(self, delegate: HTTPServerConnectionDelegate) -> bool:
        """Serve one request; False where none follows."""
        arrived = await self._arrived()
        asked = self._look(arrived)
        if asked is not None:
            self._replies.begun(self)
            return await asked.answer(self.stream)
        if not await self._has_head(arrived):
            return False
        connection = HTTP1Connection(self.stream, False, self.params, self.context)
        self.stream.read_chunk_size = self.params.chunk_size
        is_kept = await connection.read_response(delegate.start_request(self, connection))
        # Others have their turn: what has come already is read without a pause.
        await asyncio.sleep(0)
        return is_kept

    async def _arrived(self) -> bytes:
        """Wait for something to come."""
        self._idle_since = asyncio.get_running_loop().time()
        self.stream.read_chunk_size = LOOK_BYTES
        arrived = await self.stream.read_bytes(LOOK_BYTES, partial=True)
        self._idle_since = None
        return arrived

    def _look(self, arrived: bytes) -> Asked | None:
        """Return what is asked for, if the short way takes it; what came behind it is to be read next."""
        asked = None if self._short_way is None else self._short_way.look(arrived, self._last)
        if asked is not None:
            self._last = asked
            if rest := arrived[asked.size :]:
                _put_back(self.stream, rest)
        return asked

    async def _has_head(self, arrived: bytes) -> bool:
        """Wait for the whole head, and leave it in the stream; False for one that is too long, which is answered."""
        limit = self.params.max_header_size
        head = bytearray(arrived)
        end = HEAD_END.search(head)
        if end is None:
            self._idle_since = asyncio.get_running_loop().time()
        while end is None and len(head) <= limit:
            searched = max(0, len(head) - _LONGEST_END)
            head += await self.stream.read_bytes(LOOK_BYTES, partial=True)
            end = HEAD_END.search(head, searched)
        self._idle_since = None
        if end is not None and end.end() <= limit:
            _put_back(self.stream, head)
            return True
        await too_large.answer_at_once(self.stream, too_large.problem_of_head(head, limit))
        return False

    def _watch(self) -> None:
        """Close the connection once it is idle, or nothing of its answer is taken, for too long; else look again."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        idle_end = self._idle_end(now)
        if self._sending.has_ended(now):
            logger.info(_NOT_TAKEN, self.context, self._sending.seconds)
            self.stream.close()
        elif idle_end is not None and idle_end <= now:
            self.stream.close()
        else:
            looks = [] if idle_end is None else [idle_end]
            if self._sending.seconds:
                looks.append(self._sending.next_look(now))
            if looks:
                self._timer = loop.call_at(min(looks), self._watch)

    def _idle_end(self, now: float) -> float | None:
        """Say when patience ends, at the earliest if the connection is not idle; None for never."""
        patience = self.params.header_timeout
        since = now if self._idle_since is None else self._idle_since
        return None if patience is None else since + patience


def _put_back(stream: IOStream, unread: bytes | bytearray) -> None:
    """Have the next read begin with `unread`, as if it had not been read."""
    stream._read_buffer[:0] = unread  # noqa: SLF001 (see the first lines)
    stream._read_buffer_size += len(unread)  # noqa: SLF001 (as above)
