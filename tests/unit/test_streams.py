"""What comes over a stream, plain and with TLS: whole, in order, bounded, and to its end."""

from __future__ import annotations

import asyncio
import os
import ssl
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from tornado.iostream import IOStream

from dispatcher import streams
from dispatcher.afterwards import Afterwards
from dispatcher.streams import LITTLE_BYTES, READ_BYTES, Arrivals
from tests.unit.ends import MUCH, Kind, both_kinds, plain, tls
from tests.unit.loops import on_loop, turns

if TYPE_CHECKING:
    from collections.abc import Callable


def test_what_an_arrival_causes_is_done_in_the_turn_of_the_loop_that_brought_it() -> None:
    async def test() -> None:
        async with plain() as both:
            order: list[str] = []
            done = asyncio.Event()

            def finish() -> None:
                order.append("done afterwards")
                done.set()

            def hear(_: bytes) -> None:
                Afterwards.here().call(finish)
                order.append("heard")

            def read() -> None:
                arrivals._read()
                order.append("read")

            arrivals = Arrivals(both.stream, hear, lambda: None)
            arrivals.listen()
            both.stream._handle_read = read  # type: ignore[method-assign]  # what it is called in
            both.writer.write(b"something")
            await done.wait()
            assert ["heard", "done afterwards", "read"] == order

    on_loop(test)


@both_kinds
def test_what_comes_is_handed_over_in_the_turn_in_which_the_socket_tells_of_it(kind: Kind) -> None:
    async def test() -> None:
        async with kind() as both:
            assert b"" == both.arrivals.listen()
            tasks = asyncio.all_tasks()
            for number in range(3):
                both.writer.write(b"%d" % number)
                assert b"%d" % number == await both.arrived.get()
            assert tasks == asyncio.all_tasks()

    on_loop(test)


def test_nothing_is_asked_of_the_socket_again_after_little_has_come() -> None:
    async def test() -> None:
        async with plain() as both:
            asked: list[int] = []

            class Asked:
                """The socket, of which it is known how often it was read."""

                def __getattr__(self, name: str) -> Any:
                    return getattr(near, name)

                def recv(self, size: int) -> bytes:
                    asked.append(size)
                    return near.recv(size)

            both.arrivals.listen()
            near, both.stream.socket = both.stream.socket, Asked()  # type: ignore[assignment]  # all that is used of it
            both.writer.write(b"x")
            await both.arrived.get()
            assert [LITTLE_BYTES] == asked
            both.writer.write(bytes(LITTLE_BYTES))
            await both.take(LITTLE_BYTES)
            assert [LITTLE_BYTES, LITTLE_BYTES, READ_BYTES] == asked
            both.stream.socket = near

    on_loop(test)


@both_kinds
@pytest.mark.parametrize(
    "size", [1, LITTLE_BYTES - 1, LITTLE_BYTES, LITTLE_BYTES + 1, 16_384, 16_385, READ_BYTES, len(MUCH)]
)
def test_all_of_it_comes_and_in_order_however_much_it_is(kind: Kind, size: int) -> None:
    async def test() -> None:
        async with kind() as both:
            both.arrivals.listen()
            both.writer.write(MUCH[:size])
            assert MUCH[:size] == await both.take(size)

    on_loop(test)


@both_kinds
def test_a_turn_hands_over_so_much_at_most_and_others_have_theirs_in_between(kind: Kind) -> None:
    async def test() -> None:
        async with kind() as both:
            turn = 0
            handed: list[tuple[int, int]] = []

            def count() -> None:
                nonlocal turn, counting
                turn += 1
                counting = asyncio.get_running_loop().call_soon(count)

            def take(came: bytes) -> None:
                handed.append((turn, len(came)))
                both.arrived.put_nowait(came)

            counting = asyncio.get_running_loop().call_soon(count)
            Arrivals(both.stream, take, both.ended.set).listen()
            both.writer.write(MUCH)
            await both.take(len(MUCH))
            counting.cancel()
            assert LITTLE_BYTES + READ_BYTES >= max(size for _, size in handed)
            assert len(handed) == len({turn for turn, _ in handed})

    on_loop(test)


@both_kinds
def test_the_end_comes_after_all_else_and_once(kind: Kind) -> None:
    async def test() -> None:
        async with kind() as both:
            both.arrivals.listen()
            both.writer.write(b"last")
            both.writer.close()
            assert b"last" == await both.arrived.get()
            await both.ended.wait()
            both.stream.close()
            await turns()
            assert (1, True, None) == (both.ends, both.stream.closed(), both.stream.error)

    on_loop(test)


