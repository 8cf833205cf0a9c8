"""The agent's end of the link, step 5 of a request's way: one WebSocket, from its hello until it is gone.

Frames become messages for a `LinkUser` and its messages become frames; who connects again, and when, is
`connector.py`'s business. Runs on the event loop.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from dispatcher import __version__
from dispatcher.access import problem_detail
from dispatcher.agent.proof import Proof
from dispatcher.auth import credentials
from dispatcher.errors import FailureKind, Party, RefusedError
from dispatcher.tls import words
from dispatcher.wire import limits, messages, version
from dispatcher.wire.channel import Channel
from dispatcher.wire.codec import Invalid
from dispatcher.wire.fields import WireError
from dispatcher.wire.heartbeat import CLOSE_SILENT, Heartbeat
from dispatcher.wire.outbox import OutboxFullError
from dispatcher.wire.pump import Pump
from dispatcher.wire.websocket import LinkClient, connect, in_one_line

if TYPE_CHECKING:
    from collections.abc import Collection

    from dispatcher.access import Access
    from dispatcher.wire.messages import Execute, Message, Refused

logger = logging.getLogger(__name__)

PING_SECONDS = 10.0
"""From a sign of life to a ping, and from there until the link ends: a dead one is noticed within twice this."""

CONNECT_SECONDS = 15.0
"""How long connecting, and then the coordinator's welcome, may take."""


class LinkUser(Protocol):
    """Whoever works with what the coordinator says."""

    def on_welcome(self, link: Link) -> None:
        """The link is up; the addresses are to be told."""

    def on_execute(self, link: Link, execute: Execute) -> None:
        """A request is to be made, and answered with a `Result` on the same link."""

    def on_heard(self) -> None:
        """All that came in a frame has been told."""

    def on_cancel(self, execution_id: str) -> None:
        """Nobody waits for this execution any more."""

    def on_delivered(self, execution_ids: Collection[str]) -> None:
        """The coordinator has the results of these executions."""

    def on_lost(self, link: Link) -> None:
        """The link is gone."""

    def on_draining(self) -> None:
        """The coordinator knows that this agent drains, and gives it nothing more."""


class LinkRefusedError(Exception):
    """The coordinator ended the link and said why."""

    def __init__(self, refusal: Refused) -> None:
        """Carry what it said."""
        super().__init__(f"{refusal.code}: {refusal.detail}")
        self.refusal = refusal


class LinkLostError(Exception):
    """The link could not be made, or is gone; the text says how."""


