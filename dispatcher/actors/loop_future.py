"""The two ways by which an actor's answer reaches whoever asked on the loop. On the loop and any thread.

What would surprise: it is not Pykka's own with its lock and condition. Most answers are given on the thread that asked,
and each would cost that.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn

import pykka

from dispatcher.actors.loop_waker import Waker

if TYPE_CHECKING:
    from collections.abc import Callable

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
        loop = _running_loop()
        self._loop_thread = threading.get_ident()
        self._answer: _Answer | None = None
        self._there: threading.Event | None = None
        self._waker = Waker.here() if loop else None
        self.answered = loop.create_future() if loop else None

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
        waker, self._waker = self._waker, None  # it knows this one now: no cycle of the two is to outlive the loop
        if waker is None:
            return
        if threading.get_ident() == self._loop_thread:
            self.mark_answered()
        else:
            waker.call(self.mark_answered)

    def mark_answered(self) -> None:
        """Let whoever asked go on. On the loop's thread only."""
        if self.answered is not None and not self.answered.done():
            self.answered.set_result(None)


class Reply:
    """The way back of one `ask_then`: has the loop that asked call `then`, with the answer or with what went wrong.

    It has what actors use of a Pykka future: all of that costs more than the rest of an `ask`.
    """

    __slots__ = ("_then", "_waker")

    def __init__(self, then: Callable[[Any, Any], None]) -> None:
        """Be for the loop that runs here."""
        self._then: Callable[[Any, Any], None] | None = then
        self._waker = Waker.here()

    def set(self, value: Any | None = None) -> None:
        """Take the answer, from any thread."""
        self._take(value, None)

    def set_exception(self, exc_info: Any = None) -> None:
        """Take an exception as the answer, from any thread."""
        self._take(None, (exc_info or sys.exc_info())[1])

    def _take(self, value: Any, error: BaseException | None) -> None:
        then, self._then = self._then, None
        if then is None:
            raise queue.Full  # as Pykka's futures say it: there is one answer
        self._waker.call(then, value, error)
