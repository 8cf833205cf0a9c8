"""The build's own environment is made once, and brought to its lock."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from dispatcher.errors import DispatcherError
from dispatcher.packaging.environment import Environment

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Return a lock that asks for nothing."""
    path = tmp_path / "empty.lock"
    path.write_text("# nothing\n")
    return path


def test_an_environment_is_made_once_and_follows_its_lock(
    tmp_path: Path, lock: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = Environment(tmp_path / "venv")
    made.have(lock)
    assert 0 == subprocess.run([made.python, "-c", "import pip"], check=False).returncode
    assert ["making venv with", "installing the packages of empty.lock into venv"] == [
        line.partition(" /")[0] for line in capfd.readouterr().err.splitlines() if not line.startswith("WARNING")
    ]
    made.have(lock)
    assert "" == capfd.readouterr().err
    other = tmp_path / "other.lock"
    other.write_text("# nothing else\n")
    made.have(other, lock)
    assert "" == capfd.readouterr().err
    made.have(other)
    assert "installing the packages of other.lock into venv" in capfd.readouterr().err


def test_what_cannot_be_installed_is_told_and_asked_for_again(tmp_path: Path, lock: Path) -> None:
    made = Environment(tmp_path / "venv")
    made.have(lock)
    broken = tmp_path / "broken.lock"
    broken.write_text("no-hash==1\n")
    for _ in range(2):
        with pytest.raises(DispatcherError, match=r"failed with status 1: .*broken\.lock"):
            made.have(broken)
