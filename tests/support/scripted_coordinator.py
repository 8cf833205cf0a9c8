"""A coordinator that does what a test says: real HTTP, a real WebSocket and the real wire, but no pool, no history."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

from dispatcher.wire import limits
from dispatcher.wire.channel import Channel
from dispatcher.wire.codec import Invalid, encode
from dispatcher.wire.messages import FROM_AGENT, Hello, Message, Welcome
from dispatcher.wire.version import WIRE

WAIT = 20.0
"""Seconds that a test waits for what should take milliseconds."""


class ScriptedCoordinator:
    """Registers whoever comes and welcomes every link, unless `register` or `on_hello` is replaced.

    `registrations` are what agents said of themselves, `links` the links that were opened, in their order.
    """

    def __init__(self) -> None:
        self.url = ""
        self.registrations: list[dict[str, Any]] = []
        self.links: asyncio.Queue[ScriptedLink] = asyncio.Queue()
        self.register: Callable[[dict[str, Any]], tuple[int, Any]] = self.registers
        self.on_hello: Callable[[ScriptedLink, Hello], None] = welcomes

    def registers(self, said: dict[str, Any]) -> tuple[int, Any]:
        """Answer as the real one does; each session is new."""
        number = len(self.registrations)
        link = f"{self.url.replace('http', 'ws')}/ws/agent"
        agent_id = said.get("agent_id", "made-up")
        return 201, {"agent_id": agent_id, "session": f"session-{number}", "websocket_url": link}

    async def next_link(self) -> ScriptedLink:
        """Wait for the next link that is opened."""
        async with asyncio.timeout(WAIT):
            return await self.links.get()


class _Register(RequestHandler):
    def initialize(self, coordinator: ScriptedCoordinator) -> None:
        self._coordinator = coordinator

    def post(self) -> None:
        said = json.loads(self.request.body)
        self._coordinator.registrations.append(said)
        status, content = self._coordinator.register(said)
        self.set_status(status)
        self.write(content if isinstance(content, (bytes, str)) else json.dumps(content))


class ScriptedLink(WebSocketHandler):
    """The coordinator's end of one link."""

    def initialize(self, coordinator: ScriptedCoordinator) -> None:
        self._coordinator = coordinator
        self._channel = Channel(FROM_AGENT, lambda _: limits.MAX_BODY_BYTES)
        self._heard: asyncio.Queue[Message | Invalid] = asyncio.Queue()
        self.closed = asyncio.Event()

    def open(self, *_: str, **__: str) -> None:
        self._coordinator.links.put_nowait(self)

    def on_message(self, message: str | bytes) -> None:
        for item in self._channel.receive(message):
            self._heard.put_nowait(item)
            if isinstance(item, Hello):
                self._coordinator.on_hello(self, item)

    def on_close(self) -> None:
        self.closed.set()

    def say(self, *messages: Message) -> None:
        """Send messages in one frame."""
        self.send_raw(encode(messages))

    def send_raw(self, frame: bytes | str) -> None:
        """Send a frame, right or wrong."""
        self.write_message(frame, binary=isinstance(frame, bytes))

    def hang_up(self) -> None:
        """Drop the connection without a word."""
        assert self.ws_connection is not None
        assert self.ws_connection.stream is not None
        self.ws_connection.stream.close()

    async def hear(self, kind: type[Message]) -> Any:
        """Wait for the next message of this kind, over all others."""
        async with asyncio.timeout(WAIT):
            while not isinstance(message := await self._heard.get(), kind):
                pass
        return message


def welcomes(link: ScriptedLink, _: Hello) -> None:
    """Take the agent."""
    link.say(Welcome(wire=WIRE, agent_id="agent-01", version="0"))


def says_nothing(_: ScriptedLink, __: Hello) -> None:
    """Leave the agent waiting for its welcome."""


def answers(*messages: Message) -> Callable[[ScriptedLink, Hello], None]:
    """Answer the hello with these."""
    return lambda link, _: link.say(*messages)


@contextlib.asynccontextmanager
async def scripted_coordinator() -> AsyncIterator[ScriptedCoordinator]:
    """Run one on a free port."""
    made = ScriptedCoordinator()
    routes = [("/api/agents/register", _Register), ("/ws/agent", ScriptedLink)]
    application = Application(
        [(path, handler, {"coordinator": made}) for path, handler in routes],
        log_function=lambda _: None,
        websocket_max_message_size=limits.MAX_FRAME_BYTES,
    )
    server = HTTPServer(application)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    made.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.stop()
        await server.close_all_connections()
