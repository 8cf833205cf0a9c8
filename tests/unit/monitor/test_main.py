"""Where a screen cannot be drawn the monitor says why, in a line, and prints lines instead."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

PROGRAM = """
import sys
{before}
from dispatcher.monitor import main
print(main._has_screen())
"""

WITHOUT_CURSES = "sys.modules['_curses'] = sys.modules['curses'] = None"


@pytest.mark.parametrize(
    ("before", "term", "said"),
    [
        ("", "xterm-256color", "True"),
        (WITHOUT_CURSES, "xterm-256color", "this Python has no curses ("),
        ("", "dumb", "a terminal of the kind dumb cannot place text, so there is no screen; lines of JSON follow"),
        ("", "of-1970", "terminals of the kind of-1970 (TERM) are not known on this machine"),
    ],
)
def test_a_terminal_gets_a_screen_or_a_line_that_says_why_not(before: str, term: str, said: str) -> None:
    ours, theirs = pty.openpty()
    try:
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(before=before)],
            cwd=ROOT,
            env=os.environ | {"TERM": term},
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=True,
        )
        printed = os.read(ours, 1000).decode().strip()
    finally:
        os.close(ours)
        os.close(theirs)
    assert str(not run.stderr) == printed
    assert said in (run.stderr or printed)
