"""The short way of a plain `GET /api/execute`: step 1 of a request's way and its end, on the event loop.

The call that is made most often passes by Tornado's routing and its handlers, which cost more than everything else of
it together. What would surprise: whatever is not plain goes the long way, by `execute.py`: a body, a query, a browser,
a token that is not valid, a header that is not known here. So nothing is refused here, and both answer alike.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import time
from typing import TYPE_CHECKING

from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
    format_timestamp,
)
from tornado.iostream import StreamClosedError

from dispatcher.auth.gate import NoTokenError, WrongTokenError
from dispatcher.auth.roles import Permission
from dispatcher.record import dump
from dispatcher.web import execute, problems, record_writer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from tornado.http1connection import HTTP1Connection
    from tornado.httputil import HTTPConnection

    from dispatcher.auth.gate import Identity
    from dispatcher.record import Record
    from dispatcher.request import RequestSpec
    from dispatcher.web.problems import Problem
    from dispatcher.web.services import Services

logger = logging.getLogger(__name__)

_PLAIN = frozenset(
    ("Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Connection", "Host", "User-Agent")
)
"""The headers that a plain request may have; none of them but `Authorization` and `Host` matters here."""

_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")


class ShortWay(HTTPServerConnectionDelegate):
    """Hands each request on to `app`, but for those that are plain."""

    def __init__(self, app: HTTPServerConnectionDelegate, services: Services) -> None:
        """Answer plain requests with `services`."""
        self._app = app
        self._services = services

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Take a request, of which nothing is known yet. Tornado calls this."""
        return _Choice(self._app, self._services, server_conn, request_conn)

    def on_close(self, server_conn: object) -> None:
        """Forget a connection. Tornado calls this."""
        self._app.on_close(server_conn)


class _Choice(HTTPMessageDelegate):
    """Chooses the way of a request when its headers have come."""

    def __init__(
        self, app: HTTPServerConnectionDelegate, services: Services, server_conn: object, connection: HTTPConnection
    ) -> None:
        self._app = app
        self._services = services
        self._server_conn = server_conn
        self._connection = connection
        self._chosen = HTTPMessageDelegate()

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        assert isinstance(start_line, RequestStartLine)
        spec = self._services.configured.spec
        identity = self._who_asks(start_line, headers)
        if spec is None or identity is None:
            self._chosen = self._app.start_request(self._server_conn, self._connection)
        else:
            self._chosen = _Execution(self._services, identity, spec, self._connection)
        return self._chosen.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._chosen.data_received(chunk)

    def finish(self) -> None:
        self._chosen.finish()

    def on_connection_close(self) -> None:
        self._chosen.on_connection_close()

    def _who_asks(self, start_line: RequestStartLine, headers: HTTPHeaders) -> Identity | None:
        """Say who sent a plain request that may be answered; None for any other."""
        if start_line != ("GET", execute.PATH, "HTTP/1.1") or not _PLAIN.issuperset(headers):
            return None
        host, origins = headers.get("Host", ""), self._services.origins
        if origins.allowed or not _HOST.fullmatch(host) or not origins.takes(host):
            return None
        try:
            identity = self._services.gate.identify(headers.get("Authorization"))
        except (NoTokenError, WrongTokenError):
            return None
        return identity if identity.role.may(Permission.EXECUTE) else None


class _Execution(HTTPMessageDelegate):
    """One plain request and its answer; the gate's `Visitor`."""

    def __init__(self, services: Services, identity: Identity, spec: RequestSpec, connection: HTTPConnection) -> None:
        self._services = services
        self._identity = identity
        self._spec = spec
        self._connection: HTTP1Connection = connection  # type: ignore[assignment]  # every connection of ours is one
        self._execution: asyncio.Future[Record] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._is_over = False
        services.gate.enter(identity, self)

    def finish(self) -> None:
        """Begin; Tornado calls this when all of the request has come."""
        self._connection.set_close_callback(self.on_connection_close)
        try:
            self._execution = self._services.executions.start(self._spec)
        except execute.NOT_ANSWERED as error:
            self._refuse(execute.problem_of(error))
        else:
            self._execution.add_done_callback(self._ended)

    def on_connection_close(self) -> None:
        """Leave the queue, if the execution still waits in it; the caller went away."""
        if self._execution is not None:
            self._services.executions.abandon(self._execution)
        self._leave()

    def end_access(self) -> None:
        """End at once: the token was revoked."""
        self._connection.stream.close()

    def _leave(self) -> None:
        self._is_over = True
        self._services.gate.leave(self._identity, self)

    def _ended(self, ended: asyncio.Future[Record]) -> None:
        if self._is_over:
            return
        try:
            self._answer(ended.result())
        except execute.NOT_ANSWERED as error:
            self._refuse(execute.problem_of(error))
        except asyncio.CancelledError:
            self.end_access()
        except Exception:  # noqa: BLE001 (`executions.py` has logged it, and the caller is to get an answer)
            self._refuse(problems.internal())

    def _answer(self, record: Record) -> None:
        if record.failure is not None:
            self._refuse(execute.problem_of_record(record))
        elif len(record.body) <= record_writer.PIECE_BYTES:
            self._write(200, "OK", "application/json", record.to_json_bytes())
        else:
            self._writing = asyncio.get_running_loop().create_task(self._write_in_pieces(record))

    def _refuse(self, problem: Problem) -> None:
        content = problem.content
        self._write(problem.status, str(content["title"]), problems.CONTENT_TYPE, dump(content), problem.headers)

    def _write(
        self, status: int, reason: str, content_type: str, body: bytes, more: Mapping[str, str] | None = None
    ) -> None:
        headers = _headers(content_type, {"Content-Length": str(len(body)), **(more or {})})
        self._connection.write_headers(ResponseStartLine("", status, reason), headers, body)
        self._connection.finish()
        self._leave()

    async def _write_in_pieces(self, record: Record) -> None:
        try:
            pieces = _Pieces(self._connection)
            await record_writer.write(pieces, record)
            await pieces.flush_in_turns()
            self._connection.finish()
        except StreamClosedError:
            logger.debug("a caller went away before it had all of its answer")
        finally:
            self._leave()


class _Pieces:
    """Writes an answer whose length is not known when it begins."""

    def __init__(self, connection: HTTP1Connection) -> None:
        self._connection = connection
        self._waiting: list[bytes] = []
        self._is_begun = False

    def write(self, chunk: bytes) -> None:
        self._waiting.append(chunk)

    async def flush_in_turns(self) -> None:
        piece = b"".join(self._waiting)
        self._waiting.clear()
        if self._is_begun:
            await self._connection.write(piece)
        else:
            self._is_begun = True
            start_line = ResponseStartLine("", 200, "OK")
            await self._connection.write_headers(start_line, _headers("application/json", {}), piece)
        await asyncio.sleep(0)


def _headers(content_type: str, more: Mapping[str, str]) -> HTTPHeaders:
    return HTTPHeaders(
        {
            "Server": "http-dispatcher",
            "Content-Type": content_type,
            "Date": _date(int(time.time())),
            "Cache-Control": "no-store",
            **more,
        }
    )


@functools.lru_cache(maxsize=2)
def _date(second: int) -> str:
    return format_timestamp(second)
