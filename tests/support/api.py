"""A client of the REST API for tests, which holds every answer to the OpenAPI document that the coordinator serves.

`served()` runs a coordinator on a loop that turns only while a call is under way, so that a test reads from top to
bottom without `async`.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import jsonschema  # type: ignore[import-untyped]  # it ships no types

from tests.support.coordinator import Running, coordinator_running
from tests.support.scripted_agent import WAIT, Answer, ScriptedAgent, answers_ok, scripted_agent

T = TypeVar("T")

PROBLEM = "application/problem+json"
LINES = "application/x-ndjson"


@dataclass(frozen=True)
class Reply:
    """What came back. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def lines(self) -> list[Any]:
        """The JSON of each line of the body."""
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def pointers(self) -> list[str]:
        """Where a validation error says that the body is wrong."""
        return [error["pointer"] for error in self.json["errors"]]


def raw_request(
    method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, host: str = "test"
) -> bytes:
    """Write a request as it stands on the wire. A body gets its Content-Length unless `headers` frame it."""
    lines = {"Host": host, "Connection": "close"} | dict(headers or {})
    if body and not {"content-length", "transfer-encoding"} & {name.lower() for name in lines}:
        lines["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


async def exchange(port: int, request: bytes, *, method: str = "GET") -> Reply:
    """Send bytes on a connection of their own and read the one reply to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    try:
        async with asyncio.timeout(WAIT):
            writer.write(request)
            answer = await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return parse_reply(answer, method)


class _Bytes:
    """What `http.client` reads a reply from."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, _mode: str) -> Any:
        import io  # noqa: PLC0415 (nobody else here needs it)

        return io.BytesIO(self._content)


def parse_reply(answer: bytes, method: str) -> Reply:
    """Read a reply as Python's own client does."""
    response = http.client.HTTPResponse(_Bytes(answer), method=method)  # type: ignore[arg-type]  # has its one method
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, response.read())


class Document:
    """The OpenAPI document, as a judge of answers."""

    def __init__(self, content: dict[str, Any]) -> None:
        """Judge by `content`."""
        self.content = content
        self._paths = {re.compile(re.sub(r"\{\w+\}", "[^/]+", path)): found for path, found in content["paths"].items()}

    def check(self, method: str, path: str, reply: Reply) -> None:
        """Assert that the document foresees this answer: its status, its type and its shape."""
        operations = next((found for known, found in self._paths.items() if known.fullmatch(path)), None)
        operation = (operations or {}).get(method.lower())
        if operation is None:
            assert reply.status in (401, 403, 404, 405, 421), (
                f"{method} {path} is not in the document and gave {reply.status}"
            )
            self._check_body(reply, {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}})
            return
        assert str(reply.status) in operation["responses"], f"{method} {path} gave {reply.status}: {reply.body[:500]!r}"
        self._check_body(reply, operation["responses"][str(reply.status)].get("content"))

    def _check_body(self, reply: Reply, content: dict[str, Any] | None) -> None:
        if content is None:
            assert b"" == reply.body
            return
        assert reply.headers["content-type"] in content
        if not content[reply.headers["content-type"]]:
            return  # bytes
        is_lines = reply.headers["content-type"] == LINES
        for each in reply.lines if is_lines else [reply.json]:
            self.validate(each, content[reply.headers["content-type"]]["schema"])

    def validate(self, instance: Any, schema: dict[str, Any]) -> None:
        """Assert that JSON has the shape of a schema of the document, and nothing that the schema does not name."""
        closed = {"components": _closed(self.content["components"]), **schema}
        faults = jsonschema.Draft202012Validator(closed).iter_errors(instance)
        assert [] == [f"{fault.json_path}: {fault.message[:500]}" for fault in faults]

    def validate_as(self, name: str, instance: Any) -> None:
        """Assert that JSON has the shape that the document gives a component."""
        self.validate(instance, {"$ref": f"#/components/schemas/{name}"})


def _closed(schema: Any) -> Any:
    """Return the same schema with no place for members that it does not name: an answer has none that are not told."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if isinstance(closed.get("properties"), dict) and closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


@dataclass
class Served:
    """A coordinator, the loop it runs on, and what a test asks of it."""

    runner: asyncio.Runner
    running: Running
    stack: AsyncExitStack
    document: Document
    agents: list[ScriptedAgent] = field(default_factory=list)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Turn the loop until `work` is done."""
        return self.runner.run(work)

    async def call_async(
        self,
        method: str,
        path: str,
        content: Any = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request (`content` as JSON, or `body` as it is) and return the answer, held to the document."""
        lines = dict(headers or {})
        if body is None:
            body = b"" if content is None else json.dumps(content).encode()
        if body:
            lines = {"Content-Type": "application/json"} | lines
        reply = await exchange(self.running.port, raw_request(method, path, body, lines), method=method)
        if method != "HEAD":
            self.document.check(method, path.partition("?")[0], reply)
        return reply

    def call(self, method: str, path: str, content: Any = None, **how: Any) -> Reply:
        """Send a request and return the answer; see `call_async`."""
        return self.run(self.call_async(method, path, content, **how))

    def raw(self, request: bytes, *, method: str = "GET") -> Reply:
        """Send bytes and return the answer, not held to anything."""
        return self.run(exchange(self.running.port, request, method=method))

    def configure(self, url: str = "http://target.test/", **fields: Any) -> Any:
        """Configure a request."""
        reply = self.call("POST", "/api/config/request", {"url": url, **fields})
        assert 200 == reply.status, reply.body
        return reply.json

    def agent(
        self, *addresses: str, agent_id: str = "agent-01", answer: Answer = answers_ok, configured: bool = True
    ) -> ScriptedAgent:
        """Connect an agent that answers so, until the coordinator stops, and configure a request for it."""
        if configured:
            self.configure()
        manager = scripted_agent(self.running.url, addresses or ("2001:db8::1",), agent_id=agent_id, answer=answer)
        return self.run(self.stack.enter_async_context(manager))


@contextlib.contextmanager
def served(state_dir: Path, **options: Any) -> Iterator[Served]:
    """Run a coordinator over `state_dir`; see `coordinator_running` for `options`."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        running = runner.run(stack.enter_async_context(coordinator_running(state_dir, **options)))
        try:
            yield Served(runner, running, stack, Document(running.services.openapi))
        finally:
            runner.run(stack.aclose())
