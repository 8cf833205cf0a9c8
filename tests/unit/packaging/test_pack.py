"""How sources and wheels become the one file."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.packaging import pack

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = {"dispatcher/__init__.py": b'__version__ = "1.2.3"\n', "dispatcher/cli.py": b"main = print\n"}
PACKAGES = {"docopt/__init__.py": b"", "pure/__init__.py": b"pure = 1\n", "pure/x.so": b"\x7fELF one"}
OTHER = PACKAGES | {"pure/x.so": b"\x7fELF two"}


def test_the_version_carries_the_commit(tmp_path: Path) -> None:
    (tmp_path / "dispatcher").mkdir()
    (tmp_path / "dispatcher" / "__init__.py").write_bytes(SOURCES["dispatcher/__init__.py"])
    read = pack.read_sources(tmp_path, "abc.dirty")
    assert {"dispatcher/__init__.py": b'__version__ = "1.2.3+gabc.dirty"\n'} == read


def test_without_git_the_version_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "dispatcher").mkdir()
    (tmp_path / "dispatcher" / "__init__.py").write_bytes(SOURCES["dispatcher/__init__.py"])
    assert SOURCES["dispatcher/__init__.py"] == pack.read_sources(tmp_path, "")["dispatcher/__init__.py"]


def test_byte_code_and_hidden_files_are_no_sources(tmp_path: Path) -> None:
    for name in ("__init__.py", "__pycache__/x.pyc", ".hidden", "web/data.json"):
        path = tmp_path / "dispatcher" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert ["dispatcher/__init__.py", "dispatcher/web/data.json"] == sorted(pack.read_sources(tmp_path, ""))


def test_native_files_are_stored_once_by_content(tmp_path: Path) -> None:
    pack.pack(tmp_path / "f.pyz", SOURCES, {"t1": PACKAGES, "t2": OTHER, "t3": OTHER}, "inputs")
    with zipfile.ZipFile(tmp_path / "f.pyz") as archive:
        blobs = {archive.read(name) for name in archive.namelist() if name.startswith("blobs/")}
        names = [name for name in archive.namelist() if name.startswith("blobs/")]
    assert {b"\x7fELF one", b"\x7fELF two"} == blobs
    assert 2 == len(names)


def test_a_file_that_differs_between_targets_goes_to_each_its_own(tmp_path: Path) -> None:
    other = PACKAGES | {"pure/__init__.py": b"pure = 2\n"}
    pack.pack(tmp_path / "f.pyz", SOURCES, {"t1": PACKAGES, "t2": other}, "inputs")
    with zipfile.ZipFile(tmp_path / "f.pyz") as archive:
        lines = [archive.read(f"targets/{tag}.txt").decode().splitlines() for tag in ("t1", "t2")]
    sources = [[line.split()[2] for line in listing if line.endswith("pure/__init__.py")] for listing in lines]
    assert [["blob"], ["blob"]] == sources


def test_targets_with_the_same_files_still_have_sets_of_their_own(tmp_path: Path) -> None:
    pack.pack(tmp_path / "f.pyz", SOURCES, {"t1": PACKAGES, "t2": PACKAGES}, "inputs")
    with zipfile.ZipFile(tmp_path / "f.pyz") as archive:
        names = dict(line.split() for line in archive.read("targets.txt").decode().splitlines())
    assert ["t1", "t2"] == list(names)
    assert 2 == len(set(names.values()))


def test_the_order_of_the_files_does_not_change_the_bytes(tmp_path: Path) -> None:
    turned = dict(reversed(PACKAGES.items()))
    pack.pack(tmp_path / "1.pyz", SOURCES, {"t1": PACKAGES, "t2": OTHER}, "inputs")
    pack.pack(tmp_path / "2.pyz", dict(reversed(SOURCES.items())), {"t2": OTHER, "t1": turned}, "inputs")
    assert (tmp_path / "1.pyz").read_bytes() == (tmp_path / "2.pyz").read_bytes()


def test_a_file_is_up_to_date_while_its_inputs_are_the_same_and_it_holds_the_target(tmp_path: Path) -> None:
    path = tmp_path / "f.pyz"
    assert not pack.is_up_to_date(path, "these", [])
    path.write_bytes(b"no zip")
    assert not pack.is_up_to_date(path, "these", [])
    pack.pack(path, SOURCES, {"t": PACKAGES}, "these")
    assert pack.is_up_to_date(path, "these", ["t"])
    assert not pack.is_up_to_date(path, "others", ["t"])
    assert not pack.is_up_to_date(path, "these", ["t", "u"])
    assert ["f.pyz"] == [child.name for child in tmp_path.iterdir()]


parts = st.lists(st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\n")), st.binary()), max_size=4)


@given(parts, parts)
def test_two_lists_of_contents_have_one_digest_only_if_they_are_equal(
    one: list[tuple[str, bytes]], other: list[tuple[str, bytes]]
) -> None:
    assert (one == other) == (pack.source_digest(one) == pack.source_digest(other))
