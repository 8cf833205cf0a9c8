"""`AgentConnection`, steps 3 and 8 of a request's way: one agent, its link, and what it has been given to do.

Runs on the event loop; one for each registered agent, from its registration until it is forgotten, over as many links
as the agent opens. Every execution that it takes ends here exactly once: by the agent's result, by the loss of the
link, or by its deadline. What would surprise: when a link is lost, an execution that had left is `unknown` and not
`failed`, because nobody can know whether the target got it; but where the link fell silent, the agent may still have
it, so it waits a little for the same process to come back with its results.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from dispatcher.actors.in_flight import InFlight
from dispatcher.actors.loop_actor import LoopActor, tell_or_drop
from dispatcher.actors.messages import (
    AgentGone,
    AgentState,
    AgentStateChanged,
    AgentStatus,
    DescribeAgent,
    DropAgent,
    ExitsChanged,
    FromAgent,
    Link,
    LinkClosed,
    LinkOpened,
    NotTaken,
    Outcome,
    ProveAlive,
    Run,
    RunExecutions,
)
from dispatcher.wire import messages as wire
from dispatcher.wire.codec import Invalid
from dispatcher.wire.limits import MAX_ADDRESSES
from dispatcher.wire.version import WIRE, can_resume, describe

if TYPE_CHECKING:
    from pykka import ActorRef


logger = logging.getLogger(__name__)

_REMOVED = wire.Refused(wire.RefusalCode.REMOVED, "this agent was removed from the coordinator")


class AgentConnection(LoopActor):
    """One agent. Its messages stand in `actors/messages.py`."""

    def __init__(  # noqa: PLR0913 (what an agent says of itself when it registers, and whom to tell)
        self,
        *,
        agent_id: str,
        hostname: str,
        version: str,
        announced: tuple[str, ...],
        pool: ActorRef[Any],
        registry: ActorRef[Any],
        grace_seconds: float,
        resume_seconds: float,
        server_version: str,
        secret_headers: tuple[str, ...] = (),
    ) -> None:
        """Start without a link; an execution ends `grace_seconds` after its timeout at the latest.

        Where a link fell silent, executions wait `resume_seconds` for the agent's process to come back.
        """
        super().__init__()
        self._agent_id = agent_id
        self._hostname = hostname
        self._version = version
        self._pool = pool
        self._registry = registry
        self._resume_seconds = resume_seconds
        self._server_version = server_version
        self._secret_headers = secret_headers
        self._state = AgentState.REGISTERED
        self._link: Link | None = None
        self._session = ""
        self._max_concurrency = 0  # the hello says it
        self._giving_up: asyncio.TimerHandle | None = None
        self._connected_at: float | None = None
        self._last_seen_at: float | None = None
        self._is_dropped = False
        self._addresses = {address: _announced(address) for address in announced}
        self._in_flight = InFlight(agent_id, grace_seconds, self._time_out, self._finish_drop)

    def on_receive(self, message: Any) -> Any:
        """Handle one message."""
        if isinstance(message, RunExecutions):  # as in the pool
            return self._take_on(message.runs)
        if isinstance(message, FromAgent):
            return self._hear(message)
        match message:
            case LinkOpened():
                self._open(message)
            case LinkClosed():
                self._close(message)
            case ProveAlive():
                return self._prove_alive(message.seconds)
            case DescribeAgent():
                return self._describe()
            case DropAgent():
                self._drop()
            case _:
                return super().on_receive(message)
        return None

    def on_stop(self) -> None:
        """End what is in flight. A connection that was dropped has ended it all, or its deadlines will."""
        if not self._is_dropped:
            self._lose_link("the coordinator stops")

    # The life of the link

    def _open(self, opened: LinkOpened) -> None:
        if self._is_dropped:
            opened.link.close_link(_REMOVED)
            return
        is_resumed = opened.hello.session == self._session and can_resume(opened.hello.wire)
        if self._link is not None:
            old = self._link
            old.close_link(wire.Refused(wire.RefusalCode.REPLACED, "the agent opened another link"))
            self._lose_link("the agent opened another link", self._in_flight.withdraw_all(old), may_resume=is_resumed)
        self._end_waiting()
        if not is_resumed:
            self._give_up("its process is another one now")
        self._link, self._session = opened.link, opened.hello.session
        self._hostname = opened.hello.hostname or self._hostname
        self._max_concurrency = opened.hello.max_concurrency
        self._version = opened.hello.version or self._version
        self._connected_at = self._last_seen_at = time.time()
        self._addresses = {}
        self._in_flight.expect_all(opened.link)
        opened.link.send(wire.Welcome(WIRE, self._agent_id, self._server_version, self._secret_headers))
        self._go_to(AgentState.CONNECTED)
        logger.info("agent %s connected%s", self._agent_id, self._difference(opened.hello))
        if len(self._in_flight):
            logger.info("agent %s came back; %d executions wait for it", self._agent_id, len(self._in_flight))

    def _difference(self, hello: wire.Hello) -> str:
        """Say in what the agent's program differs from ours; older and newer ones of one wire version work together."""
        if (hello.version, hello.wire) == (self._server_version, WIRE):
            return ""
        theirs = f"{hello.version!r} (wire {describe(hello.wire)})"  # quoted: it is the agent's own word
        return f"; it runs {theirs}, this coordinator {self._server_version!r} (wire {describe(WIRE)})"

    def _close(self, closed: LinkClosed) -> None:
        if closed.link is self._link:
            is_expected = closed.is_orderly or self._state is AgentState.DRAINING
            level = logging.INFO if is_expected else logging.WARNING
            logger.log(level, "agent %s gone: %s", self._agent_id, closed.reason)
            self._lose_link(closed.reason, closed.unsent, may_resume=closed.may_resume)
            self._go_to(AgentState.LOST)

    def _lose_link(self, reason: str, unsent: frozenset[str] = frozenset(), *, may_resume: bool = False) -> None:
        self._link = None
        self._addresses = {}
        self._leave_pool()
        self._in_flight.end_unsent(unsent, reason)
        if may_resume and self._resume_seconds and not self._is_dropped and len(self._in_flight):
            loop = asyncio.get_running_loop()
            self._giving_up = loop.call_later(self._resume_seconds, self._give_up, reason)
        else:
            self._give_up(reason)

    def _give_up(self, reason: str) -> None:
        self._end_waiting()
        self._in_flight.end_all(reason)

    def _end_waiting(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def _prove_alive(self, seconds: float) -> asyncio.Future[bool] | bool:
        if self._link is None:
            return False
        link = self._link
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        link.prove_alive(seconds).add_done_callback(lambda proof: self._take_proof(link, proof, answer))
        return answer

    def _take_proof(self, link: Link, proof: asyncio.Future[bool], answer: asyncio.Future[bool]) -> None:
        is_alive = not proof.cancelled() and proof.result()
        if link is self._link and not is_alive:
            reason = "it did not answer when an agent of this id came again"
            link.abort(reason)
            self._close(LinkClosed(link, reason, self._in_flight.withdraw_all(link), may_resume=True))
        if not answer.done():
            answer.set_result(link is self._link)

    def _leave_pool(self) -> None:
        # A dropped agent has left already; its id may by now belong to another one.
        if not self._is_dropped:
            tell_or_drop(self._pool, AgentGone(self._agent_id))

    def _drop(self) -> None:
        self._leave_pool()
        if self._link is None:
            self._give_up("it was removed while its link was lost")
        self._is_dropped = True
        self._finish_drop()

    def _finish_drop(self) -> None:
        """End too, where this agent was removed and nothing of it is in flight any more."""
        if not self._is_dropped or len(self._in_flight):
            return
        if self._link is not None:
            self._link.close_link(_REMOVED)
            self._link = None
        self.stop()

    def _go_to(self, state: AgentState) -> None:
        self._state = state
        if not self._is_dropped:
            tell_or_drop(self._registry, AgentStateChanged(self._agent_id, state))

    # What the agent says

    def _hear(self, said: FromAgent) -> None:
        for message in said.messages:
            if said.link is not self._link:
                return  # A link that was replaced, or that one of these ended; what it still says counts no more.
            if isinstance(message, wire.Result):  # as in `on_receive`
                self._in_flight.end(message)
            else:
                self._take(said.link, message)
        self._last_seen_at = time.time()

    def _take(self, link: Link, message: wire.Message | Invalid) -> None:
        match message:
            case Invalid():
                self._in_flight.end_invalid(message)
            case wire.Holding():
                self._in_flight.compare(link, message.ids)
            case wire.AddressesChanged():
                self._change_addresses(link, message)
            case wire.Draining() if self._state is not AgentState.DRAINING:
                self._leave_pool()
                link.send(wire.Draining())
                self._go_to(AgentState.DRAINING)
                logger.info("agent %s drains", self._agent_id)
            case wire.Hello():
                self._break(link, "a second hello on one link")

    def _change_addresses(self, link: Link, change: wire.AddressesChanged) -> None:
        for address in change.gone:
            self._addresses.pop(address, None)
        self._addresses.update((report.address, report) for report in change.changed)
        if len(self._addresses) > MAX_ADDRESSES:
            self._break(link, f"more than {MAX_ADDRESSES} addresses")
        elif self._state is AgentState.CONNECTED and not self._is_dropped:
            changed = ExitsChanged(self._agent_id, self.actor_ref, change.changed, change.gone, self._max_concurrency)
            tell_or_drop(self._pool, changed)

    def _break(self, link: Link, detail: str) -> None:
        logger.warning("agent %s broke the protocol: %s", self._agent_id, detail)
        link.close_link(wire.Refused(wire.RefusalCode.PROTOCOL, detail))
        self._close(LinkClosed(link, detail))

    # What the agent is given to do

    def _take_on(self, runs: tuple[Run, ...]) -> NotTaken | None:
        link = self._link
        if link is None or self._is_dropped or self._state is not AgentState.CONNECTED:
            return NotTaken(f"agent {self._agent_id} went away before the request was sent")
        self._in_flight.give(runs, link)
        return None

    def _time_out(self, run: Run) -> None:
        self._in_flight.time_out(run, self._link)

    def _describe(self) -> AgentStatus:
        return AgentStatus(
            agent_id=self._agent_id,
            hostname=self._hostname,
            version=self._version,
            state=self._state,
            connected_at=self._connected_at,
            last_seen_at=self._last_seen_at,
            addresses=tuple(self._addresses.values()),
            in_flight=len(self._in_flight),
            completed=self._in_flight.counts[Outcome.COMPLETED],
            failed=self._in_flight.counts[Outcome.FAILED],
            unknown=self._in_flight.counts[Outcome.UNKNOWN],
        )


def _announced(address: str) -> wire.AddressReport:
    return wire.AddressReport(address, wire.AddressState.TENTATIVE, "announced; the agent has not connected yet")
