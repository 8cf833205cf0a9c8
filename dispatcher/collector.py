"""Keeps Python's garbage collector from holding the event loop, however much a coordinator knows.

A full collection looks at every object that may be part of a cycle: 100 ms for a thousand agents, and none of it was
garbage. So what survives a full one is frozen: the next looks only at what is newer, and its time no longer grows with
the fleet. What would surprise: freezing costs no memory as long as nothing that lives long ends in a cycle, because
reference counts free frozen objects like any other. A link breaks its own cycles when it closes (a test holds that),
and should something else not do so, everything is looked at once more after `THAW_AFTER` objects.
"""

from __future__ import annotations

import gc
from typing import Any

FREEZE_FROM = 10_000
"""Survivors that are worth freezing; looking at so many takes 5 to 10 ms. Fewer may as well be requests under way."""

YOUNG_AFTER = 10_000
"""New objects before the youngest are looked at. Those of 256 executions under way are 8,000, and none is garbage: with
Python's 700 they were looked at again and again, for 6 % of a coordinator's time."""

MIDDLE_AFTER = FULL_AFTER = 1
"""Collections of one generation before one of the next: so 40,000 new objects wait for a full one at most, which takes
30 ms. (Python's 10 and 10 would let a million wait.)"""

THAW_AFTER = 1_000_000
"""Frozen objects after which all are looked at again: at most so many can be garbage that nobody notices. A fleet of
5,000 agents is half of that, so even all of them coming back is no occasion."""


LOOK_AFTER = 10_000
"""New objects after which an agent looks at them; at so many that takes 2 to 5 ms. Python's 700 are the results of a
tenth of a second, each of which waits for a second: it found no garbage and took 3 % of an agent's time."""


def settle_memory(*, look_after: int | None = None) -> None:
    """Keep the garbage collector from what was loaded at the start: none of it is ever garbage.

    A full collection over it held the event loop for 12 to 25 ms, each time. With `look_after` it looks at new objects
    when there are so many, and at the survivors of two such looks.
    """
    gc.collect()
    gc.freeze()
    if look_after is not None:
        gc.set_threshold(look_after, 2)


class Collector:
    """Freezes what survives full collections, once it is told to `start`."""

    def __init__(self, *, freeze_from: int = FREEZE_FROM, thaw_after: int = THAW_AFTER) -> None:
        """Do nothing yet; the limits count objects."""
        self._freeze_from = freeze_from
        self._thaw_after = thaw_after
        self._frozen = 0
        self._before = gc.get_threshold()

    def start(self) -> None:
        """Freeze all that is there, and watch from now on."""
        settle_memory()
        gc.set_threshold(YOUNG_AFTER, MIDDLE_AFTER, FULL_AFTER)
        gc.callbacks.append(self._on_collection)

    def stop(self) -> None:
        """Leave the collector as it was before the start; what is frozen may be collected again."""
        gc.callbacks.remove(self._on_collection)
        gc.set_threshold(*self._before)
        gc.unfreeze()

    def _on_collection(self, phase: str, info: dict[str, Any]) -> None:
        if phase != "stop" or info["generation"] != 2:
            return
        survivors = len(gc.get_objects(generation=2))
        if survivors < self._freeze_from:
            return
        if self._frozen >= self._thaw_after:
            self._frozen = 0
            gc.unfreeze()  # the next full collection looks at everything, and freezes it again
            return
        self._frozen += survivors
        gc.freeze()
