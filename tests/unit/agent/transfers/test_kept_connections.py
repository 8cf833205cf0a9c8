"""Kept connections that are no good any more: nothing is sent twice, and no answer is taken for another."""

from __future__ import annotations

import asyncio

import pytest

from dispatcher.agent.transfers.engine import Engine
from dispatcher.errors import FailureKind
from tests.support.executing import executed, execution, executor, run
from tests.support.target_http import respond
from tests.support.targets import Echo, Hanging, Target


class ClosingAfterEach(Target):
    """Answers once as if it would keep the connection, and closes it."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await self._next(reader, writer)
        if request is not None:
            await respond(writer, request, b"once")


class Babbling(Target):
    """Answers, and then says something that nobody has asked for."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await self._next(reader, writer):
            await respond(writer, request, b"asked")
            await respond(writer, request, b"unasked", status=408)


class ClosingOnTheSecond(Target):
    """Answers the first request of a connection, reads the second, and closes without an answer."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await self._next(reader, writer)
        if request is not None:
            await respond(writer, request, b"first")
        await self._next(reader, writer)


class RedirectingThenClosing(Target):
    """Redirects as if it would keep the connection, and closes that one when the next request comes on it."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await self._next(reader, writer)
        if request is not None and request.path == "/there":
            await respond(writer, request, b"arrived")
        elif request is not None:
            await respond(writer, request, b"", status=302, headers=(("Location", "/there"),))
        await self._next(reader, writer)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_redirect_is_followed_on_a_connection_of_its_own(method: str) -> None:
    async def test() -> None:
        async with RedirectingThenClosing() as target, executor() as made:
            result = await executed(made, execution(target.url(), method=method, follow_redirects=True))
            assert (200, b"arrived", "") == (result.status, result.body, result.error_detail)
            assert ["/", "/there"] == [request.path for request in target.requests]

    run(test())


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced_before_the_request_leaves() -> None:
    async def test() -> None:
        async with ClosingAfterEach() as target, executor() as made:
            for count in range(1, 6):
                result = await executed(made, execution(target.url(), method="POST", body=b"x"))
                assert (200, "") == (result.status, result.error_detail)
                assert count == len(target.requests)
                await asyncio.wait_for(target.closings.get(), 5)

    run(test())


def test_what_a_target_says_unasked_is_no_answer_to_the_next_request() -> None:
    async def test() -> None:
        async with Babbling() as target, executor() as made:
            for _ in range(5):
                result = await executed(made, execution(target.url()))
                assert (200, b"asked", "") == (result.status, result.body, result.error_detail)

    run(test())


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_is_sent_twice_when_a_kept_connection_breaks(method: str) -> None:
    async def test() -> None:
        async with ClosingOnTheSecond() as target, executor() as made:
            assert 200 == (await executed(made, execution(target.url()))).status
            second = await executed(made, execution(target.url("/second"), method=method))
            assert FailureKind.RESET == second.error_kind
            assert "closed a kept connection before it answered; nothing was sent again" in second.error_detail
            assert ["/", "/second"] == [request.target for request in target.requests]
            for _ in range(2):  # the one that broke, and the one that libcurl would have used instead
                await asyncio.wait_for(target.closings.get(), 5)

    run(test())


def waits(engine: Engine) -> bool:
    """Whether a timer is set that ends idle connections."""
    return engine._idle_timer is not None


def test_the_time_of_idle_connections_counts_from_the_last_transfer() -> None:
    async def test() -> None:
        async with Echo() as target, Hanging() as slow, executor(max_idle_seconds=20) as made:
            engine = made._engine
            await executed(made, execution(target.url()))
            timer = engine._idle_timer
            await executed(made, execution(target.url()))
            assert timer is engine._idle_timer  # which was set for the first
            engine._rest()
            assert 1 == target.open_connections == engine.open_connections("::1")
            assert engine._idle_timer is not None
            assert engine._idle_since + 20 == engine._idle_timer.when()
            busy = asyncio.create_task(executed(made, execution(slow.url(), timeout=20)))
            await asyncio.wait_for(slow.seen.wait(), 5)
            engine._idle_since -= 20
            engine._rest()
            assert not waits(engine)
            assert 2 == engine.open_connections("::1")
            busy.cancel()
            made.cancel(next(iter(made._runs)))
            assert waits(engine)
            engine._idle_since -= 20
            engine._rest()
            assert "::1" == await asyncio.wait_for(target.closings.get(), 5)

    run(test())
