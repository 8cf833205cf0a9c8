"""`build.py` as a developer calls it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

import build
from tests.artifact.conftest import ROOT
from tests.artifact.test_contents import copy

if TYPE_CHECKING:
    from pathlib import Path

NO_ENSUREPIP = """
import runpy, sys
sys.modules["ensurepip"] = None  # as on Debian without its package python3-venv
sys.argv = ["build.py", "build"]
runpy.run_path("build.py", run_name="__main__")
"""


def call(*arguments: str, cwd: Path = ROOT, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments."""
    return subprocess.run([python, *arguments], cwd=cwd, check=False, capture_output=True, text=True, timeout=100)


def read_inputs(pyz: Path) -> bytes:
    """Return the hash of what the file was built from."""
    with zipfile.ZipFile(pyz) as archive:
        return archive.read("inputs.txt")


def test_help_lists_every_command() -> None:
    done = call("build.py", "--help")
    assert (0, "") == (done.returncode, done.stderr)
    assert list(build.COMMANDS) == [line.split()[0] for line in done.stdout.splitlines()[2:]]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("tset", "no command 'tset'; did you mean 'test'?"),
        ("frobnicate", "no command 'frobnicate'"),
        ("check now", "this command takes no arguments: now"),
        ("build --platform vax", "invalid choice: 'vax'"),
        ("bench no-such", "no measurement 'no-such'"),
    ],
)
def test_a_wrong_command_line_is_told_and_ends_with_2(line: str, said: str) -> None:
    done = call("build.py", *line.split())
    assert 2 == done.returncode
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_python_without_ensurepip_is_told_what_to_install(tmp_path: Path) -> None:
    copy(tmp_path, packages=False)
    done = call("-c", NO_ENSUREPIP, cwd=tmp_path, python=os.path.realpath(sys.executable))
    assert 2 == done.returncode
    assert "Traceback" not in done.stderr
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    said = done.stderr.splitlines()[-1]
    assert f"comes without ensurepip; install it (Debian, Ubuntu: apt-get install python{version}-venv)" in said


def test_the_file_is_built_again_only_when_something_in_it_changed(tmp_path: Path) -> None:
    copy(tmp_path)
    have_file = "import build; build._have_file(compiles=False)"
    pyz = tmp_path / "dist" / "dispatcher.pyz"

    def builds() -> bool:
        env = {name: value for name, value in os.environ.items() if name != "DISPATCHER_PYZ"}
        done = subprocess.run([sys.executable, "-c", have_file], cwd=tmp_path, env=env, capture_output=True, check=True)
        return b"dispatcher.pyz" in done.stderr

    assert builds()
    before = read_inputs(pyz)
    assert not builds()
    (tmp_path / "dispatcher" / "errors.py").write_text("# changed\n" + (ROOT / "dispatcher" / "errors.py").read_text())
    assert builds()
    assert before != read_inputs(pyz)
