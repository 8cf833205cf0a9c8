"""Notices a coordinator that is silent: beside step 5 of a request's way, on the event loop of an agent.

Tornado can ping by itself, but it says goodbye to a silent peer and waits five seconds more for an answer, in which
executions are still given to it. And here everything that comes counts as a sign of life, not only the pong: on a slow
line a pong waits behind the body that the peer is sending. A coordinator has thousands of links, and `web/pulses.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

CLOSE_SILENT = 4000
"""The WebSocket close code of a side that gives a silent link up, and would go on with another (RFC 6455, 7.4.2)."""


class Heartbeat:
    """Pings with `ping`, `interval` seconds after a sign of life; `timeout` seconds without another are silence."""

    def __init__(self, ping: Callable[[bytes], None], *, interval: float, timeout: float) -> None:
        """Prepare to ping; `run` does it."""
        self._ping = ping
        self._interval = interval
        self._timeout = timeout
        self._heard = asyncio.Event()

    def heard(self) -> None:
        """Something came from the peer."""
        self._heard.set()

    async def run(self) -> str:
        """Ping until nothing came for `interval` and `timeout` seconds, and return a sentence that says so."""
        while True:
            await asyncio.sleep(self._interval)
            self._heard.clear()
            self._ping(b"")
            try:
                async with asyncio.timeout(self._timeout):
                    await self._heard.wait()
            except TimeoutError:
                return f"nothing came for {self._timeout:g} s, not even an answer to a ping"
