"""What stays in the cache and what goes."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING

from dispatcher.bootstrap import INDEX
from dispatcher.packaging import prune

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400


def a_set(root: Path, letter: str, days: float) -> Path:
    """Make a set that was last used so many days ago."""
    folder = root / f"cpython-311-x86_64-linux-gnu-{letter * 32}"
    (folder / "tornado").mkdir(parents=True)
    (folder / INDEX).write_text("end\n")
    os.utime(folder, times=(time.time() - days * DAY,) * 2)
    return folder


def left(root: Path) -> list[str]:
    """Return what is in `root`."""
    return sorted(path.name for path in root.iterdir())


def test_a_set_unused_for_thirty_days_goes_and_a_younger_one_stays(tmp_path: Path) -> None:
    a_set(tmp_path, "a", days=31)
    younger = a_set(tmp_path, "b", days=29)
    prune.prune(str(tmp_path), keep="")
    assert [younger.name] == left(tmp_path)


def test_the_set_to_keep_stays_however_old(tmp_path: Path) -> None:
    kept = a_set(tmp_path, "a", days=99)
    prune.prune(str(tmp_path), keep=kept.name)
    assert [kept.name] == left(tmp_path)


def test_a_set_that_a_running_program_holds_stays(tmp_path: Path) -> None:
    held = a_set(tmp_path, "a", days=99)
    with (held / INDEX).open() as index:
        fcntl.flock(index, fcntl.LOCK_SH)
        prune.prune(str(tmp_path), keep="")
        assert [held.name] == left(tmp_path)
    prune.prune(str(tmp_path), keep="")
    assert [] == left(tmp_path)


def test_old_leftovers_go_and_young_ones_may_still_be_at_work(tmp_path: Path) -> None:
    for name, hours in ((".new-old", 2), (".old-old", 2), (".new-young", 0)):
        (tmp_path / name / "sub").mkdir(parents=True)
        os.utime(tmp_path / name, times=(time.time() - hours * 3600,) * 2)
    prune.prune(str(tmp_path), keep="")
    assert [".new-young"] == left(tmp_path)


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    for name in ("cpython-documents", "lock", "photos"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1, 1))
    prune.prune(str(tmp_path), keep="")
    assert ["cpython-documents", "lock", "photos"] == left(tmp_path)
