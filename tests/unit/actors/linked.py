"""What the tests of `AgentConnection` share: a link in memory, who is told, and an agent to try."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pykka

from dispatcher.actors.agent_connection import AgentConnection
from dispatcher.actors.loop_actor import LoopActor, ask, ask_then
from dispatcher.actors.messages import (
    AgentStatus,
    DescribeAgent,
    Ended,
    FromAgent,
    LinkClosed,
    LinkOpened,
    NotTaken,
    Outcome,
    Run,
    RunExecutions,
)
from dispatcher.errors import FailureKind
from dispatcher.wire import messages as wire
from dispatcher.wire.codec import Invalid
from dispatcher.wire.version import WIRE
from tests.unit.loops import on_loop, turns

SOURCE = "2001:db8::a"
NEVER = 1000.0
HELLO = wire.Hello(wire=(1, 0), session="s", version="1.2.3", hostname="gateway")
NEWER = wire.Hello(wire=WIRE, session="s", version="1.2.3", hostname="gateway")
OTHER_PROCESS = wire.Hello(wire=WIRE, session="t", version="1.2.3", hostname="gateway")


class Link:
    """A link in memory: notes what is sent, and keeps what it is told to keep as not yet left."""

    def __init__(self) -> None:
        self.sent: list[wire.Message] = []
        self.withdrawn: list[str] = []
        self.refusals: list[wire.Refused | None] = []
        self.unsent: set[str] = set()
        self.expected: list[str] = []
        self.aborted: list[str] = []
        self.proof: asyncio.Future[bool] | None = None

    def send(self, message: wire.Message) -> bool:
        self.sent.append(message)
        return True

    def withdraw(self, execution_id: str) -> bool:
        self.withdrawn.append(execution_id)
        return execution_id in self.unsent

    def expect(self, execution: wire.Execute) -> None:
        self.expected.append(execution.id)

    def prove_alive(self, seconds: float) -> asyncio.Future[bool]:
        self.proof = asyncio.get_running_loop().create_future()
        return self.proof

    def abort(self, reason: str) -> None:
        self.aborted.append(reason)

    def close_link(self, refusal: wire.Refused | None = None) -> None:
        self.refusals.append(refusal)

    @property
    def codes(self) -> list[wire.RefusalCode]:
        return [refusal.code for refusal in self.refusals if refusal is not None]


class FullLink(Link):
    """Takes no execution."""

    def send(self, message: wire.Message) -> bool:
        return not isinstance(message, wire.Execute) and super().send(message)


class Told(LoopActor):
    """Stands for the pool or the registry: notes what it is told."""

    def __init__(self, heard: list[Any]) -> None:
        super().__init__()
        self._heard = heard

    def on_receive(self, message: Any) -> None:
        self._heard.append(message)


def execute(identifier: str = "x", timeout: float = NEVER, max_body_bytes: int = 100) -> wire.Execute:
    return wire.Execute(identifier, SOURCE, "GET", "http://x/", timeout, max_body_bytes=max_body_bytes)


def answer(identifier: str = "x", body: bytes = b"", **fields: Any) -> wire.Result:
    members: dict[str, Any] = {"status": 200, "source_ip": SOURCE, "body_size": len(body), **fields}
    return wire.Result(id=identifier, body=body, **members)


def run(ref: pykka.ActorRef[Any], what: wire.Execute) -> asyncio.Future[Ended | NotTaken]:
    """Give a connection an execution; the future is how it ended, or why it was not taken."""
    ended: asyncio.Future[Ended | NotTaken] = asyncio.get_running_loop().create_future()

    def take(_: Run | None, end: Ended | NotTaken) -> None:
        if not ended.cancelled():
            ended.set_result(end)

    def take_answer(refusal: NotTaken | None, error: Exception | None) -> None:
        if error is not None:
            ended.set_exception(error)
        elif refusal is not None:
            take(None, refusal)

    ask_then(ref, RunExecutions((Run(what, take),)), take_answer)
    return ended


class Agent:
    """A connection with a link, and the shorthand of its tests."""

    def __init__(self, grace: float = 0.0, server_version: str = "9", resume: float = NEVER) -> None:
        self.pool: list[Any] = []
        self.registry: list[Any] = []
        self.ref: pykka.ActorRef[AgentConnection] = AgentConnection.start(
            agent_id="agent-01",
            hostname="registered",
            version="0",
            announced=(SOURCE,),
            pool=Told.start(self.pool),
            registry=Told.start(self.registry),
            grace_seconds=grace,
            resume_seconds=resume,
            server_version=server_version,
        )
        self.link: Link = Link()

    def open(self, link: Link | None = None, hello: wire.Hello = HELLO) -> Link:
        self.link = link or Link()
        self.ref.tell(LinkOpened(self.link, hello))
        return self.link

    def close(self, link: Link | None = None, *unsent: str) -> None:
        self.ref.tell(LinkClosed(link or self.link, "it broke", frozenset(unsent)))

    def fall_silent(self, *unsent: str) -> None:
        self.ref.tell(LinkClosed(self.link, "nothing came", frozenset(unsent), may_resume=True))

    def say(self, message: wire.Message | Invalid, link: Link | None = None) -> None:
        self.ref.tell(FromAgent(link or self.link, (message,)))

    async def run(self, what: wire.Execute | None = None) -> asyncio.Future[Ended | NotTaken]:
        """Give it an execution, and let it come there."""
        running = run(self.ref, what or execute())
        await turns()
        return running

    async def describe(self) -> AgentStatus:
        return await ask(self.ref, DescribeAgent())


def on_agent(test: Callable[[Agent], Any], **options: Any) -> None:
    """Run a test with an agent whose link is open."""

    async def with_agent() -> None:
        agent = Agent(**options)
        agent.open()
        await turns()
        await test(agent)

    on_loop(with_agent)


def report(number: int) -> wire.AddressReport:
    return wire.AddressReport(f"2001:db8::{number:x}", wire.AddressState.PREFERRED)


def on_newer_agent(test: Callable[[Agent], Any], **options: Any) -> None:
    """Run a test with an agent that can go on with its executions on its next link."""

    async def with_agent() -> None:
        agent = Agent(**options)
        agent.open(hello=NEWER)
        await turns()
        await test(agent)

    on_loop(with_agent)


async def failure(running: asyncio.Future[Ended | NotTaken]) -> tuple[Outcome, FailureKind | None]:
    ended = await running
    assert isinstance(ended, Ended)
    assert ended.result.failure is not None
    assert "" != ended.result.failure.detail
    return ended.outcome, ended.result.error_kind


async def ended(running: asyncio.Future[Ended | NotTaken]) -> Ended:
    found = await running
    assert isinstance(found, Ended)
    return found
