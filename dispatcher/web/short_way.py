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
from dispatcher.web.framing import is_among
from dispatcher.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tornado.iostream import IOStream

    from dispatcher.auth.gate import Identity
    from dispatcher.execution import Execution
    from dispatcher.record import Record
    from dispatcher.request import RequestSpec
    from dispatcher.web.asked import Asked, Caller
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

Standing = tuple[int, int]
"""What a judgement on a request rests on: the revision that is configured, and how often the tokens have changed."""

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

        What was asked `last` on the same connection is mostly asked again, and neither read nor judged again then.
        """
        standing = self._standing()
        if isinstance(last, Plain) and last.standing == standing and arrived.startswith(last.sent):
            return last
        said = _read(arrived)
        if said is None or not self._is_ours(said.host):
            return None
        identity = self._identify(said.authorization)
        if identity is None:
            return None
        if not said.body:
            is_configured = self._services.configured.spec is not None
            return Plain(self._services, said, identity, None, standing) if is_configured else None
        spec = self._spec(said)
        return None if spec is None else Plain(self._services, said, identity, spec, standing)

    def _standing(self) -> Standing:
        services = self._services
        stored = services.configured.stored
        return 0 if stored is None else stored.revision, services.gate.changes

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
        is_last=is_among("close", headers.get("Connection", "")),
        content_type=headers.get("Content-Type", ""),
        body=arrived[end.end() : stop],
    )


class Plain:
    """One plain request, the bytes that were `sent`, and its answer.

    `spec` is what a body made of what was configured at that `standing`; without a body it is what is configured.
    """

    __slots__ = (
        "_caller",
        "_error",
        "_execution",
        "_identity",
        "_record",
        "_services",
        "_spec",
        "is_last",
        "sent",
        "size",
        "standing",
    )

    def __init__(
        self, services: Services, said: Said, identity: Identity, spec: RequestSpec | None, standing: Standing
    ) -> None:
        """Prepare to answer."""
        self._services = services
        self._identity = identity
        self._spec = spec
        self._caller: Caller | None = None
        self._execution: Execution | None = None
        self._record: Record | None = None
        self._error: Exception | None = None
        self.sent = said.sent
        self.size = len(said.sent)
        self.is_last = said.is_last
        self.standing = standing

    def begin(self, caller: Caller) -> None:
        """Execute."""
        self._caller = caller
        services = self._services
        services.gate.enter(self._identity, caller)
        spec = self._spec or services.configured.spec
        assert spec is not None
        try:
            self._execution = services.executions.start_for(self, spec, self._hear)
        except Exception as error:  # noqa: BLE001 (the caller is to get an answer)
            self._error = error
            caller.take_answer()

    def _hear(self, execution: Execution) -> None:
        """Have the caller told, if it is still there, of what came of it."""
        self._execution = None
        if self._caller is not None:
            self._record, self._error = execution.record, execution.error
            self._caller.take_answer()

    def end(self) -> None:
        """Leave the queue, if the execution waits in it yet, and let go of all that came of it."""
        execution, caller = self._execution, self._caller
        self._caller = self._execution = self._record = self._error = None
        if caller is not None:
            self._services.gate.leave(self._identity, caller)
        if execution is not None:
            self._services.executions.leave_queue(execution)

    def answer(self) -> bytes | Callable[[IOStream], Awaitable[None]]:
        """Write what came of it."""
        record, error = self._record, self._error
        if record is None:
            if isinstance(error, execute.NOT_ANSWERED):
                return self._refusal(execute.problem_of(error))
            return self._refusal(problems.internal())  # `executions.py` has logged it
        if record.failure is not None:
            return self._refusal(execute.problem_of_record(record))
        if len(record.body) > record_writer.PIECE_BYTES:
            return functools.partial(self._write_in_pieces, record)
        body = record.to_json_bytes()
        return b"%b%d\r\n\r\n%b" % (_start_of_head(_now(), self.is_last), len(body), body)

    async def _write_in_pieces(self, record: Record, stream: IOStream) -> None:
        head = _head(_now(), 200, "OK", _JSON, {"Transfer-Encoding": "chunked"}, is_last=self.is_last)
        pieces = _Pieces(stream, head)
        await record_writer.write(pieces, record)
        await pieces.end()

    def _refusal(self, problem: Problem) -> bytes:
        body = dump(problem.content)
        headers = {"Content-Length": str(len(body)), **problem.headers}
        title = str(problem.content["title"])
        return _head(_now(), problem.status, title, problems.CONTENT_TYPE, headers, is_last=self.is_last) + body


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


def _head(  # noqa: PLR0913 (what a head says)
    second: int, status: int, reason: str, content_type: str, headers: Mapping[str, str], *, is_last: bool
) -> bytes:
    more = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    last = "Connection: close\r\n" if is_last else ""
    return (
        f"HTTP/1.1 {status} {reason}\r\nServer: http-dispatcher\r\nContent-Type: {content_type}\r\n"
        f"Date: {_date(second)}\r\nCache-Control: no-store\r\n{last}{more}\r\n"
    ).encode("latin-1")


def _now() -> int:
    return int(time.time())


@functools.lru_cache(maxsize=2)
def _date(second: int) -> str:
    return format_timestamp(second)


@functools.lru_cache(maxsize=4)
def _start_of_head(second: int, is_last: bool, /) -> bytes:
    """Return the head of a record's answer in this `second`, up to how long that is: all of it but the length."""
    return _head(second, 200, "OK", _JSON, {"Content-Length": ""}, is_last=is_last).removesuffix(b"\r\n\r\n")
