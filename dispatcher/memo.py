"""What a function gave, remembered: on every step of a request's way that asks the same again and again.

`functools.lru_cache` does the same for three times the price, since each call keeps the order of use. Here there is
none: what is remembered is forgotten all at once when it has grown to its bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class Memo(dict[K, V]):
    """`memo[key]` is what `make` gives for the key, remembered for at most `most` keys. An error is not remembered."""

    def __init__(self, make: Callable[[K], V], most: int) -> None:
        """Remember nothing yet."""
        super().__init__()
        self._make = make
        self._most = most

    def __missing__(self, key: K) -> V:
        """Ask."""
        value = self._make(key)
        if len(self) >= self._most:
            self.clear()
        self[key] = value
        return value
