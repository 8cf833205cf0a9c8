"""How wide the names of this pool are: what columns, and panels beside each other, share their width by. Pure.

What would surprise: only names count, which seldom change, and never numbers, so nothing on the screen jumps while
the pool works. Of 10,000 exits this is reckoned once for each change and not once for each frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dispatcher.monitor.model import Model, member
from dispatcher.monitor.text import cell_width, safe_text


@dataclass(frozen=True, slots=True)
class Needs:
    """Cells for the longest of each; `condition` is an exit's state with its reason."""

    address: int
    agent: int
    host: int
    condition: int
    result: int


def of(model: Model) -> Needs:
    """Return what the names of a model need."""
    address, condition = _of_exits(_Same(model.exits))
    return Needs(
        address=address,
        agent=_longest(model.agents),
        host=_longest(agent.hostname for agent in model.agents.values()),
        condition=condition,
        result=_longest(member(model.stats, "by_error")),
    )


def _longest(texts: Iterable[str]) -> int:
    return max((cell_width(safe_text(text)) for text in texts), default=0)


class _Same:
    """Stands for a value that is the same only where it is that very one."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


@lru_cache(maxsize=2)
def _of_exits(exits: _Same) -> tuple[int, int]:
    conditions = {(exit_.state, exit_.reason) for exit_ in exits.value.values()}
    return (
        _longest(exit_.address for exit_ in exits.value.values()),
        _longest(f"{state}: {reason}" if reason else state for state, reason in conditions),
    )
