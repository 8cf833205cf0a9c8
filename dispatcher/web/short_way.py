"""The short way of a plain `/api/execute`: step 1 of a request's way and its end, on the event loop.

The call that is made most often passes by Tornado's parsing, routing and handlers, which cost more than everything else
of it together. What would surprise: whatever is not plain, or not right, goes the long way, by `execute.py`: a query, a
browser, a token that is not valid, a header that is not known here, a batch, a body with a mistake, and a request of
which a part has yet to come. So nothing is refused here but by what becomes of an execution, and both answer alike.
"""

from __future__ import annotations

import asyncio
import functools
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marshmallow import ValidationError
from tornado.httputil import HTTPHeaders, HTTPInputError, format_timestamp

from dispatcher.auth.gate import NoTokenError, WrongTokenError
from dispatcher.auth.roles import Permission
from dispatcher.record import dump
from dispatcher.web import batch_requests, execute, json_body, problems, record_writer
from dispatcher.web.configured import SCHEMA, to_spec
from dispatcher.web.connection import HEAD_END
from dispatcher.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tornado.iostream import IOStream

    from dispatcher.auth.gate import Identity
    from dispatcher.record import Record
    from dispatcher.request import RequestSpec
    from dispatcher.web.connection import Asked
    from dispatcher.web.services import Services

_GET = f"GET {execute.PATH} HTTP/1.1\r\n".encode("ascii")
_POST = f"POST {execute.PATH} HTTP/1.1\r\n".encode("ascii")

_PLAIN = frozenset(
    ("Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Connection", "Host", "User-Agent")
)
"""The headers that a plain GET may have; none of them but `Authorization`, `Connection` and `Host` matters here."""

_PLAIN_WITH_BODY = _PLAIN | {"Content-Length", "Content-Type"}

_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")
_LENGTH = re.compile(r"[0-9]{1,5}")

_JSON = "application/json"

SMALL_BYTES = 16 * 1024
"""What a caller's body and the configured one may have together: each connection remembers what was made of them."""


@dataclass(frozen=True, slots=True)
class Said:
    """A plain request as it was `sent`, and what of it matters. An empty `body` asks for what is configured."""

    sent: bytes
    host: str
    authorization: str | None
    is_last: bool
    content_type: str
    body: bytes


class ShortWay:
    """Answers plain requests with `services`."""

    def __init__(self, services: Services) -> None:
        """Take nothing where pages of other sites are allowed: they would have to be told so."""
        self._services = services

    def look(self, arrived: bytes, last: Asked | None) -> Plain | None:
        """Return the plain request that `arrived` begins with, if all of it is there and it may be answered.

        What was asked `last` on the same connection is mostly asked again, and not read again then.
        """
        known = last if isinstance(last, Plain) and arrived.startswith(last.said.sent) else None
        said = _read(arrived) if known is None else known.said
        if said is None or not self._is_ours(said.host):
            return None
        identity = self._identify(said.authorization)
        if identity is None:
            return None
        configured = self._services.configured
        if not said.body:
            return None if configured.spec is None else Plain(self._services, said, identity)
        revision = 0 if configured.stored is None else configured.stored.revision
        spec = known.spec if known is not None and known.revision == revision else self._spec(said)
        return None if spec is None else Plain(self._services, said, identity, spec, revision)

    def _is_ours(self, host: str) -> bool:
        origins = self._services.origins
        return not origins.allowed and _HOST.fullmatch(host) is not None and origins.takes(host)

    def _identify(self, authorization: str | None) -> Identity | None:
        """Say who asks; None for whoever may not execute."""
        try:
            identity = self._services.gate.identify(authorization)
        except (NoTokenError, WrongTokenError):
            return None
        return identity if identity.role.may(Permission.EXECUTE) else None

    def _spec(self, said: Said) -> RequestSpec | None:
        """Return the one request that is to be executed; None for a batch, and for what is large or not right."""
        configured = self._services.configured
        size = len(said.body)
        if size > self._services.max_request_bytes or size + configured.body_size > SMALL_BYTES:
            return None
        try:
            overrides = json_body.read(said.body, said.content_type)
            is_batch = batch_requests.is_batch(overrides)
            return None if is_batch else to_spec(SCHEMA.load(configured.merged(overrides)))
        except (Problem, ValidationError):
            return None


def _read(arrived: bytes) -> Said | None:
    """Read the request that `arrived` begins with; None where it is not plain, or a part of it has yet to come."""
    line = _GET if arrived.startswith(_GET) else _POST
    end = HEAD_END.search(arrived, len(line) - 2)
    if end is None or not arrived.startswith(line):
        return None
    try:
        headers = HTTPHeaders.parse(arrived[len(line) : end.end()].decode("latin-1"))
    except HTTPInputError:
        return None
    length = headers.get("Content-Length", "0")
    if not (_PLAIN if line is _GET else _PLAIN_WITH_BODY).issuperset(headers) or not _LENGTH.fullmatch(length):
        return None
    stop = end.end() + int(length)
    if len(arrived) < stop:
        return None
    return Said(
        sent=arrived[:stop],
        host=headers.get("Host", ""),
        authorization=headers.get("Authorization"),
        is_last=headers.get("Connection", "").lower() == "close",
        content_type=headers.get("Content-Type", ""),
        body=arrived[end.end() : stop],
    )


