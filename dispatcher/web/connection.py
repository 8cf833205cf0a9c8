"""A caller's connection, one request after another: before the first step of a request's way and after the last.

On the event loop. What has come is shown to the short way in the socket's own event, and a request that it takes is
begun there and then; its answer is written in the call that tells of its end: no task, no future, no turn of the loop.
What the short way does not take goes to Tornado, in a task, as if nobody had looked, but not before its whole head is
there: Tornado ends a connection whose head is too long without a word. What would surprise: what comes while an answer
is awaited is read once more, since that is how a caller that goes away is noticed, and then left to the system until
nearly all of it is served.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import time
from typing import TYPE_CHECKING, Protocol

from tornado.http1connection import HTTP1ServerConnection
from tornado.iostream import StreamClosedError, UnsatisfiableReadError

from dispatcher import streams
from dispatcher.afterwards import Afterwards
from dispatcher.web import too_large
from dispatcher.web.framing import Exchange, MalformedError, problem_of
from dispatcher.web.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tornado.http1connection import HTTP1ConnectionParameters
    from tornado.httputil import HTTPServerConnectionDelegate
    from tornado.iostream import IOStream

    from dispatcher.web.asked import Asked, ShortWay

logger = logging.getLogger(__name__)

LOOK_BYTES = 4096
"""The longest request that may take the short way. A connection remembers one."""

HEAD_END = re.compile(rb"\r?\n\r?\n")
"""Where a head ends, to Tornado too."""

_LONGEST_END = 4


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
        self._afterwards = Afterwards.here()
        self._replies = replies
        self._short_way = short_way
        self._arrivals = streams.Arrivals(stream, self._hear, self._hear_end)
        self._delegate: HTTPServerConnectionDelegate | None = None
        self._last: Asked | None = None
        self._asked: Asked | None = None
        self._unread = b""
        self._is_held = False
        self._task: asyncio.Task[None] | None = None
        self._patience = Patience(stream, context, params.header_timeout, send_timeout)

    def start_serving(self, delegate: HTTPServerConnectionDelegate) -> None:
        """Serve until the connection ends, and tell `delegate` so. Tornado's server calls this once."""
        self._delegate = delegate
        self.stream.set_nodelay(True)
        self._patience.watch()
        self._go_on()

    async def close(self) -> None:
        """Close the connection; by the return it has ended. Tornado's server calls this when it closes all."""
        self.stream.close()
        if self._task is not None:
            await asyncio.wait([self._task])
        self._end()

    # What has come

    def _go_on(self) -> None:
        """Serve what has come already, or wait for something to come."""
        if self.stream.closed():
            self._end()
            return
        self._is_held = False
        arrived, self._unread = self._unread + self._arrivals.take(), b""
        if len(arrived) <= LOOK_BYTES:
            # Else a little more would be read with each request of one who sends more than it waits for.
            self._arrivals.listen()
        if arrived:
            self._hear(arrived)
        else:
            self._patience.idle_since = time.monotonic()

    def _hear(self, arrived: bytes) -> None:
        """Serve the request that has begun to come; what comes before the last one is answered is left for later."""
        if self._asked is not None or self._is_held:
            # No more than this: the system keeps the rest, and the caller has to wait.
            self._is_held = True
            self._arrivals.release(self._unread + arrived)
            self._unread = b""
            return
        try:
            with self._afterwards:
                self._serve(arrived)
        except Exception as error:  # noqa: BLE001 (it is logged)
            self._fail(error)

    def _serve(self, arrived: bytes) -> None:
        self._patience.idle_since = None
        asked = None if self._short_way is None else self._short_way.look(arrived[:LOOK_BYTES], self._last)
        if asked is None:
            self._arrivals.release()
            self._do_apart(functools.partial(self._serve_by_tornado, arrived))
            return
        self._asked = self._last = asked
        if len(arrived) > asked.size:
            self._hold(arrived[asked.size :])
        self._replies.begun(self)
        asked.begin(self)

    def _hold(self, rest: bytes) -> None:
        """Keep what came behind a request until that is answered; where it is much, nothing more is read until then."""
        self._is_held = True
        if len(rest) <= LOOK_BYTES:
            self._unread = rest
        else:
            self._arrivals.release(rest)

    # The answer of the short way

    def take_answer(self) -> None:
        """Write the answer to the request under way, which says that it is there."""
        asked = self._asked
        if asked is None:
            return  # there was a fault, and the connection ends
        try:
            answer = asked.answer()
            if not isinstance(answer, bytes):
                self._do_apart(functools.partial(self._write_in_pieces, answer))
                return
            leaving = streams.write(self.stream, answer)
        except StreamClosedError:
            return  # it is told in the next turn
        except Exception as error:  # noqa: BLE001 (it is logged)
            self._fail(error)
            return
        if leaving is None:
            self._has_left()
        else:
            self._do_apart(functools.partial(self._wait_until_it_has_left, leaving))

    def end_access(self) -> None:
        """End at once: the token was revoked. The gate calls this."""
        self.stream.close()

    async def _write_in_pieces(self, write: Callable[[IOStream], Awaitable[None]]) -> None:
        await write(self.stream)
        self._has_left()

    async def _wait_until_it_has_left(self, leaving: asyncio.Future[None]) -> None:
        await leaving
        self._has_left()

    def _has_left(self) -> None:
        """The answer has left: wait for the next request, or have it served in a turn of its own."""
        asked, self._asked = self._asked, None
        assert asked is not None
        asked.end()
        self._replies.ended(self)
        if asked.is_last:
            self.stream.close()
        elif self._is_held:
            asyncio.get_running_loop().call_soon(self._go_on)
        else:
            self._patience.idle_since = time.monotonic()

    # What Tornado serves

    async def _serve_by_tornado(self, arrived: bytes) -> None:
        if not await self._has_head(arrived):
            self._end()
            return
        assert self._delegate is not None
        exchange = Exchange(self.stream, False, self.params, self.context)
        self.stream.read_chunk_size = self.params.chunk_size
        try:
            is_kept = await exchange.read_response(self._delegate.start_request(self, exchange))
        except MalformedError as error:
            await too_large.answer_at_once(self.stream, problem_of(error))
            is_kept = False
        if not is_kept:
            self._end()
            return
        self._replies.ended(self)
        # Others have their turn: what has come already is served without a pause.
        await asyncio.sleep(0)
        self._go_on()

    async def _has_head(self, arrived: bytes) -> bool:
        """Wait for the whole head, and leave it in the stream; False for one that is too long, which is answered."""
        limit = self.params.max_header_size
        head = bytearray(arrived)
        end = HEAD_END.search(head)
        if end is None:
            self._patience.idle_since = time.monotonic()
        self.stream.read_chunk_size = LOOK_BYTES
        while end is None and len(head) <= limit:
            searched = max(0, len(head) - _LONGEST_END)
            head += await self.stream.read_bytes(LOOK_BYTES, partial=True)
            end = HEAD_END.search(head, searched)
        self._patience.idle_since = None
        if end is not None and end.end() <= limit:
            self._arrivals.release(head)
            return True
        await too_large.answer_at_once(self.stream, too_large.problem_of_head(head, limit))
        return False

    # What takes more than a call, and the end

    def _do_apart(self, work: Callable[[], Awaitable[None]]) -> None:
        self._task = asyncio.get_running_loop().create_task(self._apart(work))

    async def _apart(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work`, which says itself how to go on; the connection ends where it does not come to that."""
        try:
            await work()
        except (StreamClosedError, UnsatisfiableReadError):
            logger.debug("a caller went away")
            self._end()
        except asyncio.CancelledError:
            self.stream.close()
            self._end()
        except Exception as error:  # noqa: BLE001 (it is logged)
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """End over a fault that nobody foresaw."""
        logger.error("a connection failed", exc_info=error)
        self.stream.close()
        self._end()

    def _hear_end(self) -> None:
        """The stream was closed, by either side. Whatever is done apart ends by itself then."""
        if self._task is None or self._task.done():
            logger.debug("a caller went away")
            self._end()

    def _end(self) -> None:
        """Be no connection of the server's any more; the stream may be that of a WebSocket now. May be said twice."""
        delegate, self._delegate = self._delegate, None
        if delegate is None:
            return
        self._patience.end()
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.end()
        del self._arrivals  # which knows this connection: no cycle of references is to outlive it
        delegate.on_close(self)
