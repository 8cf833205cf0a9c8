"""What the tests and the measurements run: the one file that DISPATCHER_PYZ names, as users run it, else the checkout.

`build.py` names the file that it built. Processes start it (`processes.dispatcher_command`), and programs of the tests,
`python -m tests.…`, import what it unpacked. pytest's own process stays with the sources, which the unit tests try.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLES = ("DISPATCHER_PYZ", "DISPATCHER_CACHE")
"""Which file it is, and where it unpacks itself to; the second is the file's own setting."""

ROOT = Path(__file__).parents[2]


def path() -> str | None:
    """Return the one file's absolute path; None for the checkout."""
    named = os.environ.get(VARIABLES[0])
    return str(Path(named).resolve()) if named else None


def use() -> None:
    """Have this process import `dispatcher`, and the packages, from what the one file unpacks, if there is one.

    Comes before anything of `dispatcher` is imported.

    Raises:
        bootstrap.NotUsableError: the file holds nothing for this Python.
    """
    file = path()
    if file is None:
        return
    assert "dispatcher" not in sys.modules, "this process imported the sources already"
    sys.path.insert(0, file)
    from dispatcher import bootstrap  # noqa: PLC0415  the file's

    bootstrap.use_packages()
    from dispatcher import packaging  # noqa: PLC0415  what was unpacked

    # What builds the file is not in it.
    packaging.__path__.append(str(ROOT / "dispatcher" / "packaging"))


def description() -> str:
    """Say in a line which program this process imports, and with it what it starts."""
    from dispatcher import __version__, bootstrap  # noqa: PLC0415  only after `use`

    if bootstrap.ARCHIVE is None:
        return f"the checkout, version {__version__}"
    file = Path(bootstrap.ARCHIVE)
    return f"the one file {file.relative_to(ROOT) if file.is_relative_to(ROOT) else file}, version {__version__}"
