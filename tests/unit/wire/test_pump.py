"""The loop that sends: what one turn of the event loop put leaves in one frame, and the end is the end."""

from __future__ import annotations

import asyncio
from typing import Any

from dispatcher.afterwards import Afterwards
from dispatcher.wire import codec, limits
from dispatcher.wire import messages as wire
from dispatcher.wire.channel import Channel
from dispatcher.wire.messages import Message
from dispatcher.wire.pump import Pump
from tests.unit.loops import on_loop, turns


class Wire:
    """Takes frames: at once where it is `open`, else when it is opened or broken."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.frames: asyncio.Queue[list[Any]] = asyncio.Queue()
        self._is_open = is_open
        self._under_way: list[asyncio.Future[None]] = []

    def write(self, frame: bytes) -> asyncio.Future[None] | None:
        self.frames.put_nowait(codec.decode(frame, wire.FROM_COORDINATOR))
        if self._is_open:
            return None
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way.append(taken)
        return taken

    def open(self) -> None:
        self._is_open = True
        for taken in self._under_way:
            taken.set_result(None)

    def fail(self) -> None:
        for taken in self._under_way:
            taken.set_exception(ConnectionResetError("gone"))


class BrokenWire(Wire):
    """Fails at the first frame."""

    def write(self, _frame: bytes) -> asyncio.Future[None] | None:
        raise ConnectionResetError("gone")


class Sender:
    """A pump, what it sends, and the wire that it sends it over."""

    def __init__(self, over: Wire | None = None) -> None:
        self.over = over or Wire()
        self.frames = self.over.frames
        self.channel = Channel(wire.FROM_AGENT, lambda _: None)
        self.errors: list[Exception] = []
        self.pump = Pump(self.channel, self.over.write, self.errors.append)

    def send(self, *messages: Message) -> None:
        for message in messages:
            self.channel.outbox.put(message)
            self.pump.wake()


async def in_the_middle_of(first: Message) -> Sender:
    """A sender whose first frame is on its way and has not been taken."""
    sender = Sender(Wire(is_open=False))
    sender.send(first)
    await sender.frames.get()
    return sender


def cancels(*numbers: int) -> list[Message]:
    return [wire.Cancel(str(number)) for number in numbers]


def large(size: int) -> Message:
    """A message whose body goes in pieces."""
    return wire.Execute("L", "::1", "POST", "x", 1.0, body=bytes(size))


def test_the_messages_of_one_turn_share_a_frame() -> None:
    async def test() -> None:
        sender = Sender()
        for number in range(100):
            sender.send(wire.Cancel(str(number)))
        assert cancels(*range(100)) == await sender.frames.get()
        sender.send(*cancels(1, 2))
        assert cancels(1, 2) == await sender.frames.get()
        assert sender.frames.empty()

    on_loop(test)


def test_what_a_socket_brought_is_answered_before_the_loop_turns_where_nothing_else_is_due() -> None:
    async def test() -> None:
        sender = Sender()
        with Afterwards.here():
            sender.send(*cancels(1))
            sender.send(*cancels(2))
            assert sender.frames.empty()
        assert cancels(1, 2) == sender.frames.get_nowait()

    on_loop(test)


def test_all_sockets_of_one_turn_share_a_frame() -> None:
    async def test() -> None:
        sender = Sender()

        def hear(number: int) -> None:
            with Afterwards.here():
                sender.send(*cancels(number))

        for number in range(3):
            asyncio.get_running_loop().call_soon(hear, number)
        assert cancels(0, 1, 2) == await sender.frames.get()
        assert sender.frames.empty()

    on_loop(test)


def test_what_comes_while_a_frame_is_taken_waits_and_goes_together() -> None:
    async def test() -> None:
        sender = await in_the_middle_of(wire.Cancel("1"))
        sender.send(*cancels(2))
        sender.send(*cancels(3))
        assert sender.frames.empty()
        sender.over.open()
        assert cancels(2, 3) == await sender.frames.get()

    on_loop(test)


def test_a_small_message_overtakes_a_large_one() -> None:
    async def test() -> None:
        sender = await in_the_middle_of(large(5 * limits.CHUNK_BYTES))
        sender.send(*cancels(1))
        sender.over.open()
        assert wire.Cancel("1") == (await sender.frames.get())[0]

    on_loop(test)


def test_a_shut_window_opens_again_when_it_is_woken() -> None:
    async def test() -> None:
        sender = Sender()
        chunks = limits.BULK_WINDOW_BYTES // limits.CHUNK_BYTES
        sender.send(large(limits.BULK_WINDOW_BYTES + 1))
        for _ in range(chunks):
            assert isinstance((await sender.frames.get())[0], wire.BodyChunk)
        flushed = asyncio.create_task(sender.pump.flush())
        await turns()  # it looks once more before it rests
        sender.channel.receive(codec.encode([wire.BodyTaken(limits.CHUNK_BYTES)]))
        await turns()
        assert (True, False) == (sender.frames.empty(), flushed.done())
        sender.pump.wake()
        assert isinstance((await sender.frames.get())[0], wire.Execute)
        await flushed

    on_loop(test)


def test_a_flush_waits_until_the_last_frame_was_taken() -> None:
    async def test() -> None:
        sender = Sender(Wire(is_open=False))
        sender.send(*cancels(1))
        flushed = asyncio.create_task(sender.pump.flush())
        await sender.frames.get()
        assert not flushed.done()
        sender.over.open()
        await flushed

    on_loop(test)


def test_a_flush_of_nothing_returns_at_once() -> None:
    async def test() -> None:
        await Sender().pump.flush()

    on_loop(test)


def test_a_flush_ends_with_the_pump() -> None:
    async def test() -> None:
        sender = await in_the_middle_of(wire.Cancel("1"))
        flushed = asyncio.create_task(sender.pump.flush())
        await turns()
        sender.pump.end()
        await flushed
        sender.send(*cancels(2))
        await sender.pump.flush()
        assert (True, []) == (sender.frames.empty(), sender.errors)

    on_loop(test)


def test_one_who_gives_up_a_flush_takes_nobody_elses() -> None:
    async def test() -> None:
        sender = await in_the_middle_of(wire.Cancel("1"))
        impatient, patient = (asyncio.create_task(sender.pump.flush()) for _ in range(2))
        await turns()
        impatient.cancel()
        await turns()
        assert not patient.done()
        sender.over.open()
        await patient

    on_loop(test)


def test_what_the_wire_raises_is_told_and_ends_the_pump() -> None:
    async def test() -> None:
        sender = Sender(BrokenWire())
        sender.send(*cancels(1))
        await sender.pump.flush()
        assert [ConnectionResetError] == [type(error) for error in sender.errors]
        sender.send(*cancels(2))
        await sender.pump.flush()
        assert 1 == len(sender.errors)

    on_loop(test)


def test_a_wire_that_fails_later_is_told_and_ends_the_pump_too() -> None:
    async def test() -> None:
        sender = await in_the_middle_of(wire.Cancel("1"))
        sender.send(*cancels(2))
        sender.over.fail()
        await sender.pump.flush()
        assert ([ConnectionResetError], True) == ([type(error) for error in sender.errors], sender.frames.empty())

    on_loop(test)


def test_one_frame_leaves_in_a_turn_of_the_loop() -> None:
    async def test() -> None:
        sender = Sender()
        sender.send(large(5 * limits.CHUNK_BYTES))
        for frames in (0, 1, 2):
            assert frames == sender.frames.qsize()
            await turns(1)

    on_loop(test)


def test_a_pump_with_nothing_to_send_has_no_task() -> None:
    async def test() -> None:
        sender = Sender()
        sender.send(*cancels(1))
        await sender.pump.flush()
        sender.pump.wake()
        assert {asyncio.current_task()} == asyncio.all_tasks()

    on_loop(test)
