"""What a system of another release is entered with. That it then works is seen by `build.py test --matrix`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dispatcher.errors import DispatcherError, SettingsError
from dispatcher.packaging import roots
from dispatcher.packaging.roots import Root

HERE = Root("here", "none", "amd64", {"python9.1": "9.1"})

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can enter another system")


def enter(program: Path, *arguments: str) -> str:
    """Run a program that stands for a Python, with a folder of ours as the current one."""
    return subprocess.run(
        [str(program), *arguments], check=True, capture_output=True, text=True, cwd=program.parent
    ).stdout


def copy(system: Path, *files: str) -> None:
    """Copy programs and libraries of this system to another one."""
    for file in files:
        target = system / file.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Return what stands for the Python of a system that is there already: a shell, and two tools for it."""
    system = tmp_path / "roots" / "here"
    for name in ("bin", "lib", "lib64"):
        (system / "usr" / name).mkdir(parents=True)
        (system / name).symlink_to(f"usr/{name}")
    listed = subprocess.run(["ldd", "/bin/sh"], check=True, capture_output=True, text=True).stdout.split()
    copy(system, "/bin/sh", "/bin/cat", *(word for word in listed if word.startswith("/")))
    (system / "bin" / "python9.1").symlink_to("sh")
    return roots.make(tmp_path / "roots", tmp_path, (HERE,)) / "python9.1"


@needs_root
def test_it_sees_our_files_at_their_places_and_starts_in_our_folder(program: Path, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("ours\n")
    assert f"{program.parent}\nours\n" == enter(program, "-c", f"pwd; cat '{tmp_path}/a file'")


@needs_root
def test_arguments_and_environment_arrive_as_they_are(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_OURS", "a 'b' $c")
    printed = enter(program, "-c", 'echo "$OF_OURS|$0|$1|$#"', "a b", '"$HOME"')
    assert "a 'b' $c|a b|\"$HOME\"|1\n" == printed


@needs_root
def test_nothing_stays_mounted(program: Path) -> None:
    before = Path("/proc/self/mounts").read_text()
    enter(program, "-c", ":")
    assert before == Path("/proc/self/mounts").read_text()


@needs_root
def test_what_cannot_be_made_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="debootstrap is missing"):
        roots.make(tmp_path / "roots", tmp_path, (HERE,))
    (tmp_path / "debootstrap").write_text("#!/bin/sh\nfor word; do last=$word; done\nexit 3\n")
    (tmp_path / "debootstrap").chmod(0o755)
    with pytest.raises(DispatcherError, match=r"failed: debootstrap --arch=amd64 .* none "):
        roots.make(tmp_path / "roots", tmp_path, (HERE,))
    assert not (tmp_path / "roots" / "here").exists()


def test_another_user_is_told_that_it_needs_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SettingsError, match="need root"):
        roots.make(tmp_path / "roots", tmp_path, (HERE,))
