"""A caller's connection: what the short way takes, what goes on as if nobody had looked, and how all of it ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from tornado.platform.asyncio import BaseAsyncIOLoop

from dispatcher.afterwards import Afterwards
from dispatcher.streams import READ_BYTES
from dispatcher.tls.contexts import ServerFiles
from dispatcher.tls.reload import Certificates
from dispatcher.web.connection import LOOK_BYTES
from tests.support.certificates import Authority
from tests.unit.loops import on_loop, turns
from tests.unit.web.talking import MUCH, Said, post, server_forgets, server_knows, talking

if TYPE_CHECKING:
    from pathlib import Path

    from dispatcher.web.asked import Caller


@pytest.mark.parametrize("size", [0, 6, 600_000])
def test_what_the_short_way_does_not_take_goes_on_whole(size: int) -> None:
    async def test() -> None:
        async with talking() as (_, _, reader, writer):
            writer.write(b"say one.say two." + post(size) + b"say three." + post(size))
            assert [b"one\n", b"two\n"] == [await reader.readline() for _ in range(2)]
            said = b"%d bytes\n" % size
            assert (await reader.readuntil(said)).startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"three\n" == await reader.readline()
            assert (await reader.readuntil(said)).startswith(b"HTTP/1.1 200 OK\r\n")

    on_loop(test)


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\r\n\n"])
@pytest.mark.parametrize("early", range(1, 5))
def test_a_head_may_end_in_two_pieces(end: bytes, early: int) -> None:
    async def test() -> None:
        async with talking() as (_, way, reader, writer):
            request = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 3" + end + b"abc"
            cut = len(request) - len(b"abc") - early
            writer.write(request[:cut])
            while not way.lasts:  # noqa: ASYNC110 (nobody is told; the test's own deadline bounds it)
                await asyncio.sleep(0)
            writer.write(request[cut:])
            assert (await reader.readuntil(b"3 bytes\n")).startswith(b"HTTP/1.1 200 OK\r\n")

    on_loop(test)


def test_the_short_way_is_told_what_it_took_before() -> None:
    async def test() -> None:
        async with talking() as (_, way, reader, writer):
            for word in (b"one", b"two", b"three"):
                writer.write(b"say %s." % word)
                assert word + b"\n" == await reader.readline()
            first, second, third = way.lasts
            assert first is None
            assert isinstance(second, Said)
            assert isinstance(third, Said)
            assert second is not third

    on_loop(test)


def test_what_is_longer_than_a_look_is_not_for_the_short_way() -> None:
    async def test() -> None:
        async with talking() as (_, _, reader, writer):
            longest = b"x" * (LOOK_BYTES - len(b"say ."))
            writer.write(b"say %s." % longest)
            assert longest + b"\n" == await reader.readline()
            writer.write(b"say x%s.\r\n\r\n" % longest)
            assert b"HTTP/1.1 400 Bad Request\r\n" == await reader.readline()

    on_loop(test)


def test_a_request_of_the_short_way_neither_leaves_nor_joins_the_selector(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with talking() as (_, _, reader, writer):
            writer.write(b"say first.")
            assert b"first\n" == await reader.readline()
            changes: list[Any] = []
            monkeypatch.setattr(BaseAsyncIOLoop, "update_handler", lambda *change: changes.append(change))
            for _ in range(10):
                writer.write(b"say again.")
                assert b"again\n" == await reader.readline()
            assert [] == changes
            monkeypatch.undo()

    on_loop(test)


def test_a_request_of_the_short_way_takes_no_task_and_its_answer_no_turn() -> None:
    async def test() -> None:
        async with talking() as (_, way, reader, writer):
            way.is_held = True
            for word in (b"one", b"two", b"three"):
                writer.write(b"say %s." % word)
                await way.begins(word)
                assert {asyncio.current_task()} == asyncio.all_tasks()
                way.waiting.pop().let_go()
                assert word == way.ended[-1]
                assert word + b"\n" == await reader.readline()

    on_loop(test)


class Causing(Said):
    """Is answered by a call that is due afterwards; notes in which turn of the loop what was done."""

    turn = 0
    noted: ClassVar[list[int]] = []

    def begin(self, caller: Caller) -> None:
        self.noted.append(Causing.turn)
        super().begin(caller)
        Afterwards.here().call(self.let_go)

    def let_go(self) -> None:
        self.noted.append(Causing.turn)
        super().let_go()


def test_what_a_request_causes_is_done_in_its_own_event_where_nothing_else_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test() -> None:
        async with talking() as (_, way, reader, writer):
            way.is_held = True
            monkeypatch.setattr(way, "look", lambda *_: Causing(way, b"it"))
            loop = asyncio.get_running_loop()
            turn = loop._run_once  # type: ignore[attr-defined]  # asyncio's loop has it

            def turn_and_count() -> None:
                Causing.turn += 1
                turn()

            monkeypatch.setattr(loop, "_run_once", turn_and_count)
            writer.write(b"say it.")
            assert b"it\n" == await reader.readline()
            begun, done = Causing.noted
            assert begun == done

    on_loop(test)


def test_what_comes_before_an_answer_is_served_after_it_and_in_order() -> None:
    async def test() -> None:
        async with talking() as (_, way, reader, writer):
            way.is_held = True
            writer.write(b"say one.")
            await way.begins(b"one")
            writer.write(b"say two." + post(6) + b"say three.")
            await turns(50)
            assert [b"one"] == way.begun
            way.let_go()
            assert [b"one\n", b"two\n"] == [await reader.readline() for _ in range(2)]
            assert (await reader.readuntil(b"6 bytes\n")).startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"three\n" == await reader.readline()
            assert [b"one", b"two", b"three"] == way.begun == way.ended

    on_loop(test)


def test_no_more_is_read_while_an_answer_is_awaited_than_fits_two_reads() -> None:
    async def test() -> None:
        async with talking() as (server, way, _, writer):
            way.is_held = True
            writer.write(b"say one.")
            await way.begins(b"one")
            writer.write(MUCH)
            unsent = -1
            while unsent != (unsent := writer.transport.get_write_buffer_size()):  # type: ignore[attr-defined]  # it has
                await turns(100)
            (connection,) = server._connections
            assert unsent > len(MUCH) // 2
            assert 2 * (READ_BYTES + LOOK_BYTES) > connection.stream._read_buffer_size  # type: ignore[attr-defined]  # ours

    on_loop(test)


@pytest.mark.parametrize("asked", [b"say it.", post(0), b"say it." + post(0), post(6) + b"say it."])
def test_who_asks_for_more_than_it_waits_for_has_no_more_read_with_each_answer(asked: bytes) -> None:
    async def test() -> None:
        async with talking() as (server, way, reader, writer):
            writer.write(asked * (len(MUCH) // len(asked)))
            answers = 0
            while answers < 1000:
                answers += (await reader.read(4096)).count(b"it\n" if b"it" in asked else b"HTTP/1.1 200 OK")
                (connection,) = server._connections
                assert 3 * (READ_BYTES + LOOK_BYTES) > connection.stream._read_buffer_size  # type: ignore[attr-defined]  # ours
            assert writer.transport.get_write_buffer_size() > len(MUCH) // 2  # type: ignore[attr-defined]  # it has one
            writer.transport.abort()
            await server_forgets(server)
            assert way.begun == way.ended

    on_loop(test)


def test_what_came_behind_a_request_of_tornados_does_not_make_a_connection_deaf() -> None:
    async def test() -> None:
        async with talking() as (_, _, reader, writer):
            writer.write(post(6) + b"say one.")
            await reader.readuntil(b"6 bytes\none\n")
            writer.write(b"say two.")
            assert b"two\n" == await reader.readline()

    on_loop(test)


@pytest.mark.parametrize("behind", [b"", b"say more." * 1000])
def test_a_connection_that_is_ended_while_nothing_is_read_is_forgotten(behind: bytes) -> None:
    async def test() -> None:
        async with talking() as (server, way, _, writer):
            way.is_held = True
            writer.write(post(0) + b"say held." + behind)
            await way.begins(b"held")
            (connection,) = server._connections
            connection.end_access()  # type: ignore[attr-defined]  # it is ours
            await server_forgets(server)
            assert [b"held"] == way.begun == way.ended

    on_loop(test)


def test_the_next_request_waits_until_the_answer_before_it_was_taken() -> None:
    async def test() -> None:
        async with talking() as (_, way, reader, writer):
            writer.write(b"say much.say next.")
            await way.begins(b"much")
            await turns(50)
            assert [b"much"] == way.begun
            assert [] == way.ended
            assert MUCH == await reader.readexactly(len(MUCH))
            assert b"\nnext\n" == await reader.readexactly(len(b"\nnext\n"))
            assert [b"much", b"next"] == way.ended

    on_loop(test)


def test_an_answer_may_leave_in_pieces_and_the_next_request_waits_for_them() -> None:
    async def test() -> None:
        async with talking() as (_, way, reader, writer):
            writer.write(b"say slow.say next.")
            assert [b"slow\n", b"next\n"] == [await reader.readline() for _ in range(2)]
            writer.write(b"say slow.")
            assert b"slow\n" == await reader.readline()
            writer.write(b"say last.")
            assert b"last\n" == await reader.readline()
            assert [b"slow", b"next", b"slow", b"last"] == way.ended

    on_loop(test)


def test_many_requests_in_one_piece_leave_others_their_turn() -> None:
    async def test() -> None:
        async with talking() as (_, way, reader, writer):
            writer.write(b"say it." * 2000)
            reading = asyncio.create_task(reader.readexactly(len(b"it\n") * 2000))
            turned = 0
            while not reading.done():
                turned += 1
                await asyncio.sleep(0)
            assert b"it\n" * 2000 == await reading
            assert turned > 2000
            assert 2000 == len(way.ended)

    on_loop(test)


@pytest.mark.parametrize("behind", [b"", b"say more."])
def test_the_last_request_of_a_connection_is_answered_and_closes_it(behind: bytes) -> None:
    async def test() -> None:
        async with talking() as (server, way, reader, writer):
            writer.write(b"say one.say bye." + behind)
            with contextlib.suppress(ConnectionResetError):  # where something was left unread
                assert b"one\nbye\n" == await reader.read(8)
                assert b"" == await reader.read()
            await turns()
            assert [b"one", b"bye"] == way.begun == way.ended
            assert set() == server._connections

    on_loop(test)


def test_over_tls_it_is_the_same(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.pair("coordinator")
    certificates = Certificates(ServerFiles(pair.cert, pair.key))

    async def test() -> None:
        async with talking(authority.client(), certificates=certificates) as (_, way, reader, writer):
            writer.write(b"say one.say two." + post(60_000) + b"say three.")
            assert [b"one\n", b"two\n"] == [await reader.readline() for _ in range(2)]
            assert (await reader.readuntil(b"60000 bytes\n")).startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"three\n" == await reader.readline()
            # More than a look in one record: what OpenSSL has of it already is not forgotten.
            writer.write(b"say four." * 1000)
            assert b"four\n" * 1000 == await reader.readexactly(5000)
            writer.write(b"say much.")
            assert MUCH == await reader.readexactly(len(MUCH))
            assert 1004 == len(way.begun)

    on_loop(test)


def test_an_answer_of_the_short_way_is_waited_for() -> None:
    async def test() -> None:
        async with talking() as (server, way, reader, writer):
            way.is_held = True
            writer.write(b"say it.")
            await way.begins(b"it")
            assert await server.finish_replies(0.05) is False
            way.let_go()
            assert await server.finish_replies(5.0) is True
            assert b"it\n" == await reader.readline()

    on_loop(test)


@pytest.mark.parametrize("word", [b"fault", b"early fault", b"slow fault"])
def test_a_fault_is_logged_and_ends_its_connection_alone(word: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with talking() as (server, way, reader, writer):
            writer.write(b"say %s.say next." % word)
            with contextlib.suppress(ConnectionResetError):  # where something was left unread
                assert (await reader.read()) in (b"", b"slow")
            await turns()
            assert set() == server._connections
            assert [word] == way.begun == way.ended

    on_loop(test)
    assert [(logging.ERROR, "a connection failed")] == [(one.levelno, one.getMessage()) for one in caplog.records]


@pytest.mark.parametrize("word", [b"it", b"much", b"slow"])
def test_who_goes_away_is_forgotten_and_what_was_asked_is_told(word: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with talking() as (server, way, _, writer):
            way.is_held = word == b"it"
            writer.write(b"say %s.say next." % word)
            await way.begins(word)
            writer.transport.abort()
            await server_forgets(server)
            assert [word] == way.ended
            way.let_go()
            await turns()
            assert [word] == way.begun == way.ended

    on_loop(test)
    assert [] == [one for one in caplog.records if one.levelno > logging.DEBUG]


@pytest.mark.parametrize("asked", [b"", b"say held.", b"say much.", b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", b"POST /"])
def test_whatever_is_under_way_ends_when_all_connections_are_closed(asked: bytes) -> None:
    async def test() -> None:
        async with talking() as (server, way, reader, writer):
            writer.write(b"say one.")
            assert b"one\n" == await reader.readline()
            way.is_held = b"held" in asked
            writer.write(asked)
            await turns(20)
            await server.close_all_connections()
            assert set() == server._connections
            assert {asyncio.current_task()} == asyncio.all_tasks()
            assert way.begun == way.ended
            assert await server.finish_replies(0.0)

    on_loop(test)


@pytest.mark.parametrize("asked", [b"P", b"say one.", b"say held.", b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"])
def test_a_connection_that_has_ended_leaves_nothing_to_the_garbage_collector(asked: bytes) -> None:
    async def test() -> None:
        async with talking() as (server, way, _, writer):
            way.is_held = b"held" in asked
            writer.write(asked)
            await server_knows(server)
            await turns(20)
            (connection,) = server._connections
            left = [weakref.ref(connection), weakref.ref(connection._patience)]  # type: ignore[attr-defined]  # it is ours
            del connection
            writer.transport.abort()
            while server._connections:  # noqa: ASYNC110 (nobody is told; the test's own deadline bounds it)
                await asyncio.sleep(0)
            await turns()
            assert [None, None] == [each() for each in left]

    gc.disable()
    try:
        on_loop(test)
    finally:
        gc.enable()
