"""`link.py`, `feed.py` and `rest.py`: the thread that follows a real coordinator and does what is asked."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from dispatcher.access import Access
from dispatcher.actors.messages import HistoryFilter
from dispatcher.monitor.events import (
    Answered,
    Command,
    Event,
    Execute,
    LinkDown,
    LinkUp,
    ReadOlder,
    ReadRecord,
    ReadRequest,
    Refresh,
    RemoveAgent,
    StoreRequest,
    Told,
)
from dispatcher.monitor.link import MESSAGES_AHEAD, Link
from dispatcher.web import cursors
from tests.support.coordinator import Running, coordinator_running
from tests.support.scripted_agent import scripted_agent

WAIT = 20.0
CONTENT = {"url": "http://x.test/", "timeout": 5.0}


class Following:
    """A link whose events a test takes one after another."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self.link: Link

    def post(self, event: Event) -> None:
        self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    async def next(self, kind: type[Any]) -> Any:
        async with asyncio.timeout(WAIT):
            while True:
                event = await self._events.get()
                if isinstance(event, Told):
                    self.link.taken(1)
                if isinstance(event, kind):
                    return event

    async def snapshot(self) -> Any:
        while (told := await self.next(Told)).message.get("type") != "snapshot":
            pass
        return told.message

    async def do(self, command: Command) -> Answered:
        self.link.do(command)
        answered: Answered = await self.next(Answered)
        return answered


@contextlib.asynccontextmanager
async def following(url: str) -> AsyncIterator[Following]:
    watched = Following()
    with Link(Access(url), watched.post) as watched.link:
        yield watched
        await asyncio.sleep(0)
    assert not watched.link._runner.is_alive()
    assert watched.link.failure is None


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(bounded())


def with_coordinator(folder: Path, test: Callable[[Running, Following], Coroutine[Any, Any, None]]) -> None:
    async def inner() -> None:
        async with coordinator_running(folder) as running, following(running.url) as watched:
            await watched.next(LinkUp)
            await test(running, watched)

    run(inner)


def test_the_feed_comes_as_events(tmp_path: Path) -> None:
    async def test(running: Running, watched: Following) -> None:
        assert [] == (await watched.snapshot())["agents"]
        async with scripted_agent(running.url, agent_id="a1"):
            while "agents" not in (told := (await watched.next(Told)).message):
                pass
            assert "a1" == told["agents"]["changed"][0]["agent_id"]

    with_coordinator(tmp_path, test)


def test_every_command_is_answered_with_status_and_content(tmp_path: Path) -> None:
    async def test(running: Running, watched: Following) -> None:
        async with scripted_agent(running.url, agent_id="a1"):
            assert (404, "") == ((await watched.do(ReadRequest())).status, "")
            assert 409 == (await watched.do(Execute())).status
            invalid = await watched.do(StoreRequest({**CONTENT, "timeout": 0}))
            assert (422, "/timeout") == (invalid.status, invalid.content["errors"][0]["pointer"])
            assert 1 == (await watched.do(StoreRequest(CONTENT))).content["revision"]
            assert "http://x.test/" == (await watched.do(ReadRequest())).content["url"]
            record = (await watched.do(Execute())).content
            assert "completed" == record["outcome"]
            assert record == (await watched.do(ReadRecord(record["id"]))).content
            assert [record] == (await watched.do(ReadOlder(cursors.encode(1000, HistoryFilter())))).content["items"]
            assert 204 == (await watched.do(RemoveAgent("a1"))).status
            assert 404 == (await watched.do(RemoveAgent("a/../1"))).status

    with_coordinator(tmp_path, test)


def test_refresh_brings_a_new_snapshot(tmp_path: Path) -> None:
    async def test(_running: Running, watched: Following) -> None:
        await watched.snapshot()
        watched.link.do(Refresh())
        await watched.snapshot()

    with_coordinator(tmp_path, test)


def test_a_coordinator_that_goes_and_comes_back_is_followed_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with contextlib.AsyncExitStack() as stack:
            running = await stack.enter_async_context(coordinator_running(tmp_path))
            watched = await stack.enter_async_context(following(running.url))
            await watched.snapshot()
            await running.services.sockets.close_all(5.0)
            assert "the coordinator shuts down" == (await watched.next(LinkDown)).reason
            watched.link.do(Refresh())
            await watched.next(LinkUp)
            await watched.snapshot()

    run(test)


def test_an_execution_that_is_under_way_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async def test(running: Running, watched: Following) -> None:
        asked = asyncio.Event()
        async with scripted_agent(running.url, answer=lambda _agent, _execute: asked.set()):
            await watched.do(StoreRequest(CONTENT))
            watched.link.do(Execute())
            await asyncio.wait_for(asked.wait(), WAIT)
            begun = time.monotonic()
            watched.link.__exit__()
            assert 1.0 > time.monotonic() - begun
            assert not watched.link._runner.is_alive()

    with_coordinator(tmp_path, test)


def test_where_nobody_listens_the_reason_is_said_and_commands_are_answered(free_port: int) -> None:
    async def test() -> None:
        async with following(f"http://127.0.0.1:{free_port}") as watched:
            assert "connection refused" in (await watched.next(LinkDown)).reason
            answered = await watched.do(Execute())
            assert (0, "connection refused") == (answered.status, answered.problem)

    run(test)


def test_somebody_who_is_no_coordinator_is_said_to_be_none() -> None:
    async def test() -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, following(f"http://127.0.0.1:{port}") as watched:
            assert "does not answer as a coordinator" in (await watched.next(LinkDown)).reason

    run(test)


def test_a_screen_that_does_not_follow_holds_the_reading_back(tmp_path: Path) -> None:
    async def test() -> None:
        events: asyncio.Queue[Event] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        async with coordinator_running(tmp_path) as running:
            with Link(Access(running.url), lambda event: loop.call_soon_threadsafe(events.put_nowait, event)) as link:
                assert isinstance(await asyncio.wait_for(events.get(), WAIT), LinkUp)
                for _ in range(MESSAGES_AHEAD):
                    link.do(Refresh())
                    await asyncio.wait_for(events.get(), WAIT)
                link.do(Refresh())
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(events.get(), 1.5)
                link.taken(1)
                assert isinstance(await asyncio.wait_for(events.get(), WAIT), Told)

    run(test)


@pytest.fixture
def free_port() -> int:
    import socket  # noqa: PLC0415 (for this fixture alone)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
