from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dispatcher import __version__
from dispatcher.access import Access
from dispatcher.agent import link as link_module
from dispatcher.agent.link import Link, LinkLostError, LinkRefusedError
from dispatcher.errors import FailureKind, Party
from dispatcher.wire import limits
from dispatcher.wire.fields import WireError
from dispatcher.wire.messages import (
    Again,
    BodyChunk,
    Cancel,
    Draining,
    Execute,
    Hello,
    RefusalCode,
    Refused,
    Result,
    Welcome,
)
from dispatcher.wire.version import WIRE
from tests.support.scripted_coordinator import (
    ScriptedCoordinator,
    answers,
    says_nothing,
    scripted_coordinator,
)
from tests.unit.loops import on_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

WELCOME = Welcome(wire=WIRE, agent_id="agent-01", version="0")


PLAIN = Access("http://coordinator.test")


class Heard:
    """A `LinkUser` that keeps what it is told."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.frames: list[int] = []  # at the end of each, how many events were not taken yet
        self.on_welcome: Callable[[Any], None] = lambda link: self._put("welcome", link)
        self.on_cancel: Callable[[Any], None] = lambda identifier: self._put("cancel", identifier)
        self.on_lost: Callable[[Any], None] = lambda link: self._put("lost", link)

    def on_execute(self, link: Link, execute: Execute) -> None:
        self._put("execute", execute)

    def on_heard(self) -> None:
        self.frames.append(self.events.qsize())

    def on_draining(self) -> None:
        self._put("draining", None)

    def on_delivered(self, execution_ids: Collection[str]) -> None:
        self._put("delivered", list(execution_ids))

    def _put(self, name: str, value: Any) -> None:
        self.events.put_nowait((name, value))

    async def next(self) -> tuple[str, Any]:
        async with asyncio.timeout(10):
            return await self.events.get()


async def outcome(coordinator: ScriptedCoordinator, user: Heard | None = None) -> Exception:
    """Run a link to its end and return what it raised."""
    link = Link(user or Heard(), "gateway", PLAIN)
    with pytest.raises((LinkLostError, LinkRefusedError)) as raised:
        await link.run(f"{coordinator.url.replace('http', 'ws')}/ws/agent", "a session")
    return raised.value


def test_a_link_begins_with_a_hello_that_says_who_calls() -> None:
    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            running = asyncio.create_task(outcome(coordinator))
            far = await coordinator.next_link()
            hello = await far.hear(Hello)
            assert Hello(wire=WIRE, session="a session", version=__version__, hostname="gateway") == hello
            far.close()
            assert "the coordinator closed the link" == str(await running)

    on_loop(test)


def test_what_the_coordinator_says_reaches_the_user_in_order() -> None:
    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            user = Heard()
            execute = Execute(id="x1", source="::1", method="GET", url="http://[::1]/", timeout=1.0)
            coordinator.on_hello = answers(WELCOME, execute, Cancel("x1"), Draining())
            running = asyncio.create_task(outcome(coordinator, user))
            assert "welcome" == (await user.next())[0]
            assert ("execute", execute) == await user.next()
            assert ("cancel", "x1") == await user.next()
            assert ("draining", None) == await user.next()
            (await coordinator.next_link()).hang_up()
            assert "lost" == (await user.next())[0]
            assert isinstance(await running, LinkLostError)

    on_loop(test)


def test_the_user_hears_where_a_frame_ends_and_does_so_if_what_it_was_told_was_too_much_for_it() -> None:
    class Failing(Heard):
        def on_execute(self, link: Link, execute: Execute) -> None:
            super().on_execute(link, execute)
            if execute.id == "x4":
                raise WireError("a fault")

    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            user = Failing()
            executes = [Execute(f"x{each}", "::1", "GET", "http://[::1]/", 1.0) for each in range(1, 5)]
            coordinator.on_hello = answers(WELCOME)
            running = asyncio.create_task(outcome(coordinator, user))
            assert "welcome" == (await user.next())[0]
            before = len(user.frames)
            far = await coordinator.next_link()
            far.say(*executes)
            assert "the coordinator broke the protocol: a fault" == str(await running)
            assert [4] == user.frames[before:]

    on_loop(test)


@pytest.mark.parametrize("secret", [(), ("X-Token", "X-Other")])
def test_a_link_knows_by_its_welcome_which_headers_are_secret(secret: tuple[str, ...]) -> None:
    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            user = Heard()
            coordinator.on_hello = answers(replace(WELCOME, secret_headers=secret))
            running = asyncio.create_task(outcome(coordinator, user))
            _, link = await user.next()
            assert secret == link.secret_headers
            (await coordinator.next_link()).hang_up()
            await running

    on_loop(test)


def test_a_refusal_ends_the_link_and_says_why() -> None:
    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            refusal = Refused(RefusalCode.VERSION, "too old", ("7",))
            coordinator.on_hello = answers(refusal)
            error = await outcome(coordinator)
            assert isinstance(error, LinkRefusedError)
            assert refusal == error.refusal

    on_loop(test)


def test_what_a_refusal_says_is_one_line_of_a_log() -> None:
    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            coordinator.on_hello = answers(Refused(RefusalCode.REMOVED, "gone\nERROR: all is lost\x1b[31m"))
            assert "removed: gone?ERROR: all is lost?[31m" == str(await outcome(coordinator))

    on_loop(test)


def test_a_user_hears_of_no_loss_of_a_link_that_was_never_welcome() -> None:
    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            user = Heard()
            coordinator.on_hello = answers(Refused(RefusalCode.SESSION, "unknown"))
            await outcome(coordinator, user)
            assert user.events.empty()

    on_loop(test)


def test_a_coordinator_that_never_welcomes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "CONNECT_SECONDS", 0.2)

    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            coordinator.on_hello = says_nothing
            assert "the coordinator did not welcome this agent in time" == str(await outcome(coordinator))

    on_loop(test)


def test_a_welcome_ends_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "CONNECT_SECONDS", 0.2)

    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            user = Heard()
            running = asyncio.create_task(outcome(coordinator, user))
            far = await coordinator.next_link()
            await user.next()
            await asyncio.wait([running], timeout=0.5)
            far.say(Cancel("still there"))
            assert ("cancel", "still there") == await user.next()
            far.close()
            await running

    on_loop(test)


@pytest.mark.parametrize(
    ("frame", "detail"),
    [("text", "a frame of text"), (b"\xff\xff\xff\xff", "a frame that is shorter"), (b"\0\0\0\2{}", "not objects")],
)
def test_a_coordinator_that_breaks_the_protocol_loses_the_link(frame: bytes | str, detail: str) -> None:
    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            coordinator.on_hello = lambda link, _: link.send_raw(frame)
            error = str(await outcome(coordinator))
            assert error.startswith("the coordinator broke the protocol: ")
            assert detail in error

    on_loop(test)


def test_an_execution_that_cannot_be_read_is_answered_all_the_same() -> None:
    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            running = asyncio.create_task(outcome(coordinator))
            far = await coordinator.next_link()
            head = b'[{"t":"execute","id":"x1","source":"::1","method":"GET","url":"http://[::1]/","timeout":-1}]'
            far.send_raw(len(head).to_bytes(4, "big") + head)
            result = await far.hear(Result)
            assert ("x1", FailureKind.INTERNAL, Party.COORDINATOR) == (result.id, result.error_kind, result.error_party)
            assert "timeout" in result.error_detail
            far.close()
            await running

    on_loop(test)


def test_results_of_one_loop_turn_share_a_frame() -> None:
    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            frames: list[bytes | str] = []
            user = Heard()
            link = Link(user, "gateway", PLAIN)
            running = asyncio.create_task(link.run(f"{coordinator.url.replace('http', 'ws')}/ws/agent", "s"))
            far = await coordinator.next_link()
            await user.next()
            hear = far.on_message

            def on_message(message: str | bytes) -> None:
                frames.append(message)
                hear(message)

            far.on_message = on_message  # type: ignore[method-assign]  # a look at what comes
            for number in range(50):
                link.send(Result(id=f"x{number}", status=200))
            await link.flush()
            for _ in range(50):
                await far.hear(Result)
            assert 1 == len(frames)
            link.close()
            with pytest.raises(LinkLostError):
                await running

    on_loop(test)


def test_what_is_sent_on_a_link_that_is_gone_is_dropped() -> None:
    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            user = Heard()
            link = Link(user, "gateway", PLAIN)
            running = asyncio.create_task(link.run(f"{coordinator.url.replace('http', 'ws')}/ws/agent", "s"))
            (await coordinator.next_link()).hang_up()
            with pytest.raises(LinkLostError):
                await running
            link.send(Result(id="x1", status=200))
            async with asyncio.timeout(5):
                await link.flush()

    on_loop(test)


def test_a_coordinator_that_falls_silent_is_noticed_within_twice_the_ping_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PING_SECONDS", 0.2)

    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            user = Heard()
            running = asyncio.create_task(outcome(coordinator, user))
            far = await coordinator.next_link()
            await user.next()
            assert far.ws_connection is not None
            monkeypatch.setattr(far.ws_connection, "_send_pong", lambda _: None)
            begun = time.monotonic()
            assert "nothing came for 0.2 s, not even an answer to a ping" == str(await running)
            assert time.monotonic() - begun < 3
            assert "lost" == (await user.next())[0]

    on_loop(test)


def test_the_agent_notices_a_dead_link_within_20_seconds() -> None:
    assert link_module.PING_SECONDS * 2 <= 20


def test_a_place_where_nobody_listens_is_no_link() -> None:
    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            url = coordinator.url
        link = Link(Heard(), "gateway", PLAIN)
        with pytest.raises(LinkLostError, match="cannot connect to ws://"):
            await link.run(f"{url.replace('http', 'ws')}/ws/agent", "s")

    on_loop(test)


def test_a_coordinator_that_does_not_read_loses_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_QUEUED_BYTES", 1000)

    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            user = Heard()
            link = Link(user, "gateway", PLAIN)
            running = asyncio.create_task(link.run(f"{coordinator.url.replace('http', 'ws')}/ws/agent", "s"))
            await user.next()
            for identifier in ("x1", "x2"):
                link.send(Result(id=identifier, status=200, body=b"x" * 2000))
            with pytest.raises(LinkLostError, match=r"^the coordinator does not read: 0 bytes wait to be sent$"):
                await running

    on_loop(test)


def test_a_second_welcome_breaks_the_protocol_and_brings_nothing_again() -> None:
    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            user = Heard()
            coordinator.on_hello = answers(*[WELCOME] * 500)
            expected = "the coordinator broke the protocol: a second welcome on one link"
            assert expected == str(await outcome(coordinator, user))
            assert ["welcome", "lost"] == [(await user.next())[0] for _ in range(2)]
            assert user.events.empty()

    on_loop(test)


def test_bodies_that_never_end_cost_a_coordinator_its_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_ARRIVING_BYTES", 100_000)

    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            chunks = [BodyChunk(f"x{number}", bytes(5000)) for number in range(50)]
            coordinator.on_hello = answers(WELCOME, *chunks)
            expected = "the coordinator broke the protocol: bodies of more than 100000 bytes that do not end"
            assert expected == str(await outcome(coordinator))

    on_loop(test)


def test_a_ping_into_a_connection_that_has_just_gone_is_no_fault() -> None:
    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            user = Heard()
            link = Link(user, "gateway", PLAIN)
            running = asyncio.create_task(link.run(f"{coordinator.url.replace('http', 'ws')}/ws/agent", "s"))
            await user.next()
            assert link._connection is not None
            assert link._connection.protocol is not None
            link._connection.protocol.stream.close()  # type: ignore[union-attr]  # it has one
            link._ping(b"")
            with pytest.raises(LinkLostError):
                await running

    on_loop(test)


def test_an_execution_that_is_like_none_is_answered_as_one_that_cannot_be_read() -> None:
    async def test() -> None:
        async with scripted_coordinator() as coordinator:
            user = Heard()
            coordinator.on_hello = answers(WELCOME, Again("x1", "::1", 1.0))
            running = asyncio.create_task(outcome(coordinator, user))
            far = await coordinator.next_link()
            result = await far.hear(Result)
            assert ("x1", FailureKind.INTERNAL, Party.COORDINATOR) == (result.id, result.error_kind, result.error_party)
            assert "no execution without a body is before it" in result.error_detail
            far.hang_up()
            await running

    on_loop(test)
