"""`/ws/monitor`: the last step of a request's way, an event to the monitors. What is said is `monitor_feed.py`'s."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from dispatcher.auth.roles import Permission
from dispatcher.web.guarded import GuardedHandler

if TYPE_CHECKING:
    from dispatcher.web.services import Services

logger = logging.getLogger(__name__)

_CLOSE_GOING_AWAY = 1001
_CLOSE_POLICY = 1008


class MonitorSocket(GuardedHandler, WebSocketHandler):
    """One monitor. At most one message is on its way to it."""

    def initialize(self, services: Services) -> None:
        """Take what the coordinator made; Tornado calls this for each monitor."""
        self.services = services
        self._sending: asyncio.Task[None] | None = None
        self.is_busy = False
        self.needs_snapshot = True

    def needs(self) -> Permission:
        """Say what following the pool needs."""
        return Permission.READ

    def prepare(self) -> None:
        """Let in who may follow the pool."""
        self.admit()

    def open(self, *_args: str, **_kwargs: str) -> None:
        """Begin to tell this monitor."""
        self.services.sockets.add(self)
        self.services.feed.add(self)

    def on_message(self, message: str | bytes) -> None:
        """Give it a new snapshot with the next tick, whatever it said: a monitor has nothing else to ask for."""
        self.needs_snapshot = True

    def on_close(self) -> None:
        """Stop telling this monitor."""
        self.leave()
        self.services.sockets.discard(self)
        self.services.feed.discard(self)
        if self._sending is not None:
            self._sending.cancel()

    def send(self, content: bytes) -> None:
        """Begin to send; busy until the monitor has taken it."""
        self.is_busy = True
        self._sending = asyncio.get_running_loop().create_task(self._send(content))

    def close_link(self) -> None:
        """End the link: the coordinator shuts down."""
        self.close(_CLOSE_GOING_AWAY, "the coordinator shuts down")

    def end_access(self) -> None:
        """End the link: its token was revoked."""
        self.close(_CLOSE_POLICY, "the token was revoked")

    async def _send(self, content: bytes) -> None:
        try:
            await self.write_message(content)
        except (WebSocketClosedError, StreamClosedError):
            logger.debug("a monitor went away while it was told something")
        finally:
            self.is_busy = False