def test_a_reset_is_an_end_that_says_what_it_was() -> None:
    async def test() -> None:
        async with plain() as both:
            both.arrivals.listen()
            both.reset()
            await both.ended.wait()
            assert isinstance(both.stream.error, ConnectionResetError)

    on_loop(test)


def test_what_is_no_tls_ends_a_stream_with_tls_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with tls() as both:
            both.arrivals.listen()
            os.write(both.writer.get_extra_info("socket").fileno(), b"no record of TLS")
            await both.ended.wait()
            assert isinstance(both.stream.error, ssl.SSLError)

    on_loop(test)
    assert ["a connection broke"] == [record.getMessage().split(":")[0] for record in caplog.records]


def test_an_error_over_what_came_is_told_once_and_ends_its_stream_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with plain() as both, plain() as other:
            other.arrivals.listen()
            Arrivals(both.stream, lambda _: 1 // 0, both.ended.set).listen()
            both.writer.write(b"something")
            await both.ended.wait()
            assert isinstance(both.stream.error, ZeroDivisionError)
            other.writer.write(b"something else")
            assert b"something else" == await other.arrived.get()

    on_loop(test)
    assert ["a connection failed over what came"] == [record.getMessage() for record in caplog.records]


def test_a_stream_that_closes_on_its_own_side_ends_too() -> None:
    async def test() -> None:
        async with plain() as both:
            both.arrivals.listen()
            both.stream.close()
            await both.ended.wait()

    on_loop(test)


def test_who_listens_to_a_stream_that_is_closed_hears_its_end() -> None:
    async def test() -> None:
        async with plain() as both:
            both.stream.close()
            assert b"" == both.arrivals.listen()
            assert 0 == both.ends
            await both.ended.wait()

    on_loop(test)


@both_kinds
def test_what_was_given_back_is_what_tornado_reads_next(kind: Kind) -> None:
    async def test() -> None:
        async with kind() as both:
            both.arrivals.listen()
            both.writer.write(b"one\ntwo\n")
            assert b"one\ntwo\n" == await both.arrived.get()
            both.arrivals.release(b"two\n")
            assert b"two\n" == await both.stream.read_until(b"\n")
            both.writer.write(b"three\nfour\n")
            assert b"three\n" == await both.stream.read_until(b"\n")
            assert b"four\n" == both.arrivals.listen()
            both.writer.write(b"five\n")
            assert b"five\n" == await both.arrived.get()

    on_loop(test)


@both_kinds
def test_while_nobody_reads_a_little_waits_here_and_the_rest_at_the_sender(kind: Kind) -> None:
    async def test() -> None:
        async with kind() as both:
            both.arrivals.listen()
            both.writer.write(MUCH)
            first = await both.arrived.get()
            both.arrivals.release()
            rests = 0
            while rests < 100:  # turns in which nothing more is read
                size = both.stream._read_buffer_size  # nobody else says what it keeps
                await turns(1)
                rests = 0 if size != both.stream._read_buffer_size else rests + 1
            assert both.arrived.empty()
            assert 2 * both.stream.read_chunk_size >= size
            waited = both.arrivals.listen()
            assert MUCH == first + waited + await both.take(len(MUCH) - len(first) - len(waited))

    on_loop(test)


def test_an_end_that_comes_while_nobody_reads_is_told() -> None:
    async def test() -> None:
        async with plain() as both:
            both.arrivals.listen()
            both.arrivals.release()
            both.writer.close()
            await both.ended.wait()
            assert 1 == both.ends

    on_loop(test)


def test_what_comes_is_read_while_much_waits_to_be_written() -> None:
    async def test() -> None:
        async with plain() as both:
            both.arrivals.listen()
            assert streams.write(both.stream, MUCH) is not None
            for content in (b"one", b"two"):
                both.writer.write(content)
                assert content == await both.arrived.get()
            assert both.stream.writing()

    on_loop(test)


class User:
    """Whoever has arrivals, and is known to them."""

    def __init__(self, stream: IOStream, on_end: Callable[[], object]) -> None:
        self._on_end = on_end
        self.arrivals = Arrivals(stream, self._take, self._end)

    def _take(self, came: bytes) -> None:
        raise AssertionError(came)

    def _end(self) -> None:
        self._on_end()


def test_who_listens_is_let_go_of_at_the_end() -> None:
    async def test() -> None:
        async with plain() as both:
            user = User(both.stream, both.ended.set)
            user.arrivals.listen()
            both.writer.close()
            await both.ended.wait()
            known = weakref.ref(user)
            del user
            assert known() is None  # by counting alone: the collector has not looked

    on_loop(test)
