"""The coordinator's `/ws/monitor` as it comes: connect, read, notice when it goes silent. Runs on an event loop.

Behind step 10 of a request's way. The screen runs this on a thread of its own (`link.py`), the line modes directly.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError
from tornado.websocket import WebSocketClientConnection, WebSocketError, websocket_connect

from dispatcher.access import Access, problem_detail
from dispatcher.auth import credentials
from dispatcher.errors import DispatcherError, ExitStatus, RefusedError
from dispatcher.tls import words

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 20.0
"""The feed says something every second; after this long without, the link is taken for lost."""

MESSAGE_BYTES = 64 * 1024 * 1024
"""The largest message taken; a snapshot of 100,000 exits has about 25 MB."""


class UnreachableError(DispatcherError):
    """The coordinator does not answer; the text says why."""

    exit_status = ExitStatus.UNREACHABLE


def socket_url(coordinator_url: str) -> str:
    """Return where the feed is, for the URL of a coordinator."""
    return f"ws{coordinator_url.removeprefix('http')}/ws/monitor"


@contextlib.asynccontextmanager
async def opened(access: Access) -> AsyncIterator[WebSocketClientConnection]:
    """Open the feed for the length of a block.

    Raises:
        UnreachableError: nobody answers there, or nobody who has a feed.
        RefusedError: the coordinator does not let this monitor in.
    """
    coordinator_url = access.url
    request = HTTPRequest(socket_url(coordinator_url), connect_timeout=CONNECT_SECONDS)
    try:
        socket = await websocket_connect(await access.prepare(request), max_message_size=MESSAGE_BYTES)
    except HTTPClientError as error:
        if error.code in credentials.REFUSED:
            said = credentials.refusal(error.code, reason(error))
            raise RefusedError(f"{coordinator_url} does not let this monitor in: {said}") from error
        raise UnreachableError(f"{coordinator_url} does not answer as a coordinator: {reason(error)}") from error
    except (OSError, StreamClosedError, WebSocketError) as error:
        raise UnreachableError(f"{coordinator_url} does not answer: {reason(error)}") from error
    try:
        yield socket
    finally:
        socket.close()


async def messages(socket: WebSocketClientConnection) -> AsyncIterator[str]:
    """Yield what the feed says until it ends.

    Raises:
        UnreachableError: the link closed or went silent; the text says which.
    """
    while True:
        try:
            message = await asyncio.wait_for(socket.read_message(), SILENCE_SECONDS)
        except TimeoutError:
            raise UnreachableError(f"the coordinator said nothing for {SILENCE_SECONDS:g} s") from None
        if message is None:
            raise UnreachableError(socket.close_reason or "the link to the coordinator closed")
        if isinstance(message, str):
            yield message


def parsed(message: str) -> dict[str, Any]:
    """Return a message as JSON; what is no object becomes an empty one, which says nothing."""
    try:
        content = json.loads(message)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def reason(error: BaseException) -> str:
    """Say in a few words why something did not come."""
    said = words.of_coordinator(error) or problem_detail(error)
    if said is not None:
        return said
    if isinstance(error, (HTTPTimeoutError, TimeoutError)):
        return "no answer in time"
    if isinstance(error, (HTTPStreamClosedError, StreamClosedError)):
        real = getattr(error, "real_error", None)
        return reason(real) if real is not None else "the connection closed"
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return str(error)