class Link:
    """One WebSocket to the coordinator.

    `session` is the one that it was opened with. What the welcome said: `can_resume`, whether the coordinator lets
    executions of an earlier link of that session go on, and `secret_headers`, names that stay with their origin.
    """

    def __init__(
        self,
        user: LinkUser,
        hostname: str,
        access: Access,
        *,
        max_concurrency: int = limits.DEFAULT_MAX_CONCURRENCY,
    ) -> None:
        """Prepare a link; `run` opens it and tells how many transfers this agent makes at once."""
        self._max_concurrency = max_concurrency
        self._access = access
        self._user = user
        self._hostname = hostname
        self._channel = Channel(
            messages.FROM_COORDINATOR, lambda _: limits.MAX_BODY_BYTES, most_arriving=limits.MAX_ARRIVING_BYTES
        )
        self._pump = Pump(self._channel, self._write, _log_failure)
        self._connection: LinkClient | None = None
        self._heartbeat: Heartbeat | None = None
        self._welcome_deadline: asyncio.Timeout | None = None
        self._over: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self.session = ""
        self.can_resume = False
        self.secret_headers: tuple[str, ...] = ()
        self._proof = Proof(self._ping, self._channel.outbox.unsent, user.on_delivered)
        self._is_welcome = False
        self._ended = "the coordinator closed the link"

    def send(self, message: Message) -> None:
        """Put a message among those that leave in this loop turn. On a link that is gone it is dropped."""
        try:
            self._channel.outbox.put(message)
        except OutboxFullError as error:
            self._end(LinkLostError(f"the coordinator does not read: {error}"))
            return
        if isinstance(message, messages.Result):
            self._proof.want(message.id)
        self._pump.wake()

    async def flush(self) -> None:
        """Wait until all that was put has left, or the link is gone."""
        await self._pump.flush()

    def close(self) -> None:
        """End the link."""
        if self._connection is not None:
            self._connection.close(1000, "the agent ends")

    async def run(self, url: str, session: str) -> None:
        """Open the link and serve it until it is gone.

        Raises:
            LinkRefusedError: the coordinator does not want this link.
            RefusedError: it lets nobody in with this token.
            LinkLostError: it could not be opened, or was lost.
        """
        self.session = session
        self._connection = await self._connect(url)
        self._heartbeat = self._listen_to(self._connection)
        silence = asyncio.create_task(self._abort_when_silent(self._connection, self._heartbeat))
        try:
            self.send(
                messages.Hello(
                    wire=version.WIRE,
                    session=session,
                    version=__version__,
                    hostname=self._hostname,
                    max_concurrency=self._max_concurrency,
                )
            )
            async with asyncio.timeout(None if self._is_welcome else CONNECT_SECONDS) as self._welcome_deadline:
                raise await self._over
        except TimeoutError as error:
            raise LinkLostError("the coordinator did not welcome this agent in time") from error
        except WireError as error:
            raise LinkLostError(f"the coordinator broke the protocol: {error}") from error
        finally:
            self._connection.close()
            self._proof.close()
            if self._is_welcome:
                self._user.on_lost(self)
            self._pump.end()
            silence.cancel()
            # Not with its cancellation suppressed: that would swallow a cancellation of our own.
            await asyncio.gather(silence, return_exceptions=True)

    async def _connect(self, url: str) -> LinkClient:
        request = HTTPRequest(url, connect_timeout=CONNECT_SECONDS, request_timeout=CONNECT_SECONDS)
        try:
            await self._access.prepare(request)
            connection = await connect(request, self._take)
        except Exception as error:
            if isinstance(error, HTTPClientError) and error.code in credentials.REFUSED:
                said = credentials.refusal(error.code, problem_detail(error) or str(error))
                raise RefusedError(f"the coordinator refused this agent: {said}") from error
            # Tornado raises what its resolver, its TLS and its HTTP client raise; all mean that there is no link.
            why = words.of_coordinator(error) or problem_detail(error) or error or type(error).__name__
            raise LinkLostError(f"cannot connect to {url}: {why}") from error
        assert connection.protocol is not None
        stream = connection.protocol.stream
        assert stream is not None
        stream.max_write_buffer_size = 2 * limits.MAX_FRAME_BYTES
        stream.set_nodelay(True)
        return connection

    def _listen_to(self, connection: LinkClient) -> Heartbeat:
        heartbeat = Heartbeat(connection.ping, interval=PING_SECONDS, timeout=PING_SECONDS)

        def on_pong(data: bytes) -> None:
            heartbeat.heard()
            self._proof.hear(data)

        connection.on_pong = on_pong  # type: ignore[method-assign]  # Tornado makes this object
        return heartbeat

    async def _abort_when_silent(self, connection: LinkClient, heartbeat: Heartbeat) -> None:
        self._ended = await heartbeat.run()
        stream = connection.protocol and connection.protocol.stream
        connection.close(CLOSE_SILENT, "silent")
        if stream is not None:
            stream.close()

    def _take(self, frame: str | bytes | None) -> None:
        """Take a frame, or None for the end of the link. What goes wrong over it ends `run`."""
        if self._over.done():
            return
        try:
            self._read(frame)
        except Exception as error:  # noqa: BLE001 (it is raised where somebody waits for it)
            self._end(error)

    def _end(self, error: Exception) -> None:
        """Have `run` end with this, if nothing has ended it before; what still comes counts no more."""
        if not self._over.done():
            self._over.set_result(error)

    def _read(self, frame: str | bytes | None) -> None:
        if frame is None:
            raise LinkLostError((self._connection and self._connection.close_reason) or self._ended)
        if self._heartbeat is not None:
            self._heartbeat.heard()
        try:
            for message in self._channel.receive(frame):
                self._hear(message)
        finally:
            self._user.on_heard()
        self._pump.wake()

    def _hear(self, message: Message | Invalid) -> None:
        match message:
            case messages.Execute():
                self._user.on_execute(self, message)
            case messages.Cancel():
                self._channel.forget(message.id)
                self._user.on_cancel(message.id)
            case messages.Draining():
                self._user.on_draining()
            case messages.Welcome() if self._is_welcome:
                raise WireError("a second welcome on one link")
            case messages.Welcome():
                self._is_welcome, self.can_resume = True, version.can_resume(message.wire)
                self.secret_headers = message.secret_headers
                if self._welcome_deadline is not None:
                    self._welcome_deadline.reschedule(None)
                self._user.on_welcome(self)
            case messages.Refused():
                raise LinkRefusedError(dataclasses.replace(message, detail=in_one_line(message.detail)))
            case Invalid(tag="execute" | "again", id=str(identifier)):
                self.send(_refuse(identifier, message.detail))
            case Invalid():
                logger.warning("the coordinator sent a %s that is not valid: %s", message.tag, message.detail)

    def _ping(self, data: bytes) -> None:
        assert self._connection is not None, "nothing is sent before"
        with suppress(WebSocketClosedError, StreamClosedError):
            self._connection.ping(data)

    def _write(self, frame: bytes) -> asyncio.Future[None] | None:
        assert self._connection is not None
        return self._connection.send_frame(frame)


def _log_failure(error: Exception) -> None:
    """A frame could not be sent; whoever reads the link learns why, and ends it."""
    logger.debug("a frame was not sent: %s", error)


def _refuse(identifier: str, detail: str) -> messages.Result:
    return messages.Result(
        id=identifier,
        error_kind=FailureKind.INTERNAL,
        error_detail=f"the agent could not read the execution: {detail}",
        error_party=Party.COORDINATOR,
    )
