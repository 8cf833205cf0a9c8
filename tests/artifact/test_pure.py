"""Where the file brings no native packages: another processor, another C library, another Python."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import build
from dispatcher.bootstrap import target_tag
from dispatcher.packaging import targets
from tests.artifact.test_pythons import NEW, python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.artifact.conftest import Gateway

READY = "coordinator ready on "


@contextmanager
def coordinator(gateway: Gateway, file: Path) -> Iterator[str]:
    """Run a coordinator and give its URL; it has to end well."""
    with gateway.start(file, "coordinator", "--port", "0", "--state-dir", str(gateway.home / "state")) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert READY in line
            yield line.rpartition(" ")[2].strip()
            process.terminate()
            assert 0 == process.wait(30)
        finally:
            process.kill()


@pytest.mark.parametrize("version", NEW)
def test_coordinator_and_monitor_work_in_pure_python(gateway: Gateway, pure: Path, version: str) -> None:
    gateway.python = python(version)
    with coordinator(gateway, pure) as url:
        done = gateway.run(pure, "monitor", "--once", "--json", "--coordinator-url", url)
        assert (0, "") == (done.returncode, done.stderr)
        assert isinstance(json.loads(done.stdout.splitlines()[0]), dict)
    [folder] = gateway.sets
    assert folder.name.startswith(f"cpython-{version.replace('.', '')}-")
    assert [] == [path for path in folder.rglob("*") if ".so" in path.name]


@pytest.mark.parametrize("command", ["agent --coordinator-url http://localhost:1", "demo"])
def test_without_pycurl_a_line_says_what_to_install(gateway: Gateway, pure: Path, command: str) -> None:
    done = gateway.run(pure, *command.split())
    assert (1, "") == (done.returncode, done.stdout)
    assert 1 == done.stderr.count("\n")
    assert f"this file brings none for {target_tag()}; install 7.45.7 or newer: apk add py3-pycurl" in done.stderr


def test_the_self_test_tells_that_no_agent_can_run(gateway: Gateway, pure: Path) -> None:
    done = gateway.run(pure, "self-test")
    assert (1, "") == (done.returncode, done.stderr)
    verdicts = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines()}
    good, bad = ["python", "compiled", "codec", "history", "terminal"], ["native", "libcurl", "fetch"]
    assert dict.fromkeys(good, "ok") | dict.fromkeys(bad, "FAILED") == verdicts
    assert "written by Python's json, slower" in done.stdout


def test_an_agent_uses_the_pycurl_of_its_environment(gateway: Gateway, pure: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([gateway.python, "-m", "venv", "--without-pip", environment], check=True)
    [site] = environment.glob("lib/python*/site-packages")
    for name in ("pycurl", "pycurl.libs"):
        shutil.copytree(build.locked_packages(targets.this()[0]) / "packages" / name, site / name)
    gateway.python = str(environment / "bin" / "python")
    done = gateway.run(pure, "demo")
    assert (0, "") == (done.returncode, done.stderr)
    assert "all 12 executions left from the address that their record names" in done.stdout


def test_the_whole_monitor_imports_over_the_stand_in(gateway: Gateway, pure: Path) -> None:
    gateway.run(pure, "no-such-command")
    [folder] = gateway.sets
    program = "import cwcwidth, curtsies, dispatcher.monitor.main, dispatcher.monitor.app; print(cwcwidth.__file__)"
    done = gateway.run(folder / "dispatcher", flags=["-c", f"import sys; sys.path[:0] = [{str(folder)!r}]; {program}"])
    assert (0, f"{folder}/cwcwidth/__init__.py\n", "") == (done.returncode, done.stdout, done.stderr)


def test_two_pythons_share_no_set(gateway: Gateway, pure: Path) -> None:
    for version in NEW[:2]:
        gateway.python = python(version)
        gateway.run(pure, "no-such-command")
    assert 2 == len(gateway.sets)
