"""`/ws/agent`: the coordinator's end of an agent's link; step 4 of a request's way and the first of the way back.

Turns frames into messages for the agent's `AgentConnection` and its messages into frames. Decides nothing but who the
agent is: the session in its first message names the connection, and only that one hears what comes over this socket.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from dispatcher.actors.loop_actor import ask, tell_at_once, tell_or_drop
from dispatcher.actors.messages import FindSession, FromAgent, LinkClosed, LinkOpened
from dispatcher.auth.roles import Permission
from dispatcher.web import client_certificate
from dispatcher.web.guarded import GuardedHandler
from dispatcher.wire import limits, messages, version
from dispatcher.wire.channel import Channel
from dispatcher.wire.codec import Invalid, encode
from dispatcher.wire.fields import WireError
from dispatcher.wire.heartbeat import CLOSE_SILENT
from dispatcher.wire.outbox import OutboxFullError
from dispatcher.wire.pump import Pump
from dispatcher.wire.websocket import LinkServer

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pykka import ActorRef

    from dispatcher.web.pulses import Pulse
    from dispatcher.web.services import Services

logger = logging.getLogger(__name__)

HELLO_SECONDS = 10.0
"""How long a new link may take to say hello."""

HELLO_BYTES = 64 * 1024
"""What a frame may have before it is known who sends it."""

WRITE_BUFFER_BYTES = 2 * limits.MAX_FRAME_BYTES
"""What Tornado may buffer for an agent that does not read: the frame on its way and the pings behind it."""

SAID_AT_ONCE = 64
"""Messages of a frame that an agent's connection takes in one go; in between others have their turn if it is late."""

_SPENT = HTTPServerRequest(
    start_line=RequestStartLine("GET", "/ws/agent", "HTTP/1.1"), headers=HTTPHeaders({"Host": "coordinator"})
)
"""What stands for the request of every link that is open: all that is said of it in a log."""

_CLOSE_GOING_AWAY = 1001
_CLOSE_POLICY = 1008


