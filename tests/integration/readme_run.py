"""Runs the README's commands as a reader would type them: in order, in one shell, with two machines that are not there.

`scp` and `ssh` are stand-ins that use a folder for the gateway and run its commands on this machine; everything else
is real.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)

STAND_INS = {
    "scp": 'cp "$1" "$GATEWAY/${2#*:}"\n',
    "ssh": 'shift; cd "$GATEWAY"; exec "$@"\n',
}


def commands() -> list[str]:
    """Return every command of the README, a line each, in order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [line for block in _BLOCK.findall(text) for line in block.splitlines() if line.strip()]


def section(title: str) -> list[str]:
    """Return the commands of one section of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    part = text.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    return [line for block in _BLOCK.findall(part) for line in block.splitlines() if line.strip()]


def write_stand_ins(folder: Path, python: str) -> None:
    """Make `scp`, `ssh` and `python3` in `folder`, to stand before the real ones in PATH."""
    for name, body in {**STAND_INS, "python3": f'exec {shlex.quote(python)} "$@"\n'}.items():
        script = folder / name
        script.write_text(f"#!/bin/sh\n{body}", encoding="utf-8")
        script.chmod(0o755)
