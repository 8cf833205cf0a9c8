"""What an agent was given: each ends once; how a result is judged."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dispatcher.actors.in_flight import InFlight, Running, judge
from dispatcher.actors.messages import Ended, Outcome
from dispatcher.errors import FailureKind
from dispatcher.wire import messages as wire
from tests.unit.actors.linked import Link, answer, execute
from tests.unit.loops import on_loop, turns

NEVER = 1000.0


def never(_: object) -> None:
    raise AssertionError


def test_an_execution_is_there_until_it_ends_and_is_counted_then() -> None:
    async def test() -> None:
        in_flight, link, ended = InFlight(never), Link(), list[Ended]()
        in_flight.begin(execute("x"), link, NEVER, ended.append)
        assert [("x", link)] == [(running.execute.id, running.link) for running in in_flight]
        in_flight.end("x", Outcome.COMPLETED, answer("x"))
        assert [Ended(Outcome.COMPLETED, answer("x"))] == ended
        assert (0, None, 1) == (len(in_flight), in_flight.get("x"), in_flight.counts[Outcome.COMPLETED])
        with pytest.raises(KeyError):
            in_flight.end("x", Outcome.FAILED, answer("x"))

    on_loop(test)


def test_what_is_late_is_told_once_and_what_ended_is_never_late() -> None:
    async def test() -> None:
        late: asyncio.Queue[Running] = asyncio.Queue()
        in_flight, link = InFlight(late.put_nowait), Link()
        in_flight.begin(execute("ended"), link, 0.01, lambda _: None)
        in_flight.begin(execute("late"), link, 0.01, never)
        in_flight.end("ended", Outcome.FAILED, answer("ended"))
        assert "late" == (await asyncio.wait_for(late.get(), 10)).execute.id
        assert (1, 0) == (len(in_flight), late.qsize())

    on_loop(test)


def test_one_that_another_late_one_ends_is_not_late() -> None:
    async def test() -> None:
        late: asyncio.Queue[Running] = asyncio.Queue()
        in_flight = InFlight(
            lambda running: (in_flight.end("b", Outcome.FAILED, answer("b")), late.put_nowait(running))
        )
        for identifier in "ab":
            in_flight.begin(execute(identifier), Link(), 0.01, lambda _: None)
        assert "a" == (await asyncio.wait_for(late.get(), 10)).execute.id
        await turns()
        assert 0 == late.qsize()

    on_loop(test)


def test_executions_may_end_while_they_are_looked_through() -> None:
    async def test() -> None:
        in_flight = InFlight(never)
        for identifier in "abc":
            in_flight.begin(execute(identifier), Link(), NEVER, lambda _: None)
        for running in in_flight:
            in_flight.end(running.execute.id, Outcome.UNKNOWN, answer(running.execute.id))
        assert 3 == in_flight.counts[Outcome.UNKNOWN]

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
    judged, result = judge(execute("x"), answer("x", **said))
    assert (outcome, kind, "x") == (judged, result.error_kind, result.id)
    assert isinstance(result, wire.Result)
