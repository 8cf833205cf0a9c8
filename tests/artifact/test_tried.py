"""What the tests and the measurements try: where a file is named, the file and what it unpacks, else the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import build
from tests.artifact.conftest import ROOT
from tests.support import altered, one_file
from tests.support.processes import Process, dispatcher_command

if TYPE_CHECKING:
    from pathlib import Path

TELL = """
import json, sys
import pycurl, tornado
import dispatcher.agent.executor, dispatcher.wire.codec
from dispatcher.packaging import pack
from tests.support import one_file
modules = (dispatcher.agent.executor, dispatcher.wire.codec, tornado, pycurl, pack)
versions = [tornado.version, pycurl.version]
print(json.dumps({"files": [each.__file__ for each in modules], "versions": versions, "is": one_file.description()}))
"""


@pytest.fixture(params=["file", "checkout"])
def file(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, pyz: Path, tmp_path: Path) -> Path | None:
    """The built file, which the environment names and which unpacks itself to `tmp_path`; or none."""
    monkeypatch.setenv("DISPATCHER_CACHE", str(tmp_path / "cache"))
    if request.param == "checkout":
        monkeypatch.delenv("DISPATCHER_PYZ", raising=False)
        return None
    monkeypatch.setenv("DISPATCHER_PYZ", os.path.relpath(pyz))
    return pyz.resolve()


def told() -> dict[str, Any]:
    """What a program of the tests, `python -m tests.…`, says of itself."""
    command = [*altered.command(f"code={TELL}"), "--version"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=100)
    assert "" == done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[0])
    return found


def test_processes_run_the_file_that_is_named(file: Path | None) -> None:
    program = ["-m", "dispatcher"] if file is None else [str(file)]
    assert [sys.executable, "-W", "error", *program] == dispatcher_command()
    assert [sys.executable, *program] == dispatcher_command(())


def test_a_process_keeps_the_place_that_the_file_unpacks_to(file: Path | None, tmp_path: Path) -> None:
    process = Process("self-test", [*dispatcher_command(), "self-test", "--state-dir", str(tmp_path / "state")])
    assert (0, []) == (process.wait(), process.alarms()), process.everything()
    assert (file is not None) == any(str(tmp_path / "cache") in line for line in process.out)


def test_programs_of_the_tests_import_what_the_file_unpacked(file: Path | None, tmp_path: Path) -> None:
    found = told()
    ours = ROOT if file is None else tmp_path / "cache"
    packages = ROOT / ".venv" if file is None else tmp_path / "cache"
    places = [ours, ours, packages, packages, ROOT / "dispatcher" / "packaging"]
    assert [] == [name for name, place in zip(found["files"], places, strict=True) if not name.startswith(f"{place}/")]
    assert found["is"].startswith("the checkout, " if file is None else "the one file ")


def test_the_packages_of_the_file_have_the_versions_that_its_peers_are_measured_with(
    monkeypatch: pytest.MonkeyPatch, pyz: Path
) -> None:
    monkeypatch.setenv("DISPATCHER_PYZ", str(pyz))
    of_the_file = told()
    monkeypatch.delenv("DISPATCHER_PYZ")
    assert of_the_file["versions"] == told()["versions"]


def test_a_process_that_imported_the_sources_does_not_change_to_the_file(
    monkeypatch: pytest.MonkeyPatch, pyz: Path
) -> None:
    monkeypatch.setenv("DISPATCHER_PYZ", str(pyz))
    before = list(sys.path)
    with pytest.raises(AssertionError, match="imported the sources already"):
        one_file.use()
    assert before == sys.path
    assert one_file.description().startswith("the checkout, version ")


def test_the_soak_runs_the_file_and_has_it_built_first(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(build.Environment, "have", lambda *_: done.append("environment"))
    monkeypatch.setattr(build, "_have_file", lambda: done.append("file"))
    monkeypatch.setattr(build, "_replace", lambda command: done.append(" ".join(command[1:])))
    build.soak(["--minutes", "1"])
    assert ["environment", "file", "-m tests.faults.soak --minutes 1"] == done
