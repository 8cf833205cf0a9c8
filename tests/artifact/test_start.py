"""The first start, the later ones, and many at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.artifact.conftest import TIMEOUT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.artifact.conftest import Gateway


def test_the_built_file_starts_and_unpacks_one_set(gateway: Gateway, pyz: Path) -> None:
    done = gateway.run(pyz, "no-such-command")
    assert 2 == done.returncode
    assert "Traceback" not in done.stderr
    assert 1 == len(gateway.sets)


def test_everything_is_imported_from_the_unpacked_set(gateway: Gateway, probe: Path) -> None:
    report = gateway.report(probe)
    [folder] = gateway.sets
    modules = report["modules"]
    assert "json" in modules.pop("json")
    assert dict.fromkeys(modules, True) == {name: file.startswith(f"{folder}/") for name, file in modules.items()}
    assert str(folder) == report["path"][0]


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


def test_eight_first_starts_at_once_all_work_and_share_one_set(gateway: Gateway, probe: Path) -> None:
    started = [gateway.start(probe) for _ in range(8)]
    ended = [(*process.communicate(timeout=TIMEOUT), process.returncode) for process in started]
    assert [("", 0)] * 8 == [(err, status) for _, err, status in ended]
    assert 1 == len({json.loads(out)["modules"]["pycurl"] for out, _, _ in ended})
    assert 1 == len(gateway.sets)


def test_eight_starts_at_once_repair_a_damaged_set(gateway: Gateway, probe: Path) -> None:
    gateway.report(probe)
    [folder] = gateway.sets
    (folder / "tornado" / "web.py").unlink()
    started = [gateway.start(probe) for _ in range(8)]
    ended = [(*process.communicate(timeout=TIMEOUT), process.returncode) for process in started]
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


def test_version_and_help_come_from_the_set_once_it_is_there(gateway: Gateway, pyz: Path) -> None:
    texts = [gateway.run(pyz, argument).stdout for argument in ("--version", "--help")]
    gateway.run(pyz, "no-such-command")
    [folder] = gateway.sets
    done = gateway.run(pyz, "--version", flags=["-v"])
    assert f"{folder}/dispatcher/__pycache__/cli." in done.stderr
    assert texts == [gateway.run(pyz, argument).stdout for argument in ("--version", "--help")]


def test_the_program_knows_how_to_start_itself_again(gateway: Gateway, probe: Path) -> None:
    relative = gateway.report(probe.relative_to(probe.parent), cwd=probe.parent)
    assert [gateway.python, str(probe)] == relative["self_command"]
