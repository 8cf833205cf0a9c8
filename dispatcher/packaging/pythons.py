"""Which Pythons this machine has, for the tests that run under each. Runs at build time only."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def find(version: str) -> str | None:
    """Return the path of a Python of this version, such as `3.12`, from PATH or pyenv; None where there is none.

    `3.13-aarch64` is that of another processor, which `roots` puts into PATH.
    """
    return next((path for path in _candidates(version) if _is(path, version)), None)


def _candidates(version: str) -> Iterator[str]:
    if found := shutil.which(f"python{version}"):
        yield found
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for folder in sorted(pyenv.glob(f"versions/{version}.*")):
        yield str(folder / "bin" / f"python{version}")


def _is(path: str, version: str) -> bool:
    """Ask it: what pyenv puts into PATH stands for whichever version is chosen, or for none."""
    try:
        done = subprocess.run([path, "--version"], check=False, capture_output=True, text=True)  # noqa: S603  no shell
    except OSError:
        return False
    return f"Python {version.partition('-')[0]}." in done.stdout + done.stderr
