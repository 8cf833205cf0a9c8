"""`/ws/monitor`: a snapshot, then what changed, over real WebSockets; no monitor can cost the others anything."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.websocket import WebSocketClientConnection, websocket_connect

from dispatcher.actors.loop_actor import ask, tell_or_drop
from dispatcher.actors.messages import DescribePool, ExitsChanged, LeaseExits
from dispatcher.monitor import changes
from dispatcher.monitor.model import Model
from dispatcher.web import monitor_changes, monitor_feed
from dispatcher.wire.messages import AddressReport, AddressState
from tests.support.coordinator import Running, coordinator_running
from tests.support.scripted_agent import answers, post_json, scripted_agent
from tests.support.stalls import collecting_only_what_is_new, judge

WAIT = 20.0
ADDRESSES = tuple(f"2001:db8:1::{number:x}" for number in range(1, 5))
STATES = (AddressState.PREFERRED, AddressState.PREFERRED, AddressState.DEPRECATED, AddressState.DADFAILED)
CONFIGURED = {"url": "https://u:p@x.test/", "headers": {"Authorization": "Bearer s3cret", "A": "b"}, "body": "y" * 5000}

Test = Callable[[Running], Coroutine[Any, Any, None]]


def with_coordinator(folder: Path, test: Test) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), coordinator_running(folder) as running:
            await test(running)

    asyncio.run(run())


class Watching:
    """A monitor of a test: every message in order."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self._connection = connection

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(WAIT):
            message = await self._connection.read_message()
        assert isinstance(message, str)
        content: dict[str, Any] = json.loads(message)
        return content

    async def until(self, wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        while not wanted(message := await self.next()):
            pass
        return message

    def say(self, text: str) -> None:
        self._connection.write_message(text)


@contextlib.asynccontextmanager
async def watching(running: Running) -> AsyncIterator[Watching]:
    connection = await websocket_connect(f"ws{running.url.removeprefix('http')}/ws/monitor", max_message_size=2**26)
    try:
        yield Watching(connection)
    finally:
        connection.close()
        async with asyncio.timeout(WAIT):
            while await connection.read_message() is not None:
                pass


async def get_json(url: str) -> Any:
    client = SimpleAsyncHTTPClient(force_instance=True)
    try:
        return json.loads((await client.fetch(HTTPRequest(url))).body)
    finally:
        client.close()


async def execute(running: Running, times: int = 1) -> list[Any]:
    return [await post_json(f"{running.url}/api/execute", {"url": "http://x.test/"}) for _ in range(times)]


def test_a_snapshot_comes_first_and_has_everything(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        async with scripted_agent(running.url, ADDRESSES, agent_id="a1"):
            records = await execute(running, 3)
            async with watching(running) as monitor:
                first = await monitor.next()
            assert "snapshot" == first["type"]
            assert ["a1"] == [agent["agent_id"] for agent in first["agents"]]
            assert await get_json(f"{running.url}/api/pool/status") == first["pool"]
            assert [record["id"] for record in reversed(records)] == [record["id"] for record in first["executions"]]
            assert (None, None) == (first["older"], first["request"])
            assert 3 == first["stats"]["executions"]["total"]
            assert 3 >= sum(first["rate"])

    with_coordinator(tmp_path, test)


def test_an_execution_is_told_at_once_and_without_its_body(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        async with scripted_agent(running.url, ADDRESSES), watching(running) as monitor:
            await monitor.next()
            [record] = await execute(running)
            begun = time.monotonic()
            change = await monitor.until(lambda message: message.get("executions"))
            assert 1.0 > time.monotonic() - begun
            record["response"]["body"] = {"encoding": "utf-8", "data": "", "size": 5, "truncated": True}
            assert ([record], 0) == (change["executions"], change["skipped"])

    with_coordinator(tmp_path, test)


def test_records_of_history_come_without_their_bodies_too(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        large = answers(body=b"z" * 60_000, headers=(("Long", "v" * 3000), ("Longer", "v" * 3000)))
        async with scripted_agent(running.url, ADDRESSES, answer=large):
            await execute(running)
        async with watching(running) as monitor:
            [record] = (await monitor.next())["executions"]
        assert {"encoding": "utf-8", "data": "", "size": 60_000, "truncated": True} == record["response"]["body"]
        assert ["Long"] == [name for name, _ in record["response"]["headers"]]

    with_coordinator(tmp_path, test)


def test_the_cursor_of_a_snapshot_goes_on_where_it_ends(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        async with scripted_agent(running.url, ADDRESSES):
            records = await execute(running, 103)
        async with watching(running) as monitor:
            first = await monitor.next()
        page = await get_json(f"{running.url}/api/history?cursor={first['older']}")
        told = [record["id"] for record in first["executions"] + page["items"]]
        assert [record["id"] for record in reversed(records)] == told

    with_coordinator(tmp_path, test)


def test_the_configured_request_is_told_without_secrets_and_with_the_start_of_its_body(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        async with watching(running) as monitor:
            await monitor.next()
            await post_json(f"{running.url}/api/config/request", CONFIGURED)
            told = (await monitor.until(lambda message: "request" in message))["request"]
        assert "https://[redacted]@x.test/" == told["url"]
        assert [["Authorization", "[redacted]"], ["A", "b"]] == told["headers"]
        assert (1000, 5000, 1) == (len(told["body"]), told["body_size"], told["revision"])
        async with watching(running) as monitor:
            assert told == (await monitor.next())["request"]

    with_coordinator(tmp_path, test)


def test_the_order_of_the_pool_comes_out_right_whatever_happens_between_two_ticks(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        pool, chance = running.services.pool, random.Random(1)
        async with scripted_agent(running.url, ADDRESSES) as agent, watching(running) as monitor:
            model = changes.take_in(Model(), await monitor.next())
            for _ in range(12):
                for _ in range(chance.randrange(6)):
                    flapping = chance.choice(ADDRESSES)
                    agent.withdraw(flapping)
                    agent.report(flapping, state=chance.choice(STATES))
                    await agent.flush()
                    await ask(pool, LeaseExits())
                status = await ask(pool, DescribePool())
                wanted = [(known.agent_id, known.address) for known in status.exits]
                async with asyncio.timeout(WAIT):
                    while wanted != list(model.exits):
                        message = await monitor.next()
                        assert "change" == message["type"]
                        model = changes.take_in(model, message)

    with_coordinator(tmp_path, test)


def test_an_order_that_the_rule_does_not_give_is_told(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        async with scripted_agent(running.url, ADDRESSES) as agent, watching(running) as monitor:
            await monitor.next()
            agent.withdraw(ADDRESSES[0])
            agent.report(ADDRESSES[0])
            pool = (await monitor.until(lambda message: "pool" in message))["pool"]
            assert [*ADDRESSES[1:], ADDRESSES[0]] == [address for _, address in pool["order"]]

    with_coordinator(tmp_path, test)


def test_leases_alone_need_no_order(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        async with scripted_agent(running.url, ADDRESSES), watching(running) as monitor:
            await monitor.next()
            await execute(running, 3)
            pool = (await monitor.until(lambda message: "pool" in message))["pool"]
            assert "order" not in pool

    with_coordinator(tmp_path, test)


def test_an_agents_addresses_are_told_once(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        async with scripted_agent(running.url, ADDRESSES, agent_id="a1") as agent, watching(running) as monitor:
            await monitor.next()
            await execute(running)
            [changed] = (await monitor.until(lambda message: "agents" in message))["agents"]["changed"]
            assert "addresses" not in changed
            agent.report("2001:db8:1::99")
            await monitor.until(lambda message: "addresses" in str(message.get("agents")))

    with_coordinator(tmp_path, test)


def test_whatever_a_monitor_says_gets_it_a_new_snapshot(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        async with watching(running) as monitor:
            assert "snapshot" == (await monitor.next())["type"]
            monitor.say("snapshot")
            await monitor.until(lambda message: message["type"] == "snapshot")

    with_coordinator(tmp_path, test)


def test_the_rate_beats_once_a_second_though_nothing_happens(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        async with watching(running) as monitor:
            await monitor.next()
            assert {"type", "rate"} == set(await monitor.until(lambda message: "rate" in message))
            begun = time.monotonic()
            await monitor.until(lambda message: message.get("rate") == [0])
            assert 5.0 > time.monotonic() - begun

    with_coordinator(tmp_path, test)


@pytest.mark.parametrize(
    ("took", "own", "pause"),
    [
        (0.001, 0.001, monitor_feed.TICK_SECONDS - 0.001),
        (0.060, 0.006, monitor_feed.TICK_SECONDS - 0.060),
        (0.400, 0.006, 0.024),
        (0.200, 0.100, 0.400),
    ],
)
def test_a_tick_is_paid_for_with_a_rest_by_what_it_held_the_loop_and_not_by_what_it_waited(
    took: float, own: float, pause: float
) -> None:
    assert pause == pytest.approx(monitor_feed.rest(took, own))


def test_nobody_pays_while_no_monitor_looks(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        feed = running.services.feed
        async with scripted_agent(running.url, ADDRESSES):
            async with watching(running) as monitor:
                await monitor.next()
            await execute(running, 3)
            assert (0, 0) == (len(feed._records), feed._finished)
            async with watching(running) as monitor:
                assert 3 == len((await monitor.next())["executions"])

    with_coordinator(tmp_path, test)


def test_a_monitor_that_does_not_read_gets_a_new_snapshot_once_it_does_and_slows_nobody(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        async with scripted_agent(running.url, ADDRESSES), watching(running) as quick:
            await quick.next()
            with not_reading(running) as slow:
                # Fill what the system buffers, so that a message to the slow one stays on its way.
                await until_busy(running, quick)
                begun = time.monotonic()
                [record] = await execute(running)
                change = await quick.until(lambda message: message.get("executions"))
                assert record["id"] == change["executions"][-1]["id"]
                assert 1.0 > time.monotonic() - begun
                last = await second_snapshot(slow)
            assert record["id"] == last["executions"][0]["id"]

    with_coordinator(tmp_path, test)


@contextlib.contextmanager
def not_reading(running: Running) -> Any:
    """A monitor that says hello and then reads nothing."""
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(
            b"GET /ws/monitor HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        yield connection


async def until_busy(running: Running, quick: Watching) -> None:
    """Make large changes until a monitor has not taken one, and is to have a snapshot."""
    reports = tuple(AddressReport(f"2001:db8:9::{number:x}", AddressState.PREFERRED) for number in range(1500))
    gone = tuple(report.address for report in reports)
    here = running.services.registry
    async with asyncio.timeout(WAIT):
        while not any(monitor.needs_snapshot for monitor in running.services.feed._monitors):
            tell_or_drop(running.services.pool, ExitsChanged("bulk", here, reports))
            await quick.until(lambda message: "pool" in message)
            tell_or_drop(running.services.pool, ExitsChanged("bulk", here, (), gone))
            await quick.until(lambda message: "pool" in message)


async def second_snapshot(connection: socket.socket) -> dict[str, Any]:
    """Read up to the snapshot that makes up for what was missed."""
    connection.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=connection.dup())
    try:
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT)
        snapshots = 0
        while snapshots < 2:
            message = await asyncio.wait_for(read_frame(reader), WAIT)
            snapshots += message["type"] == "snapshot"
        return message
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def read_frame(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Read a text frame of a server, which is not masked; pings are read past."""
    while True:
        kind, size = await reader.readexactly(2)
        if size == 126:
            size = int.from_bytes(await reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await reader.readexactly(8), "big")
        content = await reader.readexactly(size)
        if kind & 0x0F == 1:
            message: dict[str, Any] = json.loads(content)
            return message


def test_a_thousand_exits_and_five_hundred_changes_a_second_do_not_hold_the_loop(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        addresses = tuple(f"2001:db8:1::{number:x}" for number in range(1, 1001))
        reports = tuple(AddressReport(address, AddressState.PREFERRED) for address in addresses)
        tell_or_drop(running.services.pool, ExitsChanged("a1", running.services.registry, reports))
        async with watching(running) as monitor:
            assert 1000 == len((await monitor.next())["pool"]["exits"])
            worst = asyncio.create_task(longest_work())
            for _ in range(8):
                for _ in range(75):  # in a tick of 0.15 s
                    await ask(running.services.pool, LeaseExits())
                seen = await monitor.until(lambda message: "pool" in message)
                assert "order" not in seen["pool"]
            worst.cancel()
            judge([await worst], "the coordinator")

    async def longest_work() -> float:
        """Return the longest time that the loop's thread worked between two of its turns, in seconds."""
        worst = 0.0
        with collecting_only_what_is_new(), contextlib.suppress(asyncio.CancelledError):
            while True:
                worked = time.thread_time()
                await asyncio.sleep(0.001)
                worst = max(worst, time.thread_time() - worked)
        return worst

    with_coordinator(tmp_path, test)


def test_a_list_gives_the_loop_its_turn() -> None:
    async def run() -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        content = await monitor_changes.encoded_list(range(2000), lambda number: number)
        counting.cancel()
        assert list(range(2000)) == json.loads(content)
        assert 3 <= turns

    asyncio.run(run())
