"""The end of patience with a caller that says nothing, or takes nothing of its answer."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.unit.loops import on_loop
from tests.unit.web.talking import MUCH, server_forgets, talking

PATIENCE = 0.2


@pytest.mark.parametrize("before", [b"", b"say one."])
def test_an_idle_connection_is_closed_when_patience_ends(before: bytes) -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with talking(idle_connection_timeout=PATIENCE) as (_, _, reader, writer):
            writer.write(before or b"P")
            assert before[4:-1] == (await reader.read()).rstrip()
            assert loop.time() - began >= PATIENCE

    on_loop(test)


def test_an_answer_may_take_longer_than_a_connection_may_be_idle() -> None:
    async def test() -> None:
        async with talking(idle_connection_timeout=PATIENCE) as (_, way, reader, writer):
            way.is_held = True
            writer.write(b"say late.")
            await way.begins(b"late")
            asyncio.get_running_loop().call_later(3 * PATIENCE, way.let_go)
            assert b"late\n" == await reader.read()

    on_loop(test)


ASKS_FOR_MUCH = [b"say much.", b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"]


@pytest.mark.parametrize("asked", ASKS_FOR_MUCH, ids=["the short way", "Tornado"])
@pytest.mark.parametrize("idle", [None, 60.0])
def test_who_takes_nothing_of_an_answer_is_closed_and_it_is_said(
    asked: bytes, idle: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with talking(send_timeout=PATIENCE, idle_connection_timeout=idle) as (server, _, _, writer):
            writer.write(asked)
            await server_forgets(server)

    caplog.set_level(logging.INFO, "dispatcher")
    on_loop(test)
    said = [one.getMessage() for one in caplog.records if one.name == "dispatcher.web.patience"]
    assert ["ended a connection of 127.0.0.1: it took nothing of its answer for 0.2 s (--send-timeout)"] == said


@pytest.mark.parametrize("asked", ASKS_FOR_MUCH, ids=["the short way", "Tornado"])
def test_without_a_send_timeout_an_answer_waits_for_its_reader(asked: bytes) -> None:
    async def test() -> None:
        async with talking(send_timeout=0.0, idle_connection_timeout=PATIENCE) as (_, _, reader, writer):
            writer.write(asked)
            said_nothing, idle = await asyncio.open_connection("127.0.0.1", writer.get_extra_info("peername")[1])
            # By the time that one which is idle was closed, this one was looked at too.
            assert b"" == await said_nothing.read()
            idle.close()
            assert MUCH in await reader.read()

    on_loop(test)


def test_an_answer_that_has_not_begun_may_take_longer_than_a_reader_may() -> None:
    async def test() -> None:
        async with talking(send_timeout=PATIENCE) as (_, way, reader, writer):
            way.is_held = True
            writer.write(b"say late.")
            await way.begins(b"late")
            asyncio.get_running_loop().call_later(3 * PATIENCE, way.let_go)
            assert b"late\n" == await reader.readline()

    on_loop(test)
