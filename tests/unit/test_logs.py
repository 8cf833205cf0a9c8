"""How loud the logs are, and the one line that no level hides. In processes of their own: logging is of a process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dispatcher import logs

LOUD = """
import logging, sys
from dispatcher import logs
logs.set_up(sys.argv[1])
for name in ("dispatcher.x", "tornado.general", "pykka", "asyncio", "other"):
    for level in ("DEBUG", "INFO", "WARNING", "ERROR"):
        logging.getLogger(name).log(getattr(logging, level), "%s says %s", name, level)
"""


def heard(level: str) -> dict[str, str]:
    """Return the quietest level that each logger is heard at."""
    done = subprocess.run([sys.executable, "-c", LOUD, level], capture_output=True, text=True, check=True, timeout=60)
    assert "" == done.stdout
    first: dict[str, str] = {}
    for line in done.stderr.splitlines():
        name, _, said = line.partition(": ")[2].partition(" says ")
        first.setdefault(name, said)
    return first


@pytest.mark.parametrize(
    ("level", "ours", "theirs"),
    [
        ("DEBUG", "DEBUG", "WARNING"),
        ("INFO", "INFO", "WARNING"),
        ("WARNING", "WARNING", "ERROR"),
        ("ERROR", "ERROR", "ERROR"),
    ],
)
def test_packages_are_a_step_quieter_than_we_are(level: str, ours: str, theirs: str) -> None:
    found = heard(level)
    assert ours == found["dispatcher.x"]
    assert {theirs} == {found[name] for name in ("tornado.general", "pykka", "asyncio")}
    assert "WARNING" == found["other"]


def test_the_line_of_readiness_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    logs.announce("coordinator ready on http://127.0.0.1:8000")
    assert ("", "coordinator ready on http://127.0.0.1:8000\n") == tuple(capsys.readouterr())
