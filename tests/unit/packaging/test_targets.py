"""What the one file is for, and what of each package goes into it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from dispatcher.bootstrap import target_tag
from dispatcher.packaging import pack, targets

if TYPE_CHECKING:
    from pathlib import Path

LOCK = "first==1 \\\n    --hash=sha256:aa\n    # via x\nsecond==2 \\\n    --hash=sha256:bb\n"


def installed(folder: Path, *names: str) -> Path:
    """Make a folder as `install` leaves it, with these empty files."""
    for name in names:
        path = folder / "packages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_every_python_comes_for_every_platform() -> None:
    tags = [target.tag for target in targets.released()]
    assert len(targets.PYTHONS) * len(targets.PLATFORMS) == len(set(tags))
    assert {"cpython-311-x86_64-linux-gnu", "cpython-315-darwin-arm64"} <= set(tags)


def test_the_running_python_is_its_own_target_where_it_is_released() -> None:
    expected = [target for target in targets.released() if target.tag == target_tag()]
    assert expected == list(targets.this())


def test_a_package_gives_code_and_licences(tmp_path: Path) -> None:
    needed = ["cwcwidth/__init__.py", "p-1.dist-info/METADATA", "p-1.dist-info/licenses/LICENSE", "p.libs/libz.so.1"]
    notes = ["p-1.dist-info/RECORD", "p-1.dist-info/WHEEL", ".lock"]
    installed(tmp_path, *needed, *notes, "p/test/a.py", "p/__pycache__/a.pyc", "p/a.pyi", "p/py.typed")
    assert needed == sorted(targets.read_installed(tmp_path))


@pytest.mark.parametrize("place", ["bin/run", "share/man/x.1"])
def test_a_package_that_installs_elsewhere_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(pack.PackError, match="installs outside"):
        targets.read_installed(installed(tmp_path, place))


def test_a_missing_package_gets_its_stand_in(tmp_path: Path) -> None:
    files = targets.read_installed(installed(tmp_path, "p/__init__.py"))
    assert targets.STAND_INS["cwcwidth"].read_bytes() == files["cwcwidth/__init__.py"]


def test_the_pure_set_has_no_native_file_and_nothing_of_a_package_that_is_only_native() -> None:
    pure = ["blessed/a.py", "tornado/web.py", "tornado-6.dist-info/METADATA", "wcwidth/__init__.py"]
    native = ["tornado/speedups.abi3.so", "wcwidth/_wcwidth_c.abi3.so", "pycurl.libs/libz.so.1", "cwcwidth/_impl.so"]
    gone = ["pycurl/__init__.py", "pycurl-7.dist-info/METADATA", "pycurl/.dylibs/libz.dylib", "curl/__init__.py"]
    gone += ["msgspec/__init__.py", "msgspec/_core.so", "msgspec-0.22.0.dist-info/METADATA"]
    files = targets.pure(dict.fromkeys([*pure, *native, *gone, "cwcwidth/__init__.py"], b""))
    assert sorted([*pure, "cwcwidth/__init__.py"]) == sorted(files)
    assert targets.STAND_INS["cwcwidth"].read_bytes() == files["cwcwidth/__init__.py"]


def test_what_a_target_has_no_wheel_of_is_not_asked_for() -> None:
    assert LOCK == targets._leave_out(LOCK, [])
    assert LOCK[LOCK.index("second") :] == targets._leave_out(LOCK, ["first"])
    assert LOCK[: LOCK.index("second")] == targets._leave_out(LOCK, ["second"])


def test_a_target_whose_packages_cannot_be_had_ends_the_build_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(LOCK)
    target = targets.Target("cpython-399-vax", "3.99", "vax")
    with pytest.raises(pack.PackError, match=re.escape("the packages for cpython-399-vax cannot be had")):
        targets.install(target, tmp_path / "lock", tmp_path / "made", ["false"])
    assert not (tmp_path / "made").exists()
