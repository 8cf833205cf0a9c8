"""What every REST handler shares: reading JSON, writing JSON and problems, so that a verb is validate, ask, write."""

from __future__ import annotations

import asyncio
from http.client import responses
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import marshmallow
from tornado.http1connection import HTTP1Connection
from tornado.web import HTTPError, stream_request_body

from dispatcher.record import dump
from dispatcher.web import json_body, problems, too_large
from dispatcher.web.guarded import GuardedHandler
from dispatcher.web.json_weight import JsonWeight
from dispatcher.web.operations import with_head
from dispatcher.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dispatcher.auth.roles import Permission
    from dispatcher.web.operations import Operation
    from dispatcher.web.services import Services

T = TypeVar("T")

DISCARDED_BYTES = 64 * 1024 * 1024
"""How far a body over the limit is read to its end before it is answered; a longer one is answered at once."""

LARGE_BYTES = 256 * 1024
"""A body over this is read in a thread: 8 MiB of base64 took the event loop 50 ms to read, check and decode."""

_VERBS = ("GET", "HEAD", "POST", "DELETE")


@stream_request_body
class BaseHandler(GuardedHandler):
    """A resource of the REST API. `operations` describes its verbs for the OpenAPI document."""

    operations: ClassVar[dict[str, Operation]] = {}
    is_gone = False
    """Whether the caller went away."""

    def on_connection_close(self) -> None:
        """Note it. Tornado calls this when the caller went away."""
        self.is_gone = True
        super().on_connection_close()

    def initialize(self, services: Services) -> None:
        """Take what the coordinator made; Tornado calls this for each request."""
        self.services = services
        self._body = bytearray()
        self._received = 0
        self._weight = JsonWeight()

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        """Read a part of the path; what is not UTF-8 names nothing. Tornado calls this."""
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Problem(404, "not_found", f"the {name} in {self.request.path} is not UTF-8") from error

    def compute_etag(self) -> None:
        """Give no answer a tag: `If-None-Match` would turn the answer to an execution into an empty 304."""

    async def head(self, *args: str, **kwargs: str) -> None:
        """Answer as GET would, but for the body, which Tornado leaves out; only where a GET changes nothing."""
        if "HEAD" not in with_head(self.operations):
            raise HTTPError(405)
        answering: Awaitable[None] | None = self.get(*args, **kwargs)
        if answering is not None:
            await answering

    def needs(self) -> Permission | None:
        """Say what the verb needs; a verb that is not there is told to anybody."""
        operation = with_head(self.operations).get(str(self.request.method))
        return None if operation is None else operation.needs

    def verbs(self) -> str:
        """The verbs of this path."""
        return ", ".join(verb for verb in _VERBS if verb in with_head(self.operations))

    async def prepare(self) -> None:
        """Let in who may do this, and turn down a body so large that it is not even worth reading to its end."""
        if not await self._let_in():
            return
        connection = self.request.connection
        assert isinstance(connection, HTTP1Connection)
        connection.set_max_body_size(too_large.NO_LIMIT)
        declared = self.request.headers.get("Content-Length", "0")
        limit = self.services.max_request_bytes
        if declared.isascii() and declared.isdigit() and _is_over(declared, limit + DISCARDED_BYTES):
            await too_large.answer_at_once(connection.stream, too_large.problem(limit))

    async def _let_in(self) -> bool:
        """Let the request in, or answer it; False where it has been answered.

        Tornado closes a connection that is answered before its request was read, so the answer says that too.
        """
        try:
            return self.admit()
        except Problem as problem:
            problem.headers["Connection"] = "close"
            if not {"Content-Length", "Transfer-Encoding"} & set(self.request.headers):
                raise
            problem.headers.update(self.services.origins.answer_headers(self.request))
            assert isinstance(self.request.connection, HTTP1Connection)
            await too_large.answer_at_once(self.request.connection.stream, problem)
            return False

    async def data_received(self, chunk: bytes) -> None:
        """Collect the body up to the limit; what is over it is read and dropped."""
        self._received += len(chunk)
        if self._received <= self.services.max_request_bytes:
            self._body += chunk
            self._weight.add(chunk)
            return
        self._body.clear()
        if self._received > self.services.max_request_bytes + DISCARDED_BYTES:
            assert isinstance(self.request.connection, HTTP1Connection)
            limit = self.services.max_request_bytes
            await too_large.answer_at_once(self.request.connection.stream, too_large.problem(limit))

    async def apart(self, work: Callable[[], T], *, stored: int = 0) -> T:
        """Do what takes long with large bodies in a thread, and with small ones at once.

        What counts is the body that was received, and `stored` bytes that `work` reads beside it.
        """
        if self._received + stored <= LARGE_BYTES:
            return work()
        return await asyncio.to_thread(work)

    @property
    def is_heavy(self) -> bool:
        """Whether what was sent has too many values for `json_body`."""
        return self._weight.is_over

    def json_text(self) -> str:
        """Return the text of the JSON that was sent.

        Raises:
            Problem: 413, 415 or 400, in the order in which a body can be wrong.
        """
        return json_body.text_of(self._whole_body(), *self._said_of_body())

    def json_body(self, *, if_empty: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the JSON object that was sent; an empty body is `if_empty` where that is given.

        Raises:
            Problem: 413, 415, 400 or 422, in the order in which a body can be wrong.
        """
        body = self._whole_body()
        if not body and if_empty is not None:
            return if_empty
        return json_body.read(body, *self._said_of_body(), self._weight)

    def _whole_body(self) -> bytearray:
        if self._received > self.services.max_request_bytes:
            raise too_large.problem(self.services.max_request_bytes)
        return self._body

    def _said_of_body(self) -> tuple[str, str]:
        headers = self.request.headers
        return headers.get("Content-Type", ""), headers.get("Content-Encoding", "identity")

    def load(self, schema: marshmallow.Schema, content: dict[str, Any]) -> Any:
        """Check `content` and return what the schema makes of it.

        Raises:
            Problem: 422 with every field that is wrong.
        """
        try:
            return schema.load(content)
        except marshmallow.ValidationError as error:
            raise problems.invalid(error.messages) from error

    def query(self, schema: marshmallow.Schema) -> Any:
        """Check the query string, in which every name may stand once, and return what the schema makes of it."""
        arguments = self.request.query_arguments
        repeated = {name: ["May be given once only."] for name, values in arguments.items() if len(values) > 1}
        if repeated:
            raise problems.invalid(repeated)
        try:
            given = {name: values[0].decode("utf-8") for name, values in arguments.items()}
        except UnicodeDecodeError as error:
            raise Problem(400, "malformed_query", "the query string is not UTF-8") from error
        return self.load(schema, given)

    async def flush_in_turns(self) -> None:
        """Send what was written, and let the loop turn: a caller that reads fast makes `flush` no pause at all."""
        await self.flush()
        await asyncio.sleep(0)

    def write_json(self, content: Any, status: int = 200) -> None:
        """Answer with JSON; bytes are taken as JSON already."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.write(content if isinstance(content, bytes) else dump(content))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with a problem, whatever was raised. Tornado calls this."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, Problem):
            self.write_problem(error)
        elif status_code == 405:
            allowed = self.verbs()
            detail = f"this path takes {allowed or 'nothing'}, not {self.request.method}"
            self.write_problem(Problem(405, "method_not_allowed", detail, headers={"Allow": allowed}))
        elif status_code >= 500:
            self.write_problem(problems.internal())
        else:
            detail = getattr(error, "log_message", None) or responses.get(status_code, "error")
            self.write_problem(Problem(status_code, "http", str(detail)))
        self.finish()


class NotFoundHandler(BaseHandler):
    """Every path that is not in the route table."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer every method with 404, and only after the body, so that its sender gets to read the answer."""
        if status_code == 405:
            kwargs["exc_info"] = (Problem, Problem(404, "not_found", f"there is nothing at {self.request.path}"), None)
        super().write_error(404 if status_code == 405 else status_code, **kwargs)


def _is_over(digits: str, limit: int) -> bool:
    """Compare without making a number of what may have thousands of digits."""
    return len(digits) > len(str(limit)) + 100 or int(digits) > limit
