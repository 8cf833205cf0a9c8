"""The steps of a first start; `tests/artifact` runs them in whole files."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import stat
from pathlib import Path

import pytest

from dispatcher import bootstrap
from dispatcher.packaging import unpack

FILES = {"package/__init__.py": b"name = 'package'\n", "package/data.txt": b"data\n", "broken.py": b"def\n"}
NAME = "cpython-311-x86_64-linux-gnu-" + "0" * 32


def test_a_set_is_unpacked_private_and_whole(tmp_path: Path) -> None:
    folder = tmp_path / NAME
    assert str(folder) == unpack._unpack_below(str(tmp_path), NAME, FILES)
    assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
    assert FILES == {path: (folder / path).read_bytes() for path in FILES}
    assert bootstrap.take(str(folder))
    assert {NAME, "lock"} == {child.name for child in tmp_path.iterdir()}


def test_all_of_a_set_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: set[int] = set()
    unflushed: list[str] = []
    fsync, rename = os.fsync, os.rename

    def flush(file: int) -> None:
        fsync(file)
        flushed.add(os.fstat(file).st_ino)

    def name(new: str, folder: str) -> None:
        everything = [
            entry for root, _, names in os.walk(new) for entry in (root, *(f"{root}/{each}" for each in names))
        ]
        unflushed.extend(entry for entry in everything if Path(entry).stat().st_ino not in flushed)
        rename(new, folder)
        flushed.clear()

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "rename", name)
    unpack._unpack_below(str(tmp_path), NAME, FILES | {"deep/er/data.txt": b"data\n"})
    assert [] == unflushed
    assert {tmp_path.stat().st_ino} == flushed, "the name itself has to be there after a power cut too"


def test_the_byte_code_is_what_python_looks_for(tmp_path: Path) -> None:
    folder = tmp_path / NAME
    unpack._unpack_below(str(tmp_path), NAME, FILES)
    source = folder / "package" / "__init__.py"
    spec = importlib.util.spec_from_file_location("package", source)
    assert spec is not None
    assert spec.cached is not None
    assert os.path.exists(spec.cached)  # noqa: PTH110  importlib gives a string
    # What runs is the byte code: a source changed behind its back does not show.
    source.write_bytes(b"name = 'changed'\n")
    module = importlib.util.module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(module)
    assert "package" == module.name
    assert str(source) == spec.loader.get_code("package").co_filename  # type: ignore[attr-defined]  # a file loader


def test_a_module_of_others_that_does_not_compile_stays_source(tmp_path: Path) -> None:
    compiled = unpack._byte_code(str(tmp_path), FILES)
    assert [importlib.util.cache_from_source("package/__init__.py", optimization="")] == list(compiled)


def test_a_damaged_set_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / NAME
    unpack._unpack_below(str(tmp_path), NAME, FILES)
    (folder / "package" / "data.txt").write_bytes(b"")
    unpack._unpack_below(str(tmp_path), NAME, FILES)
    assert b"data\n" == (folder / "package" / "data.txt").read_bytes()


def test_a_set_that_another_start_unpacked_meanwhile_is_not_unpacked_again(tmp_path: Path) -> None:
    folder = tmp_path / NAME
    unpack._unpack_below(str(tmp_path), NAME, FILES)
    number = folder.stat().st_ino
    unpack._unpack_below(str(tmp_path), NAME, FILES)
    assert number == folder.stat().st_ino


def test_a_start_that_holds_the_lock_forever_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "_LOCK_SECONDS", 0.1)
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert bootstrap.take(unpack._unpack_below(str(tmp_path), NAME, FILES))


def test_a_set_that_another_start_put_there_first_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new, folder = tmp_path / "new", tmp_path / NAME
    new.mkdir()
    unpack._unpack_below(str(tmp_path), NAME, FILES)
    monkeypatch.setattr(os.path, "lexists", lambda path: False)  # it came after the look
    unpack._put_in_place(str(new), str(folder))
    assert bootstrap.take(str(folder))


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    blocked = FILES | {"package": b"a file where a folder has to be"}
    with pytest.raises(OSError, match="package"):
        unpack._unpack_below(str(tmp_path), NAME, blocked)
    assert ["lock"] == [child.name for child in tmp_path.iterdir()]


def test_an_unfit_place_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(OSError, match="others may write"):
        unpack._unpack_below(str(tmp_path), NAME, FILES)
    assert [] == list(tmp_path.iterdir())
