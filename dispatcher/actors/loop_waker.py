"""The way back to the loop from other threads: what they have it call, with one wake-up for all of it.

Step 9 of a request's way ends here; on any thread, and on the loop. What would surprise: it is not asyncio's own
`call_soon_threadsafe`. With that a loop reads its pipe until it finds nothing more, and makes the calls a turn later.
Here a pipe of ours is read once, and the calls are made in the turn in which the loop wakes.
"""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from dispatcher.afterwards import TURN_SECONDS, Afterwards, tell_of

if TYPE_CHECKING:
    from collections.abc import Callable

_READ_BYTES = 64
"""Read at once: a byte for each thread that found the loop not woken yet, which is one but for a race."""


class Waker:
    """Has one loop make calls. It goes with its loop: nothing else keeps it, or its pipe, when that is closed."""

    __slots__ = ("__weakref__", "_afterwards", "_calls", "_is_woken", "_reads", "_writes")

    def __init__(self) -> None:
        """Wake the loop that runs here; see `here`."""
        self._calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._is_woken = False
        self._afterwards = Afterwards.here()
        self._reads, self._writes = os.pipe()
        os.set_blocking(self._reads, False)

    def __del__(self) -> None:
        os.close(self._reads)
        os.close(self._writes)

    @classmethod
    def here(cls) -> Waker:
        """Return the one of the running loop."""
        loop = asyncio.get_running_loop()
        known = _KNOWN.get(loop)
        waker = None if known is None else known()
        if waker is None:
            waker = cls()
            loop.add_reader(waker._reads, waker._wake)
            _KNOWN[loop] = weakref.ref(waker)
        return waker

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Have the loop call `function`, from any thread, in the order in which that was asked for.

        Where the loop is closed that is never, and no error.
        """
        self._calls.append((function, arguments))  # before the look, so that no wake-up can miss it
        if not self._is_woken:
            self._is_woken = True
            os.write(self._writes, b"\0")

    def _wake(self) -> None:
        os.read(self._reads, _READ_BYTES)  # before the flag: what is written once it is down is another wake-up
        self._make_calls()

    def _make_calls(self) -> None:
        """Make the calls, in turns of the loop where they take long."""
        self._is_woken = False
        with self._afterwards:
            turn_ends = time.monotonic() + TURN_SECONDS
            while self._calls:
                function, arguments = self._calls.popleft()
                try:
                    function(*arguments)
                except Exception as error:  # noqa: BLE001 (as the loop does with what it calls itself)
                    tell_of(error, "what another thread had the loop call failed")
                if self._calls and time.monotonic() > turn_ends:
                    asyncio.get_running_loop().call_soon(self._make_calls)
                    return


_KNOWN: WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[Waker]] = WeakKeyDictionary()
"""Weak at both ends: nothing here keeps a loop, and its waker is kept by it and by whoever may still wake it."""
