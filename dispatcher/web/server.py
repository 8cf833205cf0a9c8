"""The coordinator's HTTP server: around the first and the last step of a request's way, on the event loop.

Tornado's own cuts whatever is being written when it closes its connections. This one can be asked to wait until the
replies under way have left: a reply has when Tornado comes for the next request of its connection, or closes it.
TLS is not Tornado's either: each connection is greeted first (`greeting.py`), with the certificates of that moment.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPMessageDelegate

from dispatcher.web.accepting import Acceptor
from dispatcher.web.greeting import greet
from dispatcher.web.turnstile import Turnstile

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterable

    from tornado.httputil import HTTPConnection, HTTPHeaders, RequestStartLine, ResponseStartLine
    from tornado.iostream import IOStream

    from dispatcher.tls.reload import Certificates


class Server(HTTPServer):
    """An HTTP server that knows which requests are not answered to the end."""

    def initialize(self, *args: Any, certificates: Certificates | None = None, **kwargs: Any) -> None:
        """Take what `HTTPServer` takes; with `certificates` it speaks TLS, and nothing else."""
        super().initialize(*args, **kwargs)
        self._certificates = certificates
        self._turnstile = Turnstile()
        self._greetings: set[asyncio.Task[None]] = set()
        self._replies: dict[object, asyncio.Future[None]] = {}

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections on these, a few a turn."""
        for listening in sockets:
            self._sockets[listening.fileno()] = listening
            self._handlers[listening.fileno()] = Acceptor(listening, self._handle_connection).stop

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Greet a connection; Tornado calls this for each that it accepted."""
        task = asyncio.get_running_loop().create_task(self._greet(stream, address))
        self._greetings.add(task)
        task.add_done_callback(self._greetings.discard)

    async def _greet(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        greeted: IOStream | None = stream
        try:
            greeted = await greet(stream, None if self._certificates is None else self._certificates.context)
            await self._turnstile.pass_through()
        except asyncio.CancelledError:
            for open_still in (stream, greeted):
                if open_still is not None:
                    open_still.close()
            raise
        if greeted is not None:
            super().handle_stream(greeted, address)

    async def close_all_connections(self) -> None:
        """Close what is open, the connections that have said nothing yet too."""
        greetings = list(self._greetings)
        for task in greetings:
            task.cancel()
        await asyncio.gather(*greetings, return_exceptions=True)
        await super().close_all_connections()

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Watch a request; Tornado calls this before it reads one, so the one before it has been answered."""
        self._end(server_conn)
        return _Watched(super().start_request(server_conn, request_conn), lambda: self._begin(server_conn))

    def on_close(self, server_conn: object) -> None:
        """Forget a connection."""
        self._end(server_conn)
        super().on_close(server_conn)

    async def finish_replies(self, seconds: float) -> bool:
        """Wait until all that is being answered now has been; False where some of it outlasted `seconds`."""
        if not self._replies:
            return True
        _, late = await asyncio.wait(list(self._replies.values()), timeout=seconds)
        return not late

    def _begin(self, server_conn: object) -> None:
        self._replies[server_conn] = asyncio.get_running_loop().create_future()

    def _end(self, server_conn: object) -> None:
        reply = self._replies.pop(server_conn, None)
        if reply is not None:
            reply.set_result(None)


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
