"""`monitor`: a screen where there is a terminal, lines of JSON elsewhere, or one snapshot. Imports what that needs."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from dispatcher.monitor.palette import is_dumb

if TYPE_CHECKING:
    from dispatcher.settings import MonitorSettings


def run(settings: MonitorSettings) -> int:
    """Run the monitor; return the exit status.

    Raises:
        UnreachableError: `--once`, and no coordinator answers.
        RefusedError: the coordinator does not let this monitor in.
    """
    if settings.once or settings.json or not _has_screen():
        from dispatcher.monitor import plain  # noqa: PLC0415 (see the module's first line)

        _set_up_logging(settings.log_level)
        return plain.run(settings.coordinator_url, as_json=settings.json or not settings.once, once=settings.once)
    from dispatcher.monitor import app  # noqa: PLC0415 (see the module's first line)

    # Nothing may write to the terminal but the screen, and a log record has nowhere else to go.
    logging.getLogger().addHandler(logging.NullHandler())
    logging.captureWarnings(capture=True)
    return app.run(settings.coordinator_url)


def _has_screen() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and not is_dumb(os.environ)


def _set_up_logging(level: str) -> None:
    from dispatcher import logs  # noqa: PLC0415 (see the module's first line)

    logs.set_up(level)
