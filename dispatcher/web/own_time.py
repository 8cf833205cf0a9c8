"""How long a task held the event loop itself, not counting what it waited for. Behind step 10 of a request's way.

Runs on the event loop. What would surprise: a coroutine is driven here by hand, because under load most of the time
that passes within a task belongs to others, and nobody can do anything about others by resting.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class OwnTime(Generic[T]):
    """Awaits a coroutine; `seconds` is how long its own steps have taken."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], clock: Callable[[], float] = time.perf_counter) -> None:
        """Prepare; nothing runs before this is awaited. `clock` gives seconds that only grow."""
        self._coroutine = coroutine
        self._clock = clock
        self.seconds = 0.0

    def __await__(self) -> Generator[Any, Any, T]:
        """Run the coroutine to its end; what it raises, and what is thrown at it, go through."""
        with contextlib.closing(self._coroutine):
            step: Callable[[], Any] = partial(self._coroutine.send, None)
            while True:
                begun = self._clock()
                try:
                    waits_for = step()
                except StopIteration as end:
                    result: T = end.value
                    return result
                finally:
                    self.seconds += self._clock() - begun
                step = yield from self._waited(waits_for)

    def _waited(self, waits_for: Any) -> Generator[Any, Any, Callable[[], Any]]:
        """Wait as the coroutine asked to; return its next step, which is to take an error where one came instead."""
        try:
            yield waits_for
        except Exception as error:  # noqa: BLE001 (the coroutine's, whatever it is)
            return partial(self._coroutine.throw, error)
        except asyncio.CancelledError as error:
            return partial(self._coroutine.throw, error)
        return partial(self._coroutine.send, None)
