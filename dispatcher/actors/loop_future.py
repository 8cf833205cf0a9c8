"""The future of an `ask`, the crossing by which an actor's answer reaches the loop. On the loop and any thread.

What would surprise: it is not Pykka's own with its lock and condition. Most answers are given on the thread that asked,
and each would cost that. And a loop is woken once for all that another thread answers meanwhile, not for each.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
from collections import deque
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

import pykka

_Answer = tuple[Any, BaseException | None]


class BlockingOnLoopError(RuntimeError):
    """Something would have blocked the event loop for an actor's answer; use `ask()`."""


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class LoopFuture(pykka.Future[Any]):
    """The future of one `ask`: made on the loop it wakes the loop, made elsewhere it blocks its own thread only."""

    def __init__(self) -> None:
        """Remember the loop that runs here, if one does."""
        super().__init__()
        self._loop = _running_loop()
        self._loop_thread = threading.get_ident()
        self._answer: _Answer | None = None
        self._there: threading.Event | None = None
        self.answered = self._loop.create_future() if self._loop else None

    @property
    def has_answer(self) -> bool:
        """Whether `get` returns, or raises, at once."""
        return self._answer is not None or self._get_hook is not None

    def set(self, value: Any | None = None) -> None:
        """Take the answer, from any thread."""
        self._take((value, None))

    def set_exception(self, exc_info: Any = None) -> None:
        """Take an exception as the answer, from any thread."""
        self._take((None, (exc_info or sys.exc_info())[1]))

    def get(self, *, timeout: float | None = None) -> Any:
        """Return the answer, waiting for it only off the loop.

        Raises:
            BlockingOnLoopError: called on the loop before the answer is there.
            pykka.Timeout: it did not come within `timeout` seconds.
        """
        if self._get_hook is not None:
            return super().get(timeout=timeout)
        if self._answer is None:
            self._block(timeout)
        assert self._answer is not None
        value, error = self._answer
        if error is not None:
            raise error
        return value

    def _block(self, seconds: float | None) -> None:
        if _running_loop() is not None:
            raise BlockingOnLoopError("an actor's answer was waited for on the event loop; use ask()")
        # First the event and then the look, as `_take` does it the other way round: one of both sees the other.
        there = self._there = self._there or threading.Event()
        if self._answer is None and not there.wait(seconds):
            raise pykka.Timeout(f"{seconds} seconds")

    def _take(self, answer: _Answer) -> None:
        if self.has_answer:
            raise queue.Full
        self._answer = answer
        if self._there is not None:
            self._there.set()
        self._wake()

    def __await__(self) -> NoReturn:
        """Refuse: see the first lines of `loop_actor.py`."""
        raise BlockingOnLoopError("a Pykka future was awaited; use ask()")

    def _wake(self) -> None:
        if self._loop is None:
            return
        if threading.get_ident() == self._loop_thread:
            self.mark_answered()
        elif not self._loop.is_closed():
            waker = _WAKERS.get(self._loop) or _WAKERS.setdefault(self._loop, _Waker())
            waker.answered(self, self._loop)

    def mark_answered(self) -> None:
        """Let whoever asked go on. On the loop's thread only."""
        if self.answered is not None and not self.answered.done():
            self.answered.set_result(None)


class _Waker:
    """Wakes a loop once for all that other threads have answered since it last looked.

    A commit answers up to 256 asks: a wake-up each cost a system call and a change of threads. It does not know the
    loop, which it would keep for ever.
    """

    def __init__(self) -> None:
        self._answered: deque[LoopFuture] = deque()
        self._is_called = False

    def answered(self, future: LoopFuture, loop: asyncio.AbstractEventLoop) -> None:
        """Have its loop look at `future`. From any thread: it is put there first, so no look can miss it."""
        self._answered.append(future)
        if not self._is_called:
            self._is_called = True
            loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        self._is_called = False
        while self._answered:
            self._answered.popleft().mark_answered()


_WAKERS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Waker] = WeakKeyDictionary()
