"""The file under the Pythons of this machine: those it is for, and the older ones that get one line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dispatcher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.artifact.conftest import Gateway

NEW = [f"3.{minor}" for minor in range(11, 16)]
OLD = ["2.7", *(f"3.{minor}" for minor in range(6, 11))]


def candidates(version: str) -> Iterator[str]:
    """Yield where this machine may have that Python."""
    if found := shutil.which(f"python{version}"):
        yield found
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for folder in sorted(pyenv.glob(f"versions/{version}.*")):
        yield str(folder / "bin" / f"python{version}")


def python(version: str) -> str:
    """Return the path of that Python, or skip."""
    for path in candidates(version):
        done = subprocess.run([path, "--version"], check=False, capture_output=True, text=True)
        if f"Python {version}." in done.stdout + done.stderr:
            return path
    pytest.skip(f"this machine has no Python {version}")


@pytest.mark.parametrize("version", NEW)
def test_version_is_printed_under_every_new_python(gateway: Gateway, pyz: Path, version: str) -> None:
    gateway.python = python(version)
    done = gateway.run(pyz, "--version")
    assert (0, "") == (done.returncode, done.stderr)
    assert dispatcher.__version__ in done.stdout
    assert re.search(r"\+g[0-9a-f]{12}", done.stdout) or not (Path(dispatcher.__file__).parents[1] / ".git").exists()


@pytest.mark.parametrize("version", OLD)
def test_an_older_python_is_refused_in_one_line(gateway: Gateway, pyz: Path, version: str) -> None:
    gateway.python = python(version)
    done = gateway.run(pyz, "--version")
    assert (2, "") == (done.returncode, done.stdout)
    assert re.fullmatch(
        rf"dispatcher\.pyz needs CPython 3\.11 or newer; this is CPython {version}\.\d+ \(.*\)\n", done.stderr
    )


@pytest.mark.parametrize("version", NEW)
def test_a_python_it_has_no_packages_for_is_told_so(gateway: Gateway, probe: Path, version: str) -> None:
    gateway.python = python(version)
    done = gateway.run(probe)
    if done.returncode == 0:
        pytest.skip("it has packages for this one")
    assert 2 == done.returncode
    assert re.fullmatch(r"dispatcher\.pyz was built for cpython-\S+; this is cpython-\S+ \(.*\)\n", done.stderr)