class AgentSocket(GuardedHandler, LinkServer):
    """One link. It is the `Link` that the agent's connection sends with."""

    def initialize(self, services: Services) -> None:
        """Take what the coordinator made; Tornado calls this for each link."""
        self.services = services
        self._connection: ActorRef[Any] | None = None
        self._bounds: dict[str, int] = {}
        self._channel = Channel(messages.FROM_AGENT, self._bounds.get)
        self._pump = Pump(self._channel, self._write, self._fail)
        self._pulse: Pulse | None = None
        self._hello_timer: asyncio.TimerHandle | None = None
        self._goodbye: asyncio.Task[None] | None = None
        self._is_closing = False
        self._is_orderly = False
        self._is_silent = False
        self._ended = "the link was closed"

    # What Tornado calls

    @property
    def ping_interval(self) -> None:
        """Tornado does not ping here; see `Pulses`."""
        return

    def needs(self) -> Permission:
        """Say what opening a link needs."""
        return Permission.CONNECT

    def prepare(self) -> None:
        """Let in who may open a link and shows what it has to."""
        if self.admit():
            client_certificate.check(self.request, self.services)

    def open(self, *_args: str, **_kwargs: str) -> None:
        """Begin to send, and wait for the hello."""
        assert self.ws_connection is not None
        stream = self.ws_connection.stream
        assert stream is not None
        stream.max_write_buffer_size = WRITE_BUFFER_BYTES
        self.set_nodelay(True)
        self.take(HELLO_BYTES)
        self.services.sockets.add(self)
        self._pulse = self.services.pulses.begin(self.ping, self._give_up)
        loop = asyncio.get_running_loop()
        self._hello_timer = loop.call_later(HELLO_SECONDS, self._refuse_protocol, "no hello came")
        self._forget_request()

    def on_pong(self, _data: bytes) -> None:
        """Take a sign of life."""
        self._hear()

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        """Take a frame, at once unless it may be the hello."""
        self._hear()
        self.services.meters.received.add(message)
        if self._connection is None:
            return self._meet(message)
        self._pass_on(self._connection, self._read(message))
        return None

    def on_close(self) -> None:
        """Tell the connection that this link is gone, and what never left."""
        self.leave()
        self.services.sockets.discard(self)
        self._wait_no_more()
        self._pump.end()
        if self._pulse is not None:
            self._pulse.end()
            self._pulse = None
        if self._goodbye is not None:
            self._goodbye.cancel()
            self._goodbye = None
        if self._connection is not None:
            reason: str | None = self.close_reason
            unsent = self._channel.outbox.unsent()
            may_resume = self._is_silent or self.close_code == CLOSE_SILENT
            closed = LinkClosed(self, reason or self._ended, unsent, self._is_orderly, may_resume)
            tell_or_drop(self._connection, closed)

    # What the agent says

    def _read(self, frame: str | bytes) -> list[messages.Message | Invalid]:
        if self._is_closing:
            return []
        try:
            received = self._channel.receive(frame)
        except (WireError, OutboxFullError) as error:
            self._refuse_protocol(str(error))
            return []
        self._pump.wake()
        return received

    async def _meet(self, frame: str | bytes) -> None:
        await self.services.greetings.pass_through()
        received = self._read(frame)
        while received and self._connection is None:
            await self._greet(received.pop(0))
        if received and self._connection is not None:
            self._pass_on(self._connection, received)

    async def _greet(self, first: messages.Message | Invalid) -> None:
        if not isinstance(first, messages.Hello):
            self._refuse_protocol("the first message is no valid hello")
            return
        if not version.is_compatible(first.wire):
            accepted = tuple(str(accepted) for accepted in version.ACCEPTED_VERSIONS)
            detail = version.mismatch(first.wire)
            self.close_link(messages.Refused(messages.RefusalCode.VERSION, detail, accepted))
            return
        connection = await ask(self.services.registry, FindSession(first.session))
        if connection is None:
            detail = "the session is not known here; register again"
            self.close_link(messages.Refused(messages.RefusalCode.SESSION, detail))
            return
        self._wait_no_more()
        self.take(limits.MAX_FRAME_BYTES)
        self._connection = connection
        tell_or_drop(connection, LinkOpened(self, first))

    def _pass_on(self, connection: ActorRef[Any], received: list[messages.Message | Invalid]) -> None:
        # What comes together is heard at once, and what is more than that when others have had their turn.
        if received:
            tell_at_once(connection, FromAgent(self, tuple(received[:SAID_AT_ONCE])))
        for start in range(SAID_AT_ONCE, len(received), SAID_AT_ONCE):
            tell_or_drop(connection, FromAgent(self, tuple(received[start : start + SAID_AT_ONCE])))
        for item in received:
            if isinstance(item, (messages.Result, Invalid)):
                self._bounds.pop(item.id, None)  # type: ignore[arg-type]  # no id is none of them

    # What the connection sends: the `Link`

    def send(self, message: messages.Message) -> bool:
        """Put a message among those that leave in this loop turn; False where too much waits already."""
        try:
            self._channel.outbox.put(message)
        except OutboxFullError as error:
            logger.warning("the link of an agent is full: %s", error)
            if not isinstance(message, messages.Execute):
                self.abort(f"it does not read: {error}")
            return False
        if isinstance(message, messages.Execute):
            self.expect(message)
        self._pump.wake()
        return True

    def expect(self, execution: messages.Execute) -> None:
        """Take the result of an execution that was given on an earlier link of the same agent."""
        self._bounds[execution.id] = execution.max_body_bytes

    def prove_alive(self, seconds: float) -> asyncio.Future[bool]:
        """Ask the agent for a sign of life; False where none came within `seconds`."""
        if self._pulse is not None:
            return self._pulse.prove(seconds)
        gone: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        gone.set_result(False)
        return gone

    def abort(self, reason: str) -> None:
        """End the link without a word: nobody is there to hear it."""
        self._ended = reason
        stream = self.ws_connection and self.ws_connection.stream
        if stream is not None:
            stream.close()

    def withdraw(self, execution_id: str) -> bool:
        """Take an execution back; False where some or all of it has left."""
        self._bounds.pop(execution_id, None)
        self._channel.forget(execution_id)
        return self._channel.outbox.discard(execution_id)

    def close_link(self, refusal: messages.Refused | None = None) -> None:
        """End the link, after telling the agent why if there is a reason."""
        if not self._is_closing:
            self._is_closing = True
            self._goodbye = asyncio.get_running_loop().create_task(self._say_goodbye(refusal))

    def end_access(self) -> None:
        """End the link for good: its token was revoked."""
        self.close_link(messages.Refused(messages.RefusalCode.REMOVED, "the token of this agent was revoked"))

    # How it leaves

    def _refuse_protocol(self, detail: str) -> None:
        logger.warning("refused an agent's link: %s", detail)
        self._ended = f"it broke the protocol: {detail}"
        self.close_link(messages.Refused(messages.RefusalCode.PROTOCOL, detail[: limits.MAX_TEXT_CHARS]))

    async def _say_goodbye(self, refusal: messages.Refused | None) -> None:
        if refusal is None:
            self._ended, self._is_orderly = "the coordinator shuts down", True
            self.close(_CLOSE_GOING_AWAY, "the coordinator shuts down")
            return
        self._ended = str(refusal.code)
        try:
            if (under_way := self._write(encode([refusal]))) is not None:
                await under_way
        except (WebSocketClosedError, StreamClosedError):
            return
        self.close(_CLOSE_POLICY, str(refusal.code))

    def _fail(self, error: Exception) -> None:
        if isinstance(error, (WebSocketClosedError, StreamClosedError)):
            logger.debug("a link closed while a frame was on its way")
            return
        logger.error("a link could not send", exc_info=error)
        self.close(_CLOSE_POLICY, "internal")

    def _give_up(self, why: str) -> None:
        self._is_silent = True
        self.abort(why)

    def _hear(self) -> None:
        if self._pulse is not None:
            self._pulse.heard()

    def _wait_no_more(self) -> None:
        """Stop the wait for a hello: it has come, or will not."""
        if self._hello_timer is not None:
            self._hello_timer.cancel()
            self._hello_timer = None

    def _forget_request(self) -> None:
        """Let go of the request that opened the link, its HTTP connection and all headers, and of the templates."""
        self.request.headers.clear()  # a frame of Tornado's still knows them
        self.request, self._headers = _SPENT, _SPENT.headers
        self.ui = None  # type: ignore[assignment]  # as Tornado does when it ends a handler

    def _write(self, frame: bytes) -> asyncio.Future[None] | None:
        self.services.meters.sent.add(frame)
        return self.send_frame(frame)
