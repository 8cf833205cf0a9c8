"""The coordinator's HTTP server: around the first and the last step of a request's way, on the event loop.

Tornado's own cuts whatever is being written when it closes its connections. This one can be asked to wait until the
replies under way have left: a reply has when its connection comes for the next request, or closes.
TLS is not Tornado's either: each connection is greeted first (`greeting.py`), with the certificates of that moment.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from tornado.httpserver import HTTPServer, _HTTPRequestContext
from tornado.httputil import HTTPMessageDelegate
from tornado.iostream import StreamClosedError

from dispatcher.web import problems
from dispatcher.web.callers import MAX_CONNECTIONS, Callers
from dispatcher.web.connection import Connection
from dispatcher.web.greeting import GREETING_SECONDS, close, greet
from dispatcher.web.turnstile import Turnstile

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Coroutine

    from tornado.httputil import HTTPConnection, HTTPHeaders, RequestStartLine, ResponseStartLine
    from tornado.iostream import IOStream

    from dispatcher.tls.reload import Certificates
    from dispatcher.web.asked import ShortWay
    from dispatcher.web.callers import Place
    from dispatcher.web.problems import Problem

logger = logging.getLogger(__name__)

SEND_SECONDS = 60.0
"""How long a caller may take nothing of its answer; nginx waits as long."""

_TURNED_AWAY_AT_ONCE = 64
"""How many connections over the limit are told so; what is beyond that is closed without a word."""

_TURN_AWAY_SECONDS = 2.0
_READ_BYTES = 64 * 1024
"""How long and how far a connection over the limit is read before it is told."""


class Server(HTTPServer):
    """An HTTP server that knows which requests are not answered to the end."""

    def initialize(
        self,
        *args: Any,
        certificates: Certificates | None = None,
        max_connections: int = MAX_CONNECTIONS,
        max_connections_per_client: int = 0,
        short_way: ShortWay | None = None,
        send_timeout: float = SEND_SECONDS,
        **kwargs: Any,
    ) -> None:
        """Take what `HTTPServer` takes; with `certificates` it speaks TLS, and nothing else. See `Callers` for limits.

        What the `short_way` takes passes by the application. A `send_timeout` of 0 is none.
        """
        super().initialize(*args, **kwargs)
        self._certificates = certificates
        self._callers = Callers(max_connections, max_connections_per_client)
        self._short_way = short_way
        self._send_timeout = send_timeout
        self._turnstile = Turnstile()
        self._greetings: set[asyncio.Task[None]] = set()
        self._turned_away: set[asyncio.Task[None]] = set()
        self._replies: dict[object, asyncio.Future[None] | None] = {}

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Greet a connection, or say that there are too many; Tornado calls this for each that it accepted."""
        host = str(address[0])
        refusal = self._callers.refusal(host)
        if refusal is None:
            place = self._callers.enter(host)
            greeting = _begin(self._greet(stream, address, place), self._greetings, stream)
            greeting.add_done_callback(place.leave_unless_held)
        elif len(self._turned_away) < _TURNED_AWAY_AT_ONCE:
            _begin(self._turn_away(stream, refusal), self._turned_away, stream)
        else:
            stream.close()

    async def _greet(self, stream: IOStream, address: tuple[Any, ...], place: Place) -> None:
        try:
            greeted = await greet(stream, self._context, self.conn_params.header_timeout or GREETING_SECONDS)
            if greeted is None:
                return
            stream = greeted
            place.hold_while_open(stream)
            await self._turnstile.pass_through()
        except asyncio.CancelledError:
            close(stream)
            raise
        context = _HTTPRequestContext(stream, address, self.protocol, self.trusted_downstream)
        connection = Connection(
            stream, self.conn_params, context, self, self._short_way, send_timeout=self._send_timeout
        )
        self._connections.add(connection)
        connection.start_serving(self)

    async def _turn_away(self, stream: IOStream, refusal: Problem) -> None:
        """Answer a connection that is one too many, and close it."""
        try:
            async with asyncio.timeout(_TURN_AWAY_SECONDS):
                greeted = await greet(stream, self._context)
                if greeted is None:
                    return
                stream = greeted
                # Whoever closes with unread data resets the connection, and its other end never sees the answer.
                await stream.read_bytes(_READ_BYTES, partial=True)
                await stream.write(problems.as_response(refusal))
        except (StreamClosedError, TimeoutError):
            logger.debug("a connection that was one too many did not wait to be told")
        finally:
            close(stream)

    @property
    def _context(self) -> ssl.SSLContext | None:
        return None if self._certificates is None else self._certificates.context

    async def close_all_connections(self) -> None:
        """Close what is open, the connections that have said nothing yet too."""
        greetings = [*self._greetings, *self._turned_away]
        for task in greetings:
            task.cancel()
        await asyncio.gather(*greetings, return_exceptions=True)
        await super().close_all_connections()

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Watch a request; Tornado calls this before it reads one."""
        return _Watched(super().start_request(server_conn, request_conn), lambda: self.begun(server_conn))

    def on_close(self, server_conn: object) -> None:
        """Forget a connection."""
        self.ended(server_conn)
        super().on_close(server_conn)

    def begun(self, connection: object) -> None:
        """Take note that a connection waits for an answer."""
        self._replies[connection] = None

    def ended(self, connection: object) -> None:
        """Take note that its answer has left, or never will."""
        waiting = self._replies.pop(connection, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    async def finish_replies(self, seconds: float) -> bool:
        """Wait until all that is being answered now has been; False where some of it outlasted `seconds`."""
        loop = asyncio.get_running_loop()
        for connection, waiting in self._replies.items():
            self._replies[connection] = waiting or loop.create_future()
        under_way = [waiting for waiting in self._replies.values() if waiting is not None]
        if not under_way:
            return True
        _, late = await asyncio.wait(under_way, timeout=seconds)
        return not late


def _begin(work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]], stream: IOStream) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(work)
    among.add(task)
    task.add_done_callback(lambda ended: _forget(ended, among, stream))
    return task


def _forget(ended: asyncio.Task[None], among: set[asyncio.Task[None]], stream: IOStream) -> None:
    among.discard(ended)
    if ended.cancelled():
        close(stream)  # a task that is cancelled in the turn that made it has not begun, and so closed nothing


class _Watched(HTTPMessageDelegate):
    """Hands a request on, and says when its headers have come."""

    def __init__(self, delegate: HTTPMessageDelegate, on_begun: Callable[[], None]) -> None:
        self._on_begun = on_begun
        self._delegate = delegate
        self.data_received = delegate.data_received  # type: ignore[method-assign]  # handed on as it is
        self.finish = delegate.finish  # type: ignore[method-assign]  # handed on as it is
        self.on_connection_close = delegate.on_connection_close  # type: ignore[method-assign]  # handed on as it is

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        self._on_begun()
        return self._delegate.headers_received(start_line, headers)
