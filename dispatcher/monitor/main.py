"""`monitor`: a screen where there is a terminal, lines of JSON elsewhere, or one snapshot. Imports what that needs."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from dispatcher.access import Access
from dispatcher.monitor.palette import is_dumb

if TYPE_CHECKING:
    from dispatcher.settings import MonitorSettings


def run(settings: MonitorSettings, token: str = "") -> int:
    """Run the monitor, which shows `token`; return the exit status.

    Raises:
        UnreachableError: `--once`, and no coordinator answers.
        RefusedError: the coordinator does not let this monitor in.
        SettingsError: a file for TLS is wrong.
    """
    access = Access(settings.coordinator_url, token=token, ca_file=settings.ca_file)
    if settings.once or settings.json or not _has_screen():
        from dispatcher.monitor import plain  # noqa: PLC0415 (see the module's first line)

        _set_up_logging(settings.log_level)
        return plain.run(access, as_json=settings.json or not settings.once, once=settings.once)
    from dispatcher.monitor import app  # noqa: PLC0415 (see the module's first line)

    # Nothing may write to the terminal but the screen, and a log record has nowhere else to go.
    logging.getLogger().addHandler(logging.NullHandler())
    logging.captureWarnings(capture=True)
    return app.run(access)


def _has_screen() -> bool:
    if not sys.stdout.isatty():
        return False
    lack = _lack_of_terminal()
    if lack:
        sys.stderr.write(f"{lack}, so there is no screen; lines of JSON follow, and --once prints one as text\n")
    return not lack


def _lack_of_terminal() -> str:
    """Return why no screen can be drawn though stdout is a terminal; nothing where one can."""
    if not sys.stdin.isatty():
        return "stdin is no terminal"
    name = os.environ.get("TERM", "")
    if is_dumb(os.environ):
        return f"a terminal of the kind {name or 'nobody named (TERM)'} cannot place text"
    try:
        import curses  # noqa: PLC0415 (see the module's first line)
    except ImportError as error:  # a Python may be built without it
        return f"this Python has no curses ({error})"
    try:
        curses.setupterm(name, sys.stdout.fileno())
    except curses.error:
        return f"terminals of the kind {name} (TERM) are not known on this machine"
    return ""


def _set_up_logging(level: str) -> None:
    from dispatcher import logs  # noqa: PLC0415 (see the module's first line)

    logs.set_up(level)
