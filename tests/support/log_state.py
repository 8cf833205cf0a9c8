"""How loud the process's loggers are, kept over a test that changes it: else later tests hear more, or less."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class _State:
    """What decides of one logger which records are heard, and by whom."""

    level: int
    handlers: tuple[logging.Handler, ...]
    filters: tuple[object, ...]

    def put_back(self, logger: logging.Logger) -> None:
        logger.setLevel(self.level)
        logger.handlers[:] = self.handlers
        logger.filters[:] = self.filters  # type: ignore[assignment]  # what was there before


_UNTOUCHED = _State(logging.NOTSET, (), ())
"""How a logger is made."""


def changed() -> dict[str, _State]:
    """Return the loggers that are not as they were made, by name."""
    return {
        name: _State(each.level, tuple(each.handlers), tuple(each.filters))
        for name, each in [("root", logging.root), *logging.root.manager.loggerDict.items()]
        if isinstance(each, logging.Logger) and (each.level or each.handlers or each.filters)
    }


def put_back(before: dict[str, _State]) -> None:
    """Make the loggers as `changed` said."""
    for name in before.keys() | changed().keys():
        before.get(name, _UNTOUCHED).put_back(logging.getLogger(name))


@contextmanager
def kept() -> Iterator[None]:
    """Put the loggers back at the end."""
    before = changed()
    try:
        yield
    finally:
        put_back(before)
