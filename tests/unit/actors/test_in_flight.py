"""What an agent was given: each ends once; how a result is judged."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from dispatcher.actors.in_flight import InFlight, judge
from dispatcher.actors.messages import Ended, Outcome, Run
from dispatcher.errors import FailureKind
from dispatcher.wire import messages as wire
from tests.unit.actors.linked import Link, answer, execute
from tests.unit.loops import on_loop, turns

if TYPE_CHECKING:
    from collections.abc import Callable

NEVER = 1000.0
LINK = Link()


def never(*_: object) -> None:
    raise AssertionError


def run(identifier: str, on_ended: Callable[[Run, Ended], None] = lambda *_: None) -> Run:
    return Run(execute(identifier), on_ended)


def soon(seconds: float = 0.01) -> float:
    return asyncio.get_running_loop().time() + seconds


def test_an_execution_is_there_until_it_ends_and_is_counted_then() -> None:
    async def test() -> None:
        in_flight, ended = InFlight(never), list[tuple[Run, Ended]]()
        begun = run("x", lambda *end: ended.append(end))
        in_flight.begin(begun, LINK, soon(NEVER))
        assert [begun] == list(in_flight) == in_flight.not_given_on(Link())
        assert [] == in_flight.not_given_on(LINK)
        in_flight.end("x", Outcome.COMPLETED, answer("x"))
        assert [(begun, Ended(Outcome.COMPLETED, answer("x")))] == ended
        assert (0, None, 1) == (len(in_flight), in_flight.get("x"), in_flight.counts[Outcome.COMPLETED])
        with pytest.raises(KeyError):
            in_flight.end("x", Outcome.FAILED, answer("x"))

    on_loop(test)


def test_what_is_late_is_told_once_and_what_ended_is_never_late() -> None:
    async def test() -> None:
        late: asyncio.Queue[Run] = asyncio.Queue()
        in_flight = InFlight(late.put_nowait)
        in_flight.begin(run("ended"), LINK, soon())
        in_flight.begin(run("late", never), LINK, soon())
        in_flight.end("ended", Outcome.FAILED, answer("ended"))
        assert "late" == (await asyncio.wait_for(late.get(), 10)).execute.id
        assert (1, 0) == (len(in_flight), late.qsize())

    on_loop(test)


def test_one_that_another_late_one_ends_is_not_late() -> None:
    async def test() -> None:
        late: asyncio.Queue[Run] = asyncio.Queue()
        in_flight = InFlight(
            lambda running: (in_flight.end("b", Outcome.FAILED, answer("b")), late.put_nowait(running))
        )
        for identifier in "ab":
            in_flight.begin(run(identifier), LINK, soon())
        assert "a" == (await asyncio.wait_for(late.get(), 10)).execute.id
        await turns()
        assert 0 == late.qsize()

    on_loop(test)


def test_executions_may_end_while_they_are_looked_through() -> None:
    async def test() -> None:
        in_flight = InFlight(never)
        for identifier in "abc":
            in_flight.begin(run(identifier), LINK, soon(NEVER))
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
