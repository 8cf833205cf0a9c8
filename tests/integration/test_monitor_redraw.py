"""The monitor redraws within 250 ms of a change, measured from the feed's message and from an execution's answer.

A machine that is busy with something else delays anybody, so each promise is tried a few times and has to hold once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from dispatcher.web.monitor_feed import TICK_SECONDS
from tests.support.coordinator import coordinator_running
from tests.support.drawn import Drawn, monitor_drawing
from tests.support.scripted_agent import post_json, scripted_agent
from tests.unit.monitor.examples import exit_, record, snapshot

PROMISED_SECONDS = 0.25
TRIES = 5
MARKS_A_TRY = 5
PER_SECOND = 1000
EXITS = 1000

Mark = Callable[[str], Awaitable[None]]


async def slowest(drawn: Drawn, cause: Mark, name: str) -> float:
    """Cause a few marks, each elsewhere between two ticks; return the seconds until the latest of them was drawn."""
    worst = 0.0
    for number in range(MARKS_A_TRY):
        await asyncio.sleep(TICK_SECONDS * (1 + number / MARKS_A_TRY))
        mark = f"m-{name}.{number}"
        await cause(mark)
        begun = time.monotonic()
        await drawn.until(mark)
        worst = max(worst, time.monotonic() - begun)
    return worst


async def best(drawn: Drawn, cause: Mark) -> float:
    """Try until the promise holds, a few times at most; return the shortest of the slowest."""
    found = float("inf")
    for number in range(TRIES):
        found = min(found, await slowest(drawn, cause, str(number)))
        if found < PROMISED_SECONDS:
            break
    return found


async def only_marks(drawn: Drawn) -> None:
    """Have history show nothing but marks, so that they are in sight however much else comes."""
    drawn.press(b"/m-\r")
    await drawn.until("/m-")


class ScriptedFeed:
    """A feed of 1,000 exits that says what a coordinator says at 1,000 executions a second."""

    def __init__(self) -> None:
        self.url = ""
        self._sockets: list[WebSocketHandler] = []
        self._records = 1000

    def opened(self, socket: WebSocketHandler) -> None:
        exits = [exit_(1, low) for low in range(1, EXITS + 1)]
        socket.write_message(json.dumps(snapshot(pool={"size": EXITS, "available": EXITS, "exits": exits})))
        self._sockets.append(socket)

    def say(self, count: int, **members: Any) -> None:
        """Say that so many executions ended, each through another exit; `members` are of the newest."""
        numbers = range(self._records, self._records + count)
        self._records += count
        records = [record(number) for number in numbers]
        records[-1] |= members
        changed = [exit_(1, number % EXITS + 1, leased=number) for number in numbers]
        change = {
            "type": "change",
            "executions": records,
            "pool": {"size": EXITS, "available": EXITS, "changed": changed, "gone": []},
            "stats": {**snapshot()["stats"], "rate_per_second": float(self._records)},
        }
        for socket in self._sockets:
            socket.write_message(json.dumps(change))

    async def load(self) -> None:
        """Say it at every tick."""
        while True:
            self.say(int(PER_SECOND * TICK_SECONDS))
            await asyncio.sleep(TICK_SECONDS)


@contextlib.asynccontextmanager
async def feeding() -> AsyncIterator[ScriptedFeed]:
    """Serve a scripted feed."""
    feed = ScriptedFeed()

    class Feed(WebSocketHandler):
        def open(self, *_args: str, **_kwargs: str) -> None:
            feed.opened(self)

    [socket] = bind_sockets(0, "127.0.0.1")
    feed.url = f"http://127.0.0.1:{socket.getsockname()[1]}"
    server = HTTPServer(Application([("/ws/monitor", Feed)]))
    server.add_socket(socket)
    try:
        yield feed
    finally:
        server.stop()
        await server.close_all_connections()


def test_it_redraws_within_250_ms_of_a_message_of_the_feed_at_1000_executions_a_second() -> None:
    async def run() -> float:
        async with feeding() as feed, monitor_drawing(feed.url) as drawn:

            async def cause(mark: str) -> None:
                feed.say(1, id=mark, agent_id=mark)

            await drawn.until(f"{EXITS}/{EXITS}")
            await only_marks(drawn)
            loading = asyncio.create_task(feed.load())
            try:
                return await best(drawn, cause)
            finally:
                loading.cancel()

    assert PROMISED_SECONDS > asyncio.run(run())


def test_it_redraws_within_250_ms_of_the_answer_to_an_execution(tmp_path: Path) -> None:
    async def run() -> float:
        async with (
            coordinator_running(tmp_path) as running,
            scripted_agent(running.url, ["2001:db8:1::1"]),
            monitor_drawing(running.url) as drawn,
        ):

            async def cause(mark: str) -> None:
                await post_json(f"{running.url}/api/execute", {"url": f"http://{mark}/"})

            await drawn.until("1/1 exits")
            await only_marks(drawn)
            return await best(drawn, cause)

    assert PROMISED_SECONDS > asyncio.run(run())
