"""What an agent was given: each ends once; how a result is judged."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from dispatcher.actors.in_flight import CANCELLED_AT_ONCE, InFlight, judge
from dispatcher.actors.messages import Ended, Outcome, Run
from dispatcher.deadlines import LATE_A_TURN
from dispatcher.errors import FailureKind
from dispatcher.wire import messages as wire
from dispatcher.wire.codec import Invalid
from tests.unit.actors.linked import NEVER, FullLink, Link, answer, execute
from tests.unit.loops import on_loop, turns

SOON = 0.01


def never(*_: object) -> None:
    raise AssertionError


class Agent:
    """What one agent has, and how that ended."""

    def __init__(self, grace: float = 0.0) -> None:
        self.link = Link()
        self.late: asyncio.Queue[Run] = asyncio.Queue()
        self.emptied = 0
        self.ended: list[tuple[str, Outcome, FailureKind | None]] = []
        self.in_flight = InFlight("agent-01", grace, self.late.put_nowait, self._empty)

    def _empty(self) -> None:
        self.emptied += 1

    def give(self, *names: str, link: Link | None = None, timeout: float = NEVER) -> list[Run]:
        runs = [Run(execute(name, timeout), self.end) for name in names]
        self.in_flight.give(runs, link or self.link)
        return runs

    def end(self, run: Run, ended: Ended) -> None:
        self.ended.append((run.execute.id, ended.outcome, ended.result.error_kind))


def test_executions_that_are_given_are_sent_and_there_until_they_end() -> None:
    async def test() -> None:
        agent = Agent()
        agent.give("x", "y")
        assert [execute("x"), execute("y")] == agent.link.sent
        agent.in_flight.end(answer("x"))
        assert ([("x", Outcome.COMPLETED, None)], 1, 0) == (agent.ended, len(agent.in_flight), agent.emptied)
        agent.in_flight.end(answer("x"))  # again: nobody hears of it
        agent.in_flight.end(answer("y"))
        assert (["x", "y"], 0, 1) == ([name for name, *_ in agent.ended], len(agent.in_flight), agent.emptied)
        assert 2 == agent.in_flight.counts[Outcome.COMPLETED]

    on_loop(test)


def test_what_finds_no_room_on_the_link_ends_at_once() -> None:
    async def test() -> None:
        agent = Agent()
        agent.give("x", link=FullLink())
        assert [("x", Outcome.FAILED, FailureKind.OVERLOADED)] == agent.ended

    on_loop(test)


def test_what_is_late_is_told_once_and_what_ended_is_never_late() -> None:
    async def test() -> None:
        agent = Agent()
        agent.give("ended", "late", timeout=SOON)
        agent.in_flight.end(answer("ended"))
        assert "late" == (await asyncio.wait_for(agent.late.get(), 10)).execute.id
        assert (1, 0) == (len(agent.in_flight), agent.late.qsize())

    on_loop(test)


def test_each_is_late_in_its_own_time_however_they_were_given() -> None:
    async def test() -> None:
        late: asyncio.Queue[str] = asyncio.Queue()

        def end(run: Run) -> None:
            late.put_nowait(run.execute.id)
            in_flight.time_out(run, None)

        in_flight = InFlight("agent-01", SOON, end, lambda: None)
        began = time.monotonic()
        seconds = {"d": 4 * SOON, "a": SOON, "c": 3 * SOON, "b": 2 * SOON, "never": NEVER}
        for names in ("da", "cb", ["never"]):
            in_flight.give([Run(execute(name, seconds[name]), lambda *_: None) for name in names], Link())
        for name in "abcd":
            assert name == await asyncio.wait_for(late.get(), 10)
            assert time.monotonic() >= began + seconds[name] + SOON - 0.001
        assert 1 == len(in_flight)

    on_loop(test)


def test_all_of_many_that_are_late_at_once_end() -> None:
    async def test() -> None:
        many = 2 * LATE_A_TURN + 1
        emptied = asyncio.Event()
        in_flight = InFlight("agent-01", 0.0, lambda run: in_flight.time_out(run, None), emptied.set)
        in_flight.give([Run(execute(str(number), SOON), lambda *_: None) for number in range(many)], Link())
        await asyncio.wait_for(emptied.wait(), 10)
        assert many == in_flight.counts[Outcome.UNKNOWN]

    on_loop(test)


def test_one_that_another_late_one_ends_is_not_late() -> None:
    async def test() -> None:
        late: list[str] = []

        def end_the_other(run: Run) -> None:
            late.append(run.execute.id)
            in_flight.end(answer("b"))

        in_flight = InFlight("agent-01", 0.0, end_the_other, lambda: None)
        heard = asyncio.Event()
        in_flight.give([Run(execute(name, SOON), lambda *_: heard.set()) for name in "ab"], Link())
        await asyncio.wait_for(heard.wait(), 10)
        await turns()
        assert ["a"] == late

    on_loop(test)


@pytest.mark.parametrize(
    ("has_left", "outcome", "sent"), [(True, Outcome.UNKNOWN, [wire.Cancel("x")]), (False, Outcome.FAILED, [])]
)
def test_what_is_late_may_have_been_sent_where_it_has_left(
    has_left: bool, outcome: Outcome, sent: list[wire.Message]
) -> None:
    async def test() -> None:
        agent = Agent()
        (run,) = agent.give("x")
        agent.link.sent.clear()
        agent.link.unsent = set() if has_left else {"x"}
        agent.in_flight.time_out(run, agent.link)
        assert [("x", outcome, FailureKind.AGENT_TIMEOUT)] == agent.ended
        assert sent == agent.link.sent

    on_loop(test)


def test_of_a_lost_link_what_never_left_has_failed_and_the_rest_is_unknown() -> None:
    async def test() -> None:
        agent = Agent()
        agent.give("a", "b", "c")
        agent.link.unsent = {"b"}
        unsent = agent.in_flight.withdraw_all(agent.link)
        assert frozenset("b") == unsent
        agent.in_flight.end_unsent(unsent, "gone")
        assert [("b", Outcome.FAILED, FailureKind.AGENT_LOST)] == agent.ended
        agent.in_flight.end_all("gone")
        assert [(name, Outcome.UNKNOWN, FailureKind.AGENT_LOST) for name in "ac"] == agent.ended[1:]
        assert 1 == agent.emptied

    on_loop(test)


def test_one_that_the_end_of_another_ends_has_one_end() -> None:
    async def test() -> None:
        ended: list[str] = []

        def end_the_other(run: Run, _: Ended) -> None:
            ended.append(run.execute.id)
            in_flight.end(answer("b"))

        in_flight = InFlight("agent-01", 0.0, never, lambda: None)
        in_flight.give([Run(execute(name), end_the_other) for name in "ab"], Link())
        in_flight.end_all("gone")
        assert ["a", "b"] == ended

    on_loop(test)


def test_an_agent_that_comes_back_without_an_execution_has_lost_it_and_drops_what_has_ended() -> None:
    async def test() -> None:
        agent, link = Agent(), Link()
        agent.give("held", "lost")
        agent.give("new", link=link)
        link.sent.clear()
        agent.in_flight.compare(link, frozenset({"held", "ended"}))
        assert [("lost", Outcome.UNKNOWN, FailureKind.AGENT_LOST)] == agent.ended
        assert [wire.Cancel("ended")] == link.sent
        agent.in_flight.expect_all(link)
        assert ["held", "new"] == link.expected

    on_loop(test)


def test_an_agent_that_holds_thousands_that_have_ended_is_told_so_some_in_each_turn() -> None:
    async def test() -> None:
        agent, link = Agent(), Link()
        held = [f"x{number}" for number in range(2 * CANCELLED_AT_ONCE + 1)]
        agent.in_flight.compare(link, held)
        for expected in (CANCELLED_AT_ONCE, 2 * CANCELLED_AT_ONCE, len(held), len(held)):
            assert [wire.Cancel(each) for each in held[:expected]] == link.sent
            await turns(1)

    on_loop(test)


def test_a_link_that_takes_no_more_is_told_no_more_of_what_has_ended() -> None:
    class Full(Link):
        def send(self, message: wire.Message) -> bool:
            super().send(message)
            return len(self.sent) < 3

    async def test() -> None:
        agent, link = Agent(), Full()
        agent.in_flight.compare(link, [f"x{number}" for number in range(2 * CANCELLED_AT_ONCE)])
        await turns()
        assert 3 == len(link.sent)

    on_loop(test)


def test_a_result_that_cannot_be_read_ends_the_one_that_it_names() -> None:
    async def test() -> None:
        agent = Agent()
        agent.give("x")
        for named in (None, "y", "x"):
            agent.in_flight.end_invalid(Invalid("result", named, "no status"))
        assert [("x", Outcome.FAILED, FailureKind.INVALID_RESULT)] == agent.ended

    on_loop(test)


@pytest.mark.parametrize(
    ("said", "outcome", "kind"),
    [
        ({}, Outcome.COMPLETED, None),
        ({"status": None, "error_kind": FailureKind.DNS}, Outcome.FAILED, FailureKind.DNS),
        ({"source_ip": "2001:db8::b"}, Outcome.FAILED, FailureKind.SOURCE_MISMATCH),
        ({"status": None}, Outcome.FAILED, FailureKind.INVALID_RESULT),
        ({"body": bytes(101)}, Outcome.FAILED, FailureKind.INVALID_RESULT),
    ],
)
def test_a_result_ends_its_execution_as_it_says_unless_it_cannot_be_so(
    said: dict[str, Any], outcome: Outcome, kind: FailureKind | None
) -> None:
    ended = judge(execute("x"), answer("x", **said))
    assert (outcome, kind, "x") == (ended.outcome, ended.result.error_kind, ended.result.id)
