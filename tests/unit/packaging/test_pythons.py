"""A Python is found by what it says of itself."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dispatcher.packaging import pythons

if TYPE_CHECKING:
    from pathlib import Path

THIS = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def pyenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a pyenv, on a machine that has no other Python."""
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path


def put(path: Path, says: str, status: int = 0) -> str:
    """Make a program that says its version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\nexit {status}\n")
    path.chmod(0o755)
    return str(path)


def test_the_running_python_is_here() -> None:
    found = pythons.find(THIS)
    assert found is None or THIS in subprocess.run([found, "-V"], check=True, capture_output=True, text=True).stdout


def test_one_in_the_path_comes_first(pyenv: Path) -> None:
    put(pyenv / "versions" / "3.12.1" / "bin" / "python3.12", "Python 3.12.1")
    assert put(pyenv / "bin" / "python3.12", "Python 3.12.9") == pythons.find("3.12")


def test_a_shim_that_stands_for_another_version_is_passed_over(pyenv: Path) -> None:
    put(pyenv / "bin" / "python3.12", "no such version here", status=127)
    real = put(pyenv / "versions" / "3.12.1" / "bin" / "python3.12", "Python 3.12.1")
    assert real == pythons.find("3.12")


def test_a_version_that_only_begins_alike_is_another(pyenv: Path) -> None:
    put(pyenv / "versions" / "3.1.5" / "bin" / "python3.1", "Python 3.15.0")
    assert None is pythons.find("3.1")


def test_a_folder_without_a_python_is_none(pyenv: Path) -> None:
    (pyenv / "versions" / "3.13.0").mkdir(parents=True)
    assert None is pythons.find("3.13")
