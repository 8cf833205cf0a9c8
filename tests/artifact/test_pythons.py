"""The file under the Pythons of this machine: those it is for, and the older ones that get one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dispatcher
from dispatcher.bootstrap import target_tag
from dispatcher.packaging import pack, pythons, targets
from tests.artifact.conftest import OTHERS, ROOT

if TYPE_CHECKING:
    from tests.artifact.conftest import Gateway

NEW = targets.PYTHONS
OLD = ["2.7", *(f"3.{minor}" for minor in range(6, 11))]


def python(version: str) -> str:
    """Return the path of that Python, or skip."""
    return pythons.find(version) or pytest.skip(f"this machine has no Python {version}")


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


_AS_PYPY = """
import platform, runpy, sys
sys.implementation.name = "pypy"
platform.python_implementation = lambda: "PyPy"
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def test_a_pypy_however_new_is_refused_in_one_line(gateway: Gateway, pyz: Path, tmp_path: Path) -> None:
    as_pypy = tmp_path / "as_pypy.py"
    as_pypy.write_text(_AS_PYPY)
    done = gateway.run(as_pypy, str(pyz), "coordinator")
    assert (2, "") == (done.returncode, done.stdout)
    assert re.fullmatch(r"dispatcher\.pyz needs CPython 3\.11 or newer; this is PyPy 3\.\d+\.\d+ \(.*\)\n", done.stderr)


@pytest.mark.parametrize("gateway", OTHERS, indirect=True)
def test_a_python_it_has_no_packages_for_is_told_so(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "dispatcher.pyz"
    pack.pack(file, pack.read_sources(ROOT, commit=""), {target_tag(): {}}, inputs="this Python alone")
    done = gateway.run(file, "coordinator")
    assert (2, "") == (done.returncode, done.stdout)
    assert re.fullmatch(r"dispatcher\.pyz was built for cpython-\S+; this is cpython-\S+ \(.*\)\n", done.stderr)
