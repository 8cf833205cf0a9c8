"""Where a first start unpacks to when the first place will not do, and what it says when none will."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dispatcher.bootstrap import target_tag
from tests.artifact.conftest import every_python

if TYPE_CHECKING:
    from tests.artifact.conftest import Gateway

UNSHARE = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
NOBODY = 65534


def mounted(*mounts: str) -> list[str]:
    """Return the start of a command that sees an empty file system at `PATH:OPTIONS` each."""
    if subprocess.run([*UNSHARE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("mount namespaces are not allowed here")
    steps = [
        f"mount -t tmpfs -o mode=1777,{mount.partition(':')[2]} tmpfs {mount.partition(':')[0]}" for mount in mounts
    ]
    return [*UNSHARE, "sh", "-c", " && ".join([*steps, 'exec "$@"']), "sh"]


@every_python
def test_a_read_only_home_sends_it_to_the_runtime_folder(gateway: Gateway, probe: Path, tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    gateway.env["XDG_RUNTIME_DIR"] = str(runtime)
    report = gateway.report(probe, wrap=mounted(f"{gateway.home}:ro"))
    assert report["modules"]["pycurl"].startswith(f"{runtime}/dispatcher/")


@every_python
def test_a_missing_home_sends_it_to_var_tmp(gateway: Gateway, probe: Path) -> None:
    gateway.env["HOME"] = "/proc/no-home"
    report = gateway.report(probe, wrap=mounted("/var/tmp:rw"))
    user = os.geteuid()
    assert report["modules"]["pycurl"].startswith(f"/var/tmp/dispatcher-{user}/")


def test_a_full_home_sends_it_on(gateway: Gateway, probe: Path) -> None:
    report = gateway.report(probe, wrap=mounted(f"{gateway.home}:size=4m", "/var/tmp:rw"))
    assert report["modules"]["pycurl"].startswith("/var/tmp/")


@every_python
def test_a_home_without_execution_sends_it_on(gateway: Gateway, probe: Path) -> None:
    report = gateway.report(probe, wrap=mounted(f"{gateway.home}:noexec", "/var/tmp:rw"))
    assert report["modules"]["pycurl"].startswith("/var/tmp/")


@every_python
def test_where_nothing_may_be_executed_it_runs_from_memory(gateway: Gateway, probe: Path) -> None:
    gateway.env["TMPDIR"] = str(gateway.home)
    wrap = mounted(f"{gateway.home}:noexec", "/var/tmp:noexec")
    report = gateway.report(probe, wrap=wrap)
    modules = report["modules"]
    native = ("pycurl", "tornado.speedups", "cwcwidth", "msgspec._core")
    assert "libcurl" in report["curl"]
    assert modules["tornado.speedups"].startswith("/proc/self/fd/")
    assert modules["msgspec._core"].startswith("/proc/self/fd/")
    assert modules["tornado"].startswith("/proc/self/fd/")
    assert modules["dispatcher.errors"].startswith(f"{probe}/")
    assert set(native) <= set(modules)


@every_python
def test_a_cache_that_others_may_write_is_refused_and_said(gateway: Gateway, probe: Path, tmp_path: Path) -> None:
    exposed = tmp_path / "exposed"
    exposed.mkdir()
    exposed.chmod(0o777)
    gateway.env["DISPATCHER_CACHE"] = str(exposed)
    for _ in ("the first start", "a later one"):
        done = gateway.run(probe)
        assert 0 == done.returncode
        assert f"DISPATCHER_CACHE is not used: {exposed} (DISPATCHER_CACHE): others may write to it\n" == done.stderr
        assert [] == list(exposed.iterdir())
        assert 1 == len(gateway.sets)


def test_the_place_that_is_named_is_used_though_a_set_lies_in_another(
    gateway: Gateway, probe: Path, tmp_path: Path
) -> None:
    gateway.report(probe)
    named = tmp_path / "named"
    gateway.env["DISPATCHER_CACHE"] = str(named)
    assert gateway.report(probe)["path"][0].startswith(f"{named}/{target_tag()}-")


@every_python
def test_what_others_planted_is_never_imported(gateway: Gateway, probe: Path, tmp_path: Path) -> None:
    gateway.report(probe)
    [folder] = gateway.sets
    exposed = tmp_path / "exposed"
    exposed.mkdir()
    folder.rename(exposed / folder.name)
    exposed.chmod(0o777)
    gateway.env["DISPATCHER_CACHE"] = str(exposed)
    assert str(gateway.cache) in gateway.run(probe).stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make the folder of another user")
def test_a_cache_of_another_user_is_refused(gateway: Gateway, probe: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir(mode=0o700)
    os.chown(foreign, NOBODY, NOBODY)
    gateway.env["DISPATCHER_CACHE"] = str(foreign)
    done = gateway.run(probe)
    assert "it is not a folder of this user" in done.stderr
    assert [] == list(foreign.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make the folder of another user")
def test_a_cache_below_a_folder_of_another_user_is_refused(gateway: Gateway, probe: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    (foreign / "ours").mkdir(parents=True, mode=0o700)
    os.chown(foreign, NOBODY, NOBODY)
    gateway.env["DISPATCHER_CACHE"] = str(foreign / "ours")
    assert f"{foreign} belongs to another user" in gateway.run(probe).stderr


def test_a_link_to_a_private_folder_is_followed_once(gateway: Gateway, probe: Path, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(private)
    gateway.env["DISPATCHER_CACHE"] = str(tmp_path / "link")
    assert gateway.report(probe)["path"][0].startswith(f"{private}/{target_tag()}-")


def test_a_link_that_others_could_have_made_is_not_followed(gateway: Gateway, probe: Path, tmp_path: Path) -> None:
    bait = tmp_path / "bait"
    bait.mkdir(mode=0o700)
    gateway.env |= {"HOME": "/proc/no-home", "BAIT": str(bait), "TMPDIR": str(gateway.home)}
    wrap = mounted("/var/tmp:rw")
    wrap[wrap.index("-c") + 1] = wrap[-2].replace(
        'exec "$@"', 'ln -s "$BAIT" /var/tmp/dispatcher-$(id -u) && exec "$@"'
    )
    report = gateway.report(probe, wrap=wrap)
    assert report["path"][0].startswith(f"{gateway.home}/dispatcher-")
    assert [] == list(bait.iterdir())


def test_where_nothing_will_do_each_place_gets_a_line(gateway: Gateway, probe: Path) -> None:
    gateway.env |= {"TMPDIR": str(gateway.home), "DISPATCHER_CACHE": "/proc/nowhere"}
    no_memory = "import os; del os.memfd_create; import runpy, sys; sys.argv = sys.argv[1:]; "
    flags = ["-c", no_memory + "runpy.run_path(sys.argv[0], run_name='__main__')"]
    done = gateway.run(probe, flags=flags, wrap=mounted(f"{gateway.home}:noexec", "/var/tmp:ro"))
    assert 2 == done.returncode
    assert "Traceback" not in done.stderr
    first, *places, memory, advice = done.stderr.splitlines()
    assert "dispatcher.pyz finds no place to unpack its packages to:" == first
    assert ["/proc/nowhere", str(gateway.home), "/var/tmp", str(gateway.home)] == [
        os.path.commonpath([place.split()[0], root])
        for place, root in zip(places, ["/proc/nowhere", gateway.home, "/var/tmp", gateway.home], strict=True)
    ]
    assert memory.startswith("  memory: ")
    assert "DISPATCHER_CACHE" in advice


WITHOUT = """
import runpy, sys
sys.modules["%s"] = None  # as in a Python that was built without it
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_python_without_zlib_is_told_in_one_line(gateway: Gateway, probe: Path) -> None:
    done = gateway.run(Path("-c"), WITHOUT % "zlib", str(probe))
    assert (2, "") == (done.returncode, done.stdout)
    assert 1 == done.stderr.count("\n")
    assert done.stderr.startswith(f"dispatcher.pyz cannot be unpacked by {gateway.python}: import of zlib halted")


def test_a_python_without_ctypes_lacks_the_last_resort_alone(gateway: Gateway, probe: Path) -> None:
    done = gateway.run(Path("-c"), WITHOUT % "ctypes", str(probe))
    assert (0, "") == (done.returncode, done.stderr)
    assert str(gateway.cache) in json.loads(done.stdout)["modules"]["pycurl"]
    gateway.env |= {"TMPDIR": str(gateway.home), "DISPATCHER_CACHE": "/proc/nowhere"}
    wrap = mounted(f"{gateway.home}:noexec", "/var/tmp:ro")
    done = gateway.run(Path("-c"), WITHOUT % "ctypes", str(probe), wrap=wrap)
    assert (2, "") == (done.returncode, done.stdout)
    assert "  memory: import of ctypes halted" in done.stderr
    assert "Traceback" not in done.stderr
