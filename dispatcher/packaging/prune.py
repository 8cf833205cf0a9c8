"""Removes what earlier versions and broken-off first starts left in the cache. Runs after a set was unpacked."""

# ruff: noqa: PTH104, PTH118, PTH120, PTH123, PTH208  (paths are strings, as in bootstrap.py)

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import time
from contextlib import suppress

from dispatcher.bootstrap import INDEX

NEW = ".new-"
"""A set that is being written."""

OLD = ".old-"
"""A set that is being removed."""

_SET = re.compile(r"cpython-[0-9a-z_-]+-[0-9a-f]{32}")
_UNUSED_SECONDS = 30 * 86_400
_BROKEN_OFF_SECONDS = 3600


def prune(root: str, keep: str, unused_seconds: float = _UNUSED_SECONDS) -> None:
    """Remove from `root` the sets that nobody used for so long or uses now, but never `keep`, and old leftovers."""
    now = time.time()
    for name in os.listdir(root):
        path = os.path.join(root, name)
        with suppress(OSError):
            age = now - os.lstat(path).st_mtime
            if name.startswith((NEW, OLD)) and age > _BROKEN_OFF_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
            elif _SET.fullmatch(name) and name != keep and age > unused_seconds:
                _remove_unless_used(path)


def _remove_unless_used(folder: str) -> None:
    """Remove the set unless a process holds its index (a program that runs for months imports late)."""
    with open(os.path.join(folder, INDEX), "rb") as index:
        fcntl.flock(index, fcntl.LOCK_EX | fcntl.LOCK_NB)
        aside = tempfile.mkdtemp(prefix=OLD, dir=os.path.dirname(folder))
        os.rename(folder, os.path.join(aside, "set"))
        shutil.rmtree(aside, ignore_errors=True)
