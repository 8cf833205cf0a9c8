"""What is written to a stream, plain and with TLS: whole, in order, at once where it can be, and within a limit."""

from __future__ import annotations

import pytest
from tornado.iostream import StreamBufferFullError, StreamClosedError

from dispatcher import streams
from tests.unit.ends import MUCH, Kind, both_kinds, plain
from tests.unit.loops import on_loop, turns


@both_kinds
def test_what_the_system_takes_at_once_is_written_at_once(kind: Kind) -> None:
    async def test() -> None:
        async with kind() as both:
            assert streams.write(both.stream, b"one") is None
            assert b"one" == await both.reader.readexactly(3)

    on_loop(test)


@both_kinds
def test_what_it_does_not_take_follows_and_in_order(kind: Kind) -> None:
    async def test() -> None:
        async with kind() as both:
            much, more = streams.write(both.stream, MUCH), streams.write(both.stream, b"more")
            assert much is not None
            assert more is not None
            assert (False, False) == (much.done(), more.done())
            assert MUCH + b"more" == await both.reader.readexactly(len(MUCH) + 4)
            await much
            await more
            assert streams.write(both.stream, b"then") is None

    on_loop(test)


@both_kinds
@pytest.mark.parametrize("before", [b"", MUCH[: 1 << 20]])
def test_a_stream_takes_no_more_than_its_limit_and_nothing_of_it(kind: Kind, before: bytes) -> None:
    async def test() -> None:
        async with kind() as both:
            both.stream.max_write_buffer_size = len(before) + 9
            if before:
                streams.write(both.stream, before)
            with pytest.raises(StreamBufferFullError):
                streams.write(both.stream, bytes(1 << 21))
            streams.write(both.stream, b"the next")
            assert before + b"the next" == await both.reader.readexactly(len(before) + 8)

    on_loop(test)


def test_who_writes_to_a_closed_stream_is_told() -> None:
    async def test() -> None:
        async with plain() as both:
            both.stream.close()
            with pytest.raises(StreamClosedError):
                streams.write(both.stream, b"x")

    on_loop(test)


def test_who_writes_to_nobody_is_told_and_the_stream_is_closed() -> None:
    async def test() -> None:
        async with plain() as both:
            both.reset()
            await turns()
            with pytest.raises(StreamClosedError) as raised:
                streams.write(both.stream, b"x")
            assert isinstance(raised.value.real_error, ConnectionError)
            assert both.stream.closed()

    on_loop(test)
