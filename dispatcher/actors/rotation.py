"""Exact round-robin over the exits of the pool: step 2 of a request's way decides here. Does no I/O.

What would surprise: exits that must not be leased keep no place in the order. One that becomes available goes to the
back, as a new one does, so a lease is one step however many exits are set aside.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterator
from enum import IntEnum
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Tier(IntEnum):
    """How willingly an exit is leased: a lower tier is used only while the one before it is empty."""

    FIRST = 0
    RESERVE = 1
    NEVER = 2


class Rotation(Generic[K]):
    """An order of keys; `lease` takes the first and puts it last. Every change is one step, whatever the size."""

    def __init__(self) -> None:
        """Start empty."""
        self._first: OrderedDict[K, None] = OrderedDict()
        self._reserve: OrderedDict[K, None] = OrderedDict()
        self._tiers: tuple[OrderedDict[K, None], ...] = (self._first, self._reserve, OrderedDict())  # by `Tier`
        self._tier_of: dict[K, Tier] = {}

    def put(self, key: K, tier: Tier) -> None:
        """Add a key, or move it to another tier, at the back. A key that stays in its tier keeps its place."""
        if self._tier_of.get(key) is not tier:
            self.remove(key)
            self._tier_of[key] = tier
            self._tiers[tier][key] = None

    def remove(self, key: K) -> None:
        """Take a key out; one that is not there is no error."""
        tier = self._tier_of.pop(key, None)
        if tier is not None:
            del self._tiers[tier][key]

    @property
    def _leasable(self) -> OrderedDict[K, None]:
        return self._first or self._reserve

    def lease(self, passing_over: Collection[K] = ()) -> K | None:
        """Take the next key that is not in `passing_over` and put it at the back; None where there is none.

        What is passed over keeps its turn, and costs a step each.
        """
        leasable = self._leasable
        for key in leasable:
            if key not in passing_over:
                leasable.move_to_end(key)
                return key
        return None

    @property
    def next(self) -> K | None:
        """The key that the next lease takes."""
        return next(iter(self._leasable), None)

    @property
    def available(self) -> int:
        """How many keys a lease may take now."""
        return len(self._leasable)

    def __len__(self) -> int:
        """Count all keys, available or not."""
        return len(self._tier_of)

    def __iter__(self) -> Iterator[K]:
        """Iterate in rotation order: what is leased next first, what is never leased last."""
        for tier in Tier:
            yield from self._tiers[tier]
