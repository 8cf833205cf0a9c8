"""The link to the coordinator on a thread of its own: the feed in, commands out. Both end in events for `app.py`.

What would surprise: the thread reads no further ahead than `MESSAGES_AHEAD`. Where the screen cannot follow, TCP holds
the coordinator back, and that gives a monitor that lags a new snapshot instead of more changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from tornado.websocket import WebSocketClosedError

from dispatcher.monitor import feed
from dispatcher.monitor.events import Command, Ended, Event, LinkDown, LinkUp, Refresh, Told
from dispatcher.monitor.rest import Rest

if TYPE_CHECKING:
    from tornado.websocket import WebSocketClientConnection

    from dispatcher.access import Access

MESSAGES_AHEAD = 16
RETRY_SECONDS = (0.5, 5.0)
"""The shortest and the longest pause between attempts to connect."""

END_SECONDS = 2.0

Post = Callable[[Event], None]


class Link:
    """A thread that follows the coordinator while its context lasts. `post` is called on that thread.

    `failure` is why the thread ended by itself; None while it runs.
    """

    def __init__(self, access: Access, post: Post) -> None:
        """Know whom to follow and where to tell; the thread starts with the context."""
        self._access = access
        self._post = post
        self._runner = threading.Thread(target=self._run, name="monitor link", daemon=True)
        self._loop = asyncio.new_event_loop()
        self._room = asyncio.Semaphore(MESSAGES_AHEAD)
        self._again = asyncio.Event()
        self._socket: WebSocketClientConnection | None = None
        self._rest: Rest | None = None
        self._commands: set[asyncio.Task[None]] = set()
        self._main = self._loop.create_task(self._follow())
        self.failure: Exception | None = None

    def __enter__(self) -> Self:
        """Start to follow."""
        self._runner.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop following; what is under way is given up here and goes on at the coordinator."""
        with contextlib.suppress(RuntimeError):  # The thread ended by itself.
            self._loop.call_soon_threadsafe(self._stop)
        self._runner.join(END_SECONDS)

    def do(self, command: Command) -> None:
        """Begin a command, from any thread; its answer comes as an event."""
        self._loop.call_soon_threadsafe(self._begin, command)

    def taken(self, count: int) -> None:
        """Say from any thread that so many messages were taken in, so that more may come."""
        if count:
            self._loop.call_soon_threadsafe(self._make_room, count)

    def _stop(self) -> None:
        self._main.cancel()

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            try:
                self._loop.run_until_complete(self._main)
            except asyncio.CancelledError:
                self.failure = None
            except Exception as error:  # noqa: BLE001 (raised again on the main thread, once the terminal is given back)
                self.failure = error
                self._post(Ended())
            finally:
                self._loop.run_until_complete(self._end())

    async def _end(self) -> None:
        for task in self._commands:
            task.cancel()
        await asyncio.gather(*self._commands, return_exceptions=True)
        if self._rest is not None:
            self._rest.close()

    async def _follow(self) -> None:
        self._rest = Rest(self._access)  # Made here, because it belongs to the loop that runs here.
        pause, longest = RETRY_SECONDS
        while True:
            try:
                async with feed.opened(self._access) as self._socket:
                    pause = RETRY_SECONDS[0]
                    await self._listen(self._socket)
            except feed.UnreachableError as error:
                self._post(LinkDown(str(error)))
            self._socket = None
            self._again.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._again.wait(), pause * random.uniform(0.8, 1.2))  # noqa: S311 (no secret)
            pause = min(longest, pause * 2)

    async def _listen(self, socket: WebSocketClientConnection) -> None:
        self._post(LinkUp())
        async for message in feed.messages(socket):
            await self._room.acquire()
            self._post(Told(feed.parsed(message)))

    def _make_room(self, count: int) -> None:
        for _ in range(count):
            self._room.release()

    def _begin(self, command: Command) -> None:
        if isinstance(command, Refresh):
            self._refresh()
            return
        task = self._loop.create_task(self._do(command))
        self._commands.add(task)
        task.add_done_callback(self._commands.discard)

    def _refresh(self) -> None:
        self._again.set()
        if self._socket is not None:
            with contextlib.suppress(WebSocketClosedError):
                self._socket.write_message("snapshot")

    async def _do(self, command: Command) -> None:
        assert self._rest is not None, "the loop's first task has made it"
        self._post(await self._rest.do(command))
