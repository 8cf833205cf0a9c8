"""What the handlers work with: references to the actors and the few things that live beside them on the loop."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from dispatcher.web.turnstile import Turnstile

if TYPE_CHECKING:
    from pykka import ActorRef

    from dispatcher.auth.gate import Gate
    from dispatcher.executions import Executions
    from dispatcher.idempotency import IdempotencyKeys
    from dispatcher.meters import Meters
    from dispatcher.redaction import Redactor
    from dispatcher.web.configured import Configured
    from dispatcher.web.monitor_feed import MonitorFeed
    from dispatcher.web.origins import Origins
    from dispatcher.web.pulses import Pulses
    from dispatcher.web.rate import Rate


class Socket(Protocol):
    """A WebSocket that is to be ended when the coordinator shuts down."""

    def close_link(self) -> None:
        """End it."""


class OpenSockets:
    """The WebSockets that are open now."""

    def __init__(self) -> None:
        """Start with none."""
        self._sockets: set[Socket] = set()
        self._none = asyncio.Event()
        self._none.set()

    def add(self, opened: Socket) -> None:
        """Remember one that opened."""
        self._sockets.add(opened)
        self._none.clear()

    def discard(self, closed: Socket) -> None:
        """Forget one that closed."""
        self._sockets.discard(closed)
        if not self._sockets:
            self._none.set()

    async def close_all(self, seconds: float) -> None:
        """End all of them, and wait at most `seconds` until they are closed."""
        for opened in list(self._sockets):
            opened.close_link()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._none.wait(), seconds)


@dataclass(slots=True)
class Services:
    """Made once by `coordinator.py`, given to every handler."""

    version: str
    started_at: float  # of `time.monotonic()`
    pool: ActorRef[Any]
    registry: ActorRef[Any]
    history: ActorRef[Any]
    history_reader: ActorRef[Any]
    config: ActorRef[Any]
    executions: Executions
    keys: IdempotencyKeys
    configured: Configured
    feed: MonitorFeed
    rate: Rate
    meters: Meters
    max_request_bytes: int
    ping_interval: float
    ping_timeout: float
    pulses: Pulses
    takeover_timeout: float
    gate: Gate
    origins: Origins
    redactor: Redactor
    needs_client_certificates: bool = False
    sockets: OpenSockets = field(default_factory=OpenSockets)
    greetings: Turnstile = field(default_factory=Turnstile)
    openapi: dict[str, Any] = field(default_factory=dict)