class Plain:
    """One plain request and its answer; the gate's `Visitor`.

    `spec` is what a body made of the configuration of that `revision`; without a body it is what is configured.
    """

    __slots__ = ("__weakref__", "_identity", "_services", "_stream", "revision", "said", "size", "spec")

    def __init__(
        self, services: Services, said: Said, identity: Identity, spec: RequestSpec | None = None, revision: int = 0
    ) -> None:
        """Prepare to answer."""
        self._services = services
        self._identity = identity
        self._stream: IOStream | None = None
        self.said = said
        self.size = len(said.sent)
        self.spec = spec
        self.revision = revision

    async def answer(self, stream: IOStream) -> bool:
        """Execute, and write what came of it; False where the caller wants no more of this connection.

        Raises:
            StreamClosedError: the caller went away.
            asyncio.CancelledError: it went away, and the execution goes on alone.
        """
        self._stream = stream
        self._services.gate.enter(self._identity, self)
        try:
            await self._answer(stream)
        finally:
            self._services.gate.leave(self._identity, self)
            self._stream = None
            stream.set_close_callback(None)
        if self.said.is_last:
            stream.close()
        return not self.said.is_last

    def end_access(self) -> None:
        """End at once: the token was revoked."""
        if self._stream is not None:
            self._stream.close()

    async def _answer(self, stream: IOStream) -> None:
        try:
            record = await self._execute(stream)
        except execute.NOT_ANSWERED as error:
            await self._refuse(stream, execute.problem_of(error))
        except Exception:  # noqa: BLE001 (`executions.py` has logged it, and the caller is to get an answer)
            await self._refuse(stream, problems.internal())
        else:
            await self._tell(stream, record)

    async def _execute(self, stream: IOStream) -> Record:
        spec = self.spec or self._services.configured.spec
        assert spec is not None
        ended = self._services.executions.start(spec)
        stream.set_close_callback(lambda: self._abandon(ended))
        return await ended

    def _abandon(self, ended: asyncio.Future[Record]) -> None:
        """Leave the queue, if the execution still waits in it, and wait no longer; the caller went away."""
        self._services.executions.abandon(ended)
        ended.cancel()

    async def _tell(self, stream: IOStream, record: Record) -> None:
        if record.failure is not None:
            await self._refuse(stream, execute.problem_of_record(record))
        elif len(record.body) <= record_writer.PIECE_BYTES:
            body = record.to_json_bytes()
            await stream.write(self._head(200, "OK", _JSON, {"Content-Length": str(len(body))}) + body)
        else:
            pieces = _Pieces(stream, self._head(200, "OK", _JSON, {"Transfer-Encoding": "chunked"}))
            await record_writer.write(pieces, record)
            await pieces.end()

    async def _refuse(self, stream: IOStream, problem: Problem) -> None:
        body = dump(problem.content)
        headers = {"Content-Length": str(len(body)), **problem.headers}
        head = self._head(problem.status, str(problem.content["title"]), problems.CONTENT_TYPE, headers)
        await stream.write(head + body)
        # Others have their turn: a refusal may have needed none, and the next request may be there already.
        await asyncio.sleep(0)

    def _head(self, status: int, reason: str, content_type: str, headers: Mapping[str, str]) -> bytes:
        more = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        last = "Connection: close\r\n" if self.said.is_last else ""
        date = _date(int(time.time()))
        return (
            f"HTTP/1.1 {status} {reason}\r\nServer: http-dispatcher\r\nContent-Type: {content_type}\r\n"
            f"Date: {date}\r\nCache-Control: no-store\r\n{last}{more}\r\n"
        ).encode("latin-1")


class _Pieces:
    """Writes an answer whose length is not known when it begins."""

    def __init__(self, stream: IOStream, head: bytes) -> None:
        self._stream = stream
        self._head = head
        self._waiting: list[bytes] = []

    def write(self, chunk: bytes) -> None:
        self._waiting.append(chunk)

    async def flush_in_turns(self) -> None:
        piece = b"".join(self._waiting)
        self._waiting.clear()
        head, self._head = self._head, b""
        await self._stream.write(b"%s%x\r\n%s\r\n" % (head, len(piece), piece))
        await asyncio.sleep(0)

    async def end(self) -> None:
        await self.flush_in_turns()
        await self._stream.write(b"0\r\n\r\n")


@functools.lru_cache(maxsize=2)
def _date(second: int) -> str:
    return format_timestamp(second)
