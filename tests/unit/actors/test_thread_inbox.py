"""What is put into a thread's inbox: in order, whoever puts it and whenever, and the thread is woken for it."""

from __future__ import annotations

import os
import threading
from collections import deque
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from pykka._envelope import Envelope

from dispatcher.actors import thread_inbox
from dispatcher.actors.thread_inbox import ThreadInbox

WAIT = 10.0


def descriptors() -> set[str]:
    return {each.name for each in Path("/dev/fd").iterdir()}


class Taker:
    """A thread that takes so many envelopes, and knows when it is about to wait."""

    def __init__(self, inbox: ThreadInbox, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken: list[Any] = []
        self.waits = threading.Event()
        read = os.read

        def told(descriptor: int, most: int) -> bytes:
            self.waits.set()
            return read(descriptor, most)

        monkeypatch.setattr(os, "read", told)
        self._thread = threading.Thread(target=self._take, args=(inbox, count), daemon=True)
        self._thread.start()

    def _take(self, inbox: ThreadInbox, count: int) -> None:
        self.taken.extend(inbox.get().message for _ in range(count))

    def join(self) -> list[Any]:
        self._thread.join(WAIT)
        assert not self._thread.is_alive()
        return self.taken


def test_what_was_put_is_taken_in_order() -> None:
    inbox = ThreadInbox()
    for number in range(3):
        inbox.put(Envelope(number))
    taken = [inbox.get().message for _ in range(2)]
    assert ([0, 1], False) == (taken, inbox.empty())
    assert (2, True) == (inbox.get(timeout=0).message, inbox.empty())


def test_whoever_waits_is_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = ThreadInbox()
    taker = Taker(inbox, 2, monkeypatch)
    for number in range(2):
        assert taker.waits.wait(WAIT)
        taker.waits.clear()
        inbox.put(Envelope(number))
    assert [0, 1] == taker.join()


def test_nobody_is_woken_who_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = ThreadInbox()
    written: list[bytes] = []
    write = os.write

    def counted(descriptor: int, content: bytes) -> int:
        written.append(content)
        return write(descriptor, content)

    monkeypatch.setattr(thread_inbox.os, "write", counted)
    for number in range(100):
        inbox.put(Envelope(number))
    assert list(range(100)) == [inbox.get().message for _ in range(100)]
    with pytest.raises(Empty):
        inbox.get(timeout=0)
    inbox.put(Envelope("after a pause"))
    assert [] == written


@pytest.mark.parametrize("threads", [1, 8])
def test_nothing_that_many_threads_put_is_lost_or_left(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = ThreadInbox()
    each = 2000
    taker = Taker(inbox, threads * each, monkeypatch)

    def put(name: int) -> None:
        for number in range(each):
            inbox.put(Envelope((name, number)))

    putting = [threading.Thread(target=put, args=(name,)) for name in range(threads)]
    for thread in putting:
        thread.start()
    for thread in putting:
        thread.join(WAIT)
    taken = taker.join()
    assert threads * each == len(taken)
    for name in range(threads):
        assert list(range(each)) == [number for by, number in taken if by == name]


def test_whoever_waits_for_so_long_only_is_told_that_nothing_came() -> None:
    inbox = ThreadInbox()
    for _ in range(2):
        with pytest.raises(Empty):
            inbox.get(timeout=0.001)
    inbox.put(Envelope("late"))
    assert "late" == inbox.get(timeout=0.001).message


def test_what_comes_while_somebody_waits_for_so_long_is_taken_before() -> None:
    inbox = ThreadInbox()
    timer = threading.Timer(0.01, lambda: inbox.put(Envelope("soon")))
    timer.start()
    assert "soon" == inbox.get(timeout=WAIT).message
    timer.join(WAIT)


class CameAtLook(deque[Envelope[Any]]):
    """Envelopes of which one comes just before they are looked at for the so-many-th time, and nobody is woken."""

    def __init__(self, look: int) -> None:
        super().__init__()
        self._left = look

    def __len__(self) -> int:
        self._left -= 1
        if self._left == 0:
            self.append(Envelope("just now"))
        return super().__len__()


@pytest.mark.parametrize(("look", "seconds"), [(2, None), (3, 0.0)])
def test_what_comes_just_before_it_could_be_seen_that_somebody_waits_is_taken(
    look: int, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = ThreadInbox()
    inbox._envelopes = CameAtLook(look)
    monkeypatch.setattr(thread_inbox.os, "read", lambda *_: pytest.fail("it waits for what is there"))
    assert "just now" == inbox.get(seconds).message


def test_an_inbox_takes_its_descriptors_with_it() -> None:
    before = descriptors()
    inbox = ThreadInbox()
    assert 2 == len(descriptors() - before)
    del inbox
    assert before == descriptors()


def test_a_closed_inbox_gives_back_what_it_has_and_what_comes() -> None:
    inbox = ThreadInbox()
    refused: list[Any] = []
    inbox.put(Envelope("before"))
    inbox.close(lambda envelope: refused.append(envelope.message))
    inbox.put(Envelope("after"))
    assert (["before", "after"], True) == (refused, inbox.empty())


def test_what_another_thread_refuses_meanwhile_is_refused_once() -> None:
    class TakenAtLook(deque[Envelope[Any]]):
        def __bool__(self) -> bool:
            return True

    inbox = ThreadInbox()
    inbox._envelopes = TakenAtLook()
    inbox.close(lambda _: pytest.fail("there is nothing to refuse"))
