"""An agent that does what a test says: a real WebSocket and the real wire, but no curl and no addresses of its own.

It registers, says hello, reports addresses and gives each execution to `answer`, which may send anything or nothing.
Each function below that takes an agent and an execution is one such answer; those named for a fault have just that one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.websocket import WebSocketClosedError, websocket_connect

from dispatcher.errors import FailureKind
from dispatcher.wire import limits
from dispatcher.wire.channel import Channel
from dispatcher.wire.codec import Invalid
from dispatcher.wire.messages import (
    FROM_COORDINATOR,
    AddressesChanged,
    AddressReport,
    AddressState,
    Draining,
    Execute,
    Hello,
    Message,
    Refused,
    Result,
    Welcome,
)
from dispatcher.wire.pump import Pump
from dispatcher.wire.version import WIRE

WAIT = 20.0
"""Seconds that a test waits for what should take milliseconds."""

Answer = Callable[["ScriptedAgent", Execute], None]


class ScriptedAgent:
    """One agent on one link. `welcomed` and `refused` are what the coordinator said, None before it did."""

    def __init__(self, answer: Answer) -> None:
        """Prepare an agent; `connect` opens its link."""
        self.agent_id = ""
        self.session = ""
        self.welcomed: Welcome | None = None
        self.refused: Refused | None = None
        self.heard: asyncio.Queue[Message | Invalid] = asyncio.Queue()
        self._answer = answer
        self._channel = Channel(FROM_COORDINATOR, lambda _: limits.MAX_BODY_BYTES)
        self._pump = Pump(self._channel, self._write, self._fail)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connection: Any = None

    async def register(self, base_url: str, **content: Any) -> dict[str, Any]:
        """Register over the REST API and keep what it gave."""
        registered: dict[str, Any] = await post_json(f"{base_url}/api/agents/register", content)
        self.agent_id, self.session = registered["agent_id"], registered["session"]
        return registered

    async def connect(self, url: str) -> None:
        """Open the link, and read and send on it from now on. Nothing is said by itself."""
        self._loop = asyncio.get_running_loop()
        self._connection = await websocket_connect(url, max_message_size=limits.MAX_FRAME_BYTES)
        self._reading = asyncio.create_task(self._read())

    def say_hello(self, *, wire: tuple[int, int] = WIRE, session: str | None = None) -> None:
        """Say who calls."""
        self.send(Hello(wire=wire, session=self.session if session is None else session, version="0", hostname="test"))

    def report(self, *addresses: str, state: AddressState = AddressState.PREFERRED, reason: str | None = None) -> None:
        """Say that these addresses came, or changed to `state`."""
        self.send(AddressesChanged(changed=tuple(AddressReport(address, state, reason) for address in addresses)))

    def withdraw(self, *addresses: str) -> None:
        """Say that these addresses went."""
        self.send(AddressesChanged(gone=addresses))

    def send(self, message: Message) -> None:
        """Put a message among those that leave in this loop turn; a test whose loop rests sends it with the next."""
        self._channel.outbox.put(message)
        if self._loop is None or self._loop.is_running():
            self._pump.wake()
        else:
            self._loop.call_soon(self._pump.wake)

    def send_raw(self, frame: bytes | str) -> None:
        """Send a frame past the codec, right or wrong; on a link that an earlier one has ended it is dropped."""
        with contextlib.suppress(WebSocketClosedError):
            self._connection.write_message(frame, binary=isinstance(frame, bytes))

    async def hear(self, kind: type[Message]) -> Any:
        """Wait for the next message of this kind, over all others."""
        async with asyncio.timeout(WAIT):
            while not isinstance(message := await self.heard.get(), kind):
                pass
        return message

    async def drain(self) -> None:
        """Say that no more is taken, and wait for the coordinator to know."""
        self.send(Draining())
        await self.hear(Draining)

    async def flush(self) -> None:
        """Wait until all that was put has left."""
        async with asyncio.timeout(WAIT):
            await self._pump.flush()

    def hang_up(self) -> None:
        """Drop the connection without a word, as a process that is killed does."""
        self._connection.protocol.stream.close()

    async def closed(self) -> None:
        """Wait until the link is gone."""
        async with asyncio.timeout(WAIT):
            assert self._reading is not None
            await self._reading

    async def close(self) -> None:
        """End the link in order."""
        if self._connection is not None:
            self._connection.close(1000, "the agent ends")
            await self.closed()
            self._pump.end()

    async def _read(self) -> None:
        while (frame := await self._connection.read_message()) is not None:
            for message in self._channel.receive(frame):
                self._hear(message)
            self._pump.wake()

    def _hear(self, message: Message | Invalid) -> None:
        self.heard.put_nowait(message)
        match message:
            case Welcome():
                self.welcomed = message
            case Refused():
                self.refused = message
            case Execute():
                self._answer(self, message)

    @staticmethod
    def _fail(error: Exception) -> None:
        if not isinstance(error, (WebSocketClosedError, StreamClosedError)):
            raise error

    def _write(self, frame: bytes) -> asyncio.Future[None]:
        written: asyncio.Future[None] = self._connection.write_message(frame, binary=True)
        return written


async def post_json(url: str, content: Any) -> Any:
    """Send JSON and return the JSON that comes back; another answer than a success raises."""
    body = json.dumps(content).encode()
    request = HTTPRequest(url, method="POST", headers={"Content-Type": "application/json"}, body=body)
    client = SimpleAsyncHTTPClient(force_instance=True)
    try:
        return json.loads((await client.fetch(request)).body)
    finally:
        client.close()


# Answers


def ok(execute: Execute, **members: Any) -> Result:
    """Make the result of a target that said 200, with `members` of it replaced."""
    body = members.pop("body", b"hello")
    found: dict[str, Any] = {
        "id": execute.id,
        "status": 200,
        "reason": "OK",
        "http_version": "1.1",
        "remote_ip": "2001:db8:f::1",
        "source_ip": execute.source,
        "headers": (("Content-Type", "text/plain"),),
        "body_size": len(body),
        "timings": {"total": 1.5, "wait": 1.0},
        "body": body,
    }
    return Result(**(found | members))


def answers_ok(agent: ScriptedAgent, execute: Execute) -> None:
    """Answer as a target that says 200 and hello."""
    agent.send(ok(execute))


def answers(**members: Any) -> Answer:
    """Answer with a result that has these members."""
    return lambda agent, execute: agent.send(ok(execute, **members))


def fails(kind: FailureKind, detail: str = "it did not work") -> Answer:
    """Answer with a failure."""
    return lambda agent, execute: agent.send(Result(id=execute.id, error_kind=kind, error_detail=detail))


def never_answers(_agent: ScriptedAgent, _execute: Execute) -> None:
    """Take an execution and say nothing; a test may answer later with `agent.send(ok(execute))`."""


def hangs_up(agent: ScriptedAgent, _execute: Execute) -> None:
    """Be lost with the execution."""
    agent.hang_up()


def answers_twice(agent: ScriptedAgent, execute: Execute) -> None:
    """Answer, and answer once more with another status."""
    agent.send(ok(execute))
    agent.send(ok(execute, status=500))


def answers_from_another_source(agent: ScriptedAgent, execute: Execute) -> None:
    """Make the request from an address that was not asked for."""
    agent.send(ok(execute, source_ip="2001:db8:bad::1"))


def answers_with_status_and_error(agent: ScriptedAgent, execute: Execute) -> None:
    """Say that it worked and that it did not."""
    agent.send(ok(execute, error_kind=FailureKind.RESET))


def answers_with_too_much(agent: ScriptedAgent, execute: Execute) -> None:
    """Bring a byte more than was asked for."""
    agent.send(ok(execute, body=b"x" * (execute.max_body_bytes + 1)))


def answers_with_wrong_field(agent: ScriptedAgent, execute: Execute) -> None:
    """Send a result whose status is no status."""
    item = json.dumps([{"t": "result", "id": execute.id, "status": 7}]).encode()
    agent.send_raw(len(item).to_bytes(4, "big") + item)


def answers_with_garbage(agent: ScriptedAgent, _execute: Execute) -> None:
    """Send a frame that is none."""
    agent.send_raw(b"\xff\xff\xff\xff")


def answers_for_another(agent: ScriptedAgent, execute: Execute) -> None:
    """Answer an execution that nobody gave to this agent."""
    agent.send(ok(execute, id="somebody-else"))


@contextlib.asynccontextmanager
async def scripted_agent(
    base_url: str,
    addresses: Sequence[str] = ("2001:db8::1",),
    *,
    agent_id: str | None = None,
    answer: Answer = answers_ok,
) -> AsyncIterator[ScriptedAgent]:
    """Run an agent whose `addresses` are in the pool when this is entered."""
    agent = ScriptedAgent(answer)
    registered = await agent.register(base_url, agent_id=agent_id)
    await agent.connect(registered["websocket_url"])
    try:
        agent.say_hello()
        await agent.hear(Welcome)
        if addresses:
            agent.report(*addresses)
            await agent.flush()
            await wait_for_exits(base_url, agent.agent_id, set(addresses))
        yield agent
    finally:
        await agent.close()


async def wait_for_exits(base_url: str, agent_id: str, addresses: set[str]) -> None:
    """Wait until the pool has just these addresses of an agent."""
    client = SimpleAsyncHTTPClient(force_instance=True)
    try:
        async with asyncio.timeout(WAIT):
            while True:
                pool = json.loads((await client.fetch(f"{base_url}/api/pool/status")).body)
                if addresses == {each["address"] for each in pool["exits"] if each["agent_id"] == agent_id}:
                    return
    finally:
        client.close()
