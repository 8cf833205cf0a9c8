"""Nobody's `PYTHONPATH`, user packages or current folder come before what is in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.bootstrap import target_tag
from tests.artifact.conftest import every_python

if TYPE_CHECKING:
    from pathlib import Path

    from tests.artifact.conftest import Gateway

# Two of Python's own too: not more, since a `.pth` file of this machine's Python may import others before us.
PLANTED = ("tornado", "pycurl", "docopt", "pykka", "dispatcher", "cwcwidth", "json", "sqlite3")


def plant(folder: Path) -> None:
    """Put modules into `folder` that end the program with status 99 when they are imported."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PLANTED:
        (folder / f"{name}.py").write_text("import os\nos._exit(99)\n")


@every_python
def test_planted_modules_in_pythonpath_and_the_current_folder_are_ignored(
    gateway: Gateway, probe: Path, tmp_path: Path
) -> None:
    plant(tmp_path / "planted")
    clean = gateway.report(probe)
    for pythonpath in (str(tmp_path / "planted"), "", ".", f":{tmp_path / 'planted'}"):
        gateway.env["PYTHONPATH"] = pythonpath
        assert clean == gateway.report(probe, cwd=tmp_path / "planted")
        assert "probe\n" == gateway.run(probe, "--help", cwd=tmp_path / "planted").stdout


def test_a_first_start_ignores_them_too(gateway: Gateway, probe: Path, tmp_path: Path) -> None:
    plant(tmp_path / "planted")
    gateway.env["PYTHONPATH"] = str(tmp_path / "planted")
    gateway.report(probe, cwd=tmp_path / "planted")


def test_planted_user_packages_are_ignored(gateway: Gateway, probe: Path, tmp_path: Path) -> None:
    _, number, *_ = target_tag().split("-")
    gateway.env["PYTHONUSERBASE"] = str(tmp_path / "base")
    plant(tmp_path / "base" / "lib" / f"python{number[0]}.{number[1:]}" / "site-packages")
    report = gateway.report(probe)
    assert [] == [entry for entry in report["path"] if entry.startswith(str(tmp_path / "base"))]


def test_byte_code_from_elsewhere_is_ignored(gateway: Gateway, probe: Path, tmp_path: Path) -> None:
    clean = gateway.report(probe)
    gateway.env["PYTHONPYCACHEPREFIX"] = str(tmp_path / "elsewhere")
    assert clean == gateway.report(probe)
    assert not (tmp_path / "elsewhere" / str(gateway.cache).lstrip("/")).exists()
