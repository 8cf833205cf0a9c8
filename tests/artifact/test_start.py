"""The first start, the later ones, and many at once."""

from __future__ import annotations

import json
import re
import subprocess
import time
from typing import TYPE_CHECKING

from dispatcher.bootstrap import target_tag
from tests.artifact.conftest import every_python
from tests.artifact.test_places import mounted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.artifact.conftest import Gateway


def test_the_built_file_starts_and_unpacks_one_set(gateway: Gateway, pyz: Path) -> None:
    done = gateway.run(pyz, "no-such-command")
    assert 2 == done.returncode
    assert "Traceback" not in done.stderr
    assert 1 == len(gateway.sets)


@every_python
def test_everything_is_imported_from_the_unpacked_set(gateway: Gateway, probe: Path) -> None:
    report = gateway.report(probe)
    [folder] = gateway.sets
    modules = report["modules"]
    assert "json" in modules.pop("json")
    assert dict.fromkeys(modules, True) == {name: file.startswith(f"{folder}/") for name, file in modules.items()}
    assert str(folder) == report["path"][0]


@every_python
def test_a_later_start_uses_what_the_first_unpacked(gateway: Gateway, probe: Path) -> None:
    first = gateway.report(probe)
    [folder] = gateway.sets
    number = (folder / "index").stat().st_ino
    assert first == gateway.report(probe)
    assert [folder] == gateway.sets
    assert number == (folder / "index").stat().st_ino


def test_the_set_belongs_to_its_user_alone(gateway: Gateway, probe: Path) -> None:
    gateway.report(probe, umask=0)
    [folder] = gateway.sets
    assert [0o700] == [folder.stat().st_mode & 0o777]
    assert {0o600} == {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}


def test_byte_code_is_there_for_every_module(gateway: Gateway, probe: Path) -> None:
    gateway.env["PYTHONDONTWRITEBYTECODE"] = "1"
    gateway.report(probe)
    [folder] = gateway.sets
    assert len(list(folder.rglob("*.py"))) == len(list(folder.rglob("*.pyc")))


@every_python
def test_eight_first_starts_at_once_all_work_and_share_one_set(gateway: Gateway, probe: Path) -> None:
    started = [gateway.start(probe) for _ in range(8)]
    ended = [(*process.communicate(timeout=gateway.timeout), process.returncode) for process in started]
    assert [("", 0)] * 8 == [(err, status) for _, err, status in ended]
    assert 1 == len({json.loads(out)["modules"]["pycurl"] for out, _, _ in ended})
    assert 1 == len(gateway.sets)


def test_eight_starts_at_once_repair_a_damaged_set(gateway: Gateway, probe: Path) -> None:
    gateway.report(probe)
    [folder] = gateway.sets
    (folder / "tornado" / "web.py").unlink()
    started = [gateway.start(probe) for _ in range(8)]
    ended = [(*process.communicate(timeout=gateway.timeout), process.returncode) for process in started]
    assert [("", 0)] * 8 == [(err, status) for _, err, status in ended]
    assert [folder] == gateway.sets


def test_what_a_broken_off_first_start_left_is_in_nobodys_way(gateway: Gateway, probe: Path) -> None:
    leftover = gateway.cache / ".new-broken-off"
    leftover.mkdir(parents=True, mode=0o700)
    (leftover / "index").write_text("end\n")
    gateway.report(probe)
    assert 2 == len(gateway.sets)


def test_version_and_help_unpack_nothing(gateway: Gateway, pyz: Path) -> None:
    for argument in ("--version", "--help"):
        done = gateway.run(pyz, argument)
        assert (0, "") == (done.returncode, done.stderr)
    assert [] == list(gateway.home.iterdir())


def test_help_comes_from_the_set_once_it_is_there(gateway: Gateway, pyz: Path) -> None:
    text = gateway.run(pyz, "--help").stdout
    gateway.run(pyz, "no-such-command")
    [folder] = gateway.sets
    done = gateway.run(pyz, "--help", flags=["-v"])
    assert f"{folder}/dispatcher/__pycache__/cli." in done.stderr
    assert text == gateway.run(pyz, "--help").stdout


def test_the_version_costs_no_more_than_three_empty_programs(gateway: Gateway, pyz: Path) -> None:
    seconds: dict[str, list[float]] = {"nothing": [], "version": []}
    for _ in range(7):
        for name, arguments in (("nothing", ["-c", "pass"]), ("version", [str(pyz), "--version"])):
            began = time.perf_counter()
            subprocess.run([gateway.python, "-I", *arguments], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - began)
    # The fastest of each: a busy machine only ever adds.
    assert min(seconds["version"]) <= 3 * min(seconds["nothing"])


def test_the_verbose_version_tells_all_that_is_inside(gateway: Gateway, pyz: Path) -> None:
    done = gateway.run(pyz, "--version", "--verbose")
    assert (0, "") == (done.returncode, done.stderr)
    [folder] = gateway.sets
    assert gateway.run(pyz, "--version").stdout == done.stdout.splitlines(keepends=True)[0]
    told = dict(line.strip().split("  ", 1) for line in done.stdout.splitlines()[1:])
    told = {name: value.strip() for name, value in told.items()}
    assert [str(pyz), str(folder), target_tag()] == [told[name] for name in ("file", "unpacked to", "packages for")]
    assert re.match(r"8\.\d+\.\d+ OpenSSL/", told["libcurl"])
    assert {"pycurl", "pykka", "tornado", "marshmallow", "curtsies", "docopt-ng", "cwcwidth", "msgspec"} <= set(told)


def test_the_verbose_version_tells_of_memory_and_of_what_is_missing(gateway: Gateway, pure: Path) -> None:
    gateway.env |= {"TMPDIR": str(gateway.home)}
    done = gateway.run(pure, "--version", "--verbose", wrap=mounted(f"{gateway.home}:noexec", "/var/tmp:noexec"))
    assert (0, "") == (done.returncode, done.stderr)
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    told = ["packages for pure", "unpacked to memory", "libcurl none (No module named 'pycurl')"]
    assert told == [line for line in lines if line.startswith(("packages for", "unpacked to", "libcurl"))]
    assert any(line.startswith("tornado ") for line in lines)


def test_the_program_knows_how_to_start_itself_again(gateway: Gateway, probe: Path) -> None:
    relative = gateway.report(probe.relative_to(probe.parent), cwd=probe.parent)
    assert [gateway.python, str(probe)] == relative["self_command"]
