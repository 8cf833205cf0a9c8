"""The monitor's commands as REST requests. Runs on the event loop of `link.py`, one coroutine a command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from dispatcher.monitor import feed
from dispatcher.monitor.events import (
    Answered,
    Execute,
    ReadOlder,
    ReadRecord,
    ReadRequest,
    RemoveAgent,
    StoreRequest,
)

if TYPE_CHECKING:
    from dispatcher.access import Access
    from dispatcher.monitor.events import Command

ANSWER_BYTES = 64 * 1024 * 1024
"""The largest answer taken; a record carries the whole body that the target sent."""

EXECUTION_SECONDS = 3700.0
"""How long an execution may take: the longest timeout that can be configured, and some more."""

ANSWER_SECONDS = 15.0
OLDER_RECORDS = 100


class Rest:
    """Asks a coordinator."""

    def __init__(self, access: Access) -> None:
        """Make a client of its own; proxies from the environment are not used."""
        self._access = access
        self._client: AsyncHTTPClient = SimpleAsyncHTTPClient(
            force_instance=True, max_clients=32, max_buffer_size=ANSWER_BYTES, max_body_size=ANSWER_BYTES
        )

    async def do(self, command: Command) -> Answered:
        """Do what a command asks; whatever happens is in the answer."""
        method, path, content = _request(command)
        body = None if content is None else json.dumps(content)
        if method == "POST" and body is None:
            body = ""
        try:
            request = await self._access.prepare(self._make(method, path, body, command))
            answer = await self._client.fetch(request, raise_error=False)
            if answer.error is not None and answer.code == 599:
                return Answered(command, 0, problem=feed.reason(answer.error))
            return Answered(command, answer.code, feed.parsed(answer.body.decode("utf-8", "replace")))
        except (OSError, StreamClosedError, ValueError) as error:
            return Answered(command, 0, problem=feed.reason(error))

    def _make(self, method: str, path: str, body: str | None, command: Command) -> HTTPRequest:
        seconds = EXECUTION_SECONDS if isinstance(command, Execute) else ANSWER_SECONDS
        headers = {"Content-Type": "application/json"} if body else {}
        return HTTPRequest(
            self._access.url + path,
            method,
            headers,
            body,
            connect_timeout=feed.CONNECT_SECONDS,
            request_timeout=seconds,
        )

    def close(self) -> None:
        """Let go of what is open."""
        self._client.close()


def _request(command: Command) -> tuple[str, str, Any]:
    """Return method, path and content of a command's request."""
    match command:
        case Execute():
            return "POST", "/api/execute", None
        case ReadRequest():
            return "GET", "/api/config/request", None
        case StoreRequest():
            return "POST", "/api/config/request", command.content
        case ReadRecord():
            return "GET", f"/api/history/{quote(command.id, safe='')}", None
        case ReadOlder():
            return "GET", f"/api/history?limit={OLDER_RECORDS}&cursor={quote(command.cursor, safe='')}", None
        case RemoveAgent():
            return "DELETE", f"/api/agents/{quote(command.agent_id, safe='')}", None
    raise AssertionError(f"{command} is no request")
