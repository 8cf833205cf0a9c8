"""`AgentConnection`: every execution that it takes ends exactly once, whatever the link and the agent do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pykka
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dispatcher.actors.loop_actor import ask, stop_actor
from dispatcher.actors.messages import (
    DropAgent,
    Ended,
    FromAgent,
    LinkClosed,
    LinkOpened,
    NotTaken,
    Outcome,
    ProveAlive,
)
from dispatcher.errors import FailureKind
from dispatcher.wire import messages as wire
from dispatcher.wire.codec import Invalid
from tests.unit.actors.linked import HELLO, NEVER, NEWER, OTHER_PROCESS, Agent, Link, answer, execute, report, run
from tests.unit.loops import WAIT, turns


class AnyOrder(RuleBasedStateMachine):
    """Links, results, losses, deadlines and a removal in any order: each execution taken ends exactly once."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.agent = self._in_loop(Agent)
        self.links: list[Link] = []
        self.running: dict[str, asyncio.Future[Ended | NotTaken]] = {}
        self.ends: dict[str, Ended | NotTaken] = {}
        self.number = 0

    def _in_loop(self, make: Callable[[], Any]) -> Any:
        async def made() -> Any:
            found = make()
            await turns(8)
            return found

        return self.loop.run_until_complete(made())

    def _settle(self) -> None:
        self._in_loop(lambda: None)
        for identifier, task in list(self.running.items()):
            if task.done():
                assert identifier not in self.ends
                del self.running[identifier]
                if task.exception() is None:
                    self.ends[identifier] = task.result()
                else:
                    assert isinstance(task.exception(), pykka.ActorDeadError)

    def _tell(self, message: Any) -> None:
        if self.agent.ref.is_alive():
            self._in_loop(lambda: self.agent.ref.tell(message))
        self._settle()

    @rule(hello=st.sampled_from([HELLO, NEWER, NEWER, OTHER_PROCESS]))
    def open(self, hello: wire.Hello) -> None:
        self.links.append(Link())
        self._tell(LinkOpened(self.links[-1], hello))

    @precondition(lambda self: self.links)
    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        ids = data.draw(st.sets(st.sampled_from([f"x{number}" for number in range(self.number + 2)])))
        self._tell(FromAgent(data.draw(st.sampled_from(self.links)), (wire.Holding(frozenset(ids)),)))

    @precondition(lambda self: self.links)
    @rule(is_alive=st.booleans())
    def prove(self, is_alive: bool) -> None:
        if not self.agent.ref.is_alive():
            return
        ref = self.agent.ref
        asking = self._in_loop(lambda: asyncio.ensure_future(ask(ref, ProveAlive(1.0), timeout=WAIT)))
        for link in self.links:
            if link.proof is not None and not link.proof.done():
                self._in_loop(lambda proof=link.proof: proof.set_result(is_alive))
        self._settle()
        assert asking.done()
        assert asking.exception() is not None or asking.result() in (is_alive, False)

    @rule(timeout=st.sampled_from([0.0, NEVER, NEVER, NEVER]))
    def run(self, timeout: float) -> None:
        self.number += 1
        what = execute(f"x{self.number}", timeout)
        ref = self.agent.ref
        self.running[what.id] = self._in_loop(
            lambda: run(ref, what),
        )
        self._settle()

    @precondition(lambda self: self.links)
    @rule(data=st.data(), kind=st.sampled_from(["answer", "failure", "mismatch", "contradiction", "invalid"]))
    def result(self, data: st.DataObject, kind: str) -> None:
        link = data.draw(st.sampled_from(self.links))
        identifier = f"x{data.draw(st.integers(1, self.number + 1))}"
        said: dict[str, wire.Result] = {
            "answer": answer(identifier),
            "failure": answer(identifier, status=None, error_kind=FailureKind.RESET),
            "mismatch": answer(identifier, source_ip="::2"),
            "contradiction": answer(identifier, status=None),
        }
        if kind == "invalid":
            self._tell(FromAgent(link, (Invalid("result", identifier, "no good"),)))
        else:
            self._tell(FromAgent(link, (said[kind],)))

    @precondition(lambda self: self.links)
    @rule(data=st.data(), message=st.sampled_from([wire.Draining(), HELLO, wire.AddressesChanged((report(1),))]))
    def say(self, data: st.DataObject, message: wire.Message) -> None:
        self._tell(FromAgent(data.draw(st.sampled_from(self.links)), (message,)))

    @precondition(lambda self: self.links)
    @rule(data=st.data(), is_silent=st.booleans())
    def lose(self, data: st.DataObject, is_silent: bool) -> None:
        unsent = data.draw(st.sets(st.sampled_from(sorted(self.running) or ["x0"])))
        link = data.draw(st.sampled_from(self.links))
        self._tell(LinkClosed(link, "gone", frozenset(unsent), may_resume=is_silent))

    @rule(really=st.integers(0, 9))
    def drop(self, really: int) -> None:
        if really == 0:
            self._tell(DropAgent())

    @invariant()
    def what_it_says_is_in_flight_is_what_has_not_ended(self) -> None:
        if self.agent.ref.is_alive():
            status = self.loop.run_until_complete(self.agent.describe())
            assert len(self.running) == status.in_flight
            ended = [end for end in self.ends.values() if isinstance(end, Ended)]
            counts = [sum(end.outcome is outcome for end in ended) for outcome in Outcome]
            assert counts == [status.completed, status.failed, status.unknown]
        else:
            assert {} == self.running

    def teardown(self) -> None:
        try:
            self.open(OTHER_PROCESS)
            for link in self.links:  # once it is dropped it takes no new one, and what is in flight is on an old one
                self._tell(LinkClosed(link, "the end"))
            assert {} == self.running
            assert all(end.result.id == identifier for identifier, end in self.ends.items() if isinstance(end, Ended))
        finally:
            # After a failure too: an actor of a loop that turns no more would be waited for by the next example.
            for ref in pykka.ActorRegistry.get_all():
                self.loop.run_until_complete(stop_actor(ref))
            self.loop.close()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(deadline=None, max_examples=80, stateful_step_count=30)
