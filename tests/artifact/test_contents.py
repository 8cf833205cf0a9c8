"""What is in the file, and that the same sources always give the same bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import build
from dispatcher.bootstrap import target_tag
from dispatcher.packaging import licences, targets

ROOT = Path(build.__file__).parent
PACKED = ["dispatcher", "build.py", "pyproject.toml", *(f"requirements{name}.lock" for name in ("", "-dev", "-build"))]


def copy(target: Path, *, packages: bool = True) -> None:
    """Copy what a build for this Python needs to another folder, with or without the downloaded packages."""
    for name in PACKED:
        source = ROOT / name
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target / name, ignore=ignored) if source.is_dir() else shutil.copy(source, target)
    if packages:
        folder = build.locked_packages(targets.this()[0])
        shutil.copytree(folder, target / "build" / "packages" / folder.name)


def test_two_builds_in_different_folders_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "a" / "second folder"
    for folder in (first, second):
        folder.mkdir(parents=True)
        copy(folder)
    for path in second.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    builds = [
        subprocess.Popen(
            [sys.executable, "build.py", "build", "--platform", "this"], cwd=folder, umask=umask, env=os.environ | env
        )
        for folder, umask, env in (
            (first, 0o022, {"PYTHONHASHSEED": "1", "TZ": "UTC"}),
            (second, 0o077, {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "LANG": "C", "PATH": str(tmp_path)}),  # no git
        )
    ]
    assert [0, 0] == [process.wait(timeout=60) for process in builds]
    for name in ("dispatcher.pyz", "dispatcher.cdx.json", "SHA256SUMS"):
        assert (first / "dist" / name).read_bytes() == (second / "dist" / name).read_bytes()
    checked = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"], cwd=first / "dist", check=True, capture_output=True
    )
    assert b"dispatcher.pyz: OK\ndispatcher.cdx.json: OK\n" == checked.stdout


def test_the_file_holds_our_sources_the_locked_packages_and_nothing_else(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as archive:
        names = archive.namelist()
        listing = archive.read(f"targets/{target_tag()}.txt").decode()
    known = ("dispatcher/", "docopt/", "blobs/", "licenses/", "targets/")
    loose = {name for name in names if not name.startswith(known)}
    assert {"__main__.py", "inputs.txt", "packages.zip", "targets.txt"} == loose
    assert sorted(names) == names
    tops = {line.split(" ", 3)[3].split("/")[0] for line in listing.splitlines()}
    packages = {top.split("-")[0] for top in tops if top.endswith(".dist-info")}
    locked = {
        line.split("==")[0].replace("-", "_")
        for line in build.LOCK.read_text().splitlines()
        if "==" in line and "win32" not in line
    }
    assert locked == packages
    code = {top for top in tops if not top.endswith((".dist-info", ".libs"))}
    # `curl` comes with pycurl.
    assert {name.removesuffix("_ng") for name in locked} | {"dispatcher", "curl"} == code


def test_every_package_keeps_its_licence(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as archive:
        paths = [line.split(" ", 3)[3] for line in archive.read(f"targets/{target_tag()}.txt").decode().splitlines()]
    infos = {path.split("/")[0] for path in paths if ".dist-info/" in path}
    licensed = {path.split("/")[0] for path in paths if ".dist-info/licenses/" in path}
    assert infos == licensed


def test_every_native_library_has_its_licence_in_the_file(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as archive:
        paths = [line.split(" ", 3)[3] for line in archive.read(f"targets/{target_tag()}.txt").decode().splitlines()]
        texts = {name: archive.read(name) for name in archive.namelist() if name.startswith("licenses/")}
    libraries = {name for path in paths if (name := licences.library(path)) is not None}
    assert {"libcurl", "libssl", "libnghttp2"} <= libraries
    assert [] == [name for name in libraries if len(texts[f"licenses/{licences.LICENCES[name][0]}.txt"]) < 1000]


def test_the_boot_files_are_stored_and_the_file_says_how_to_run_it(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as archive:
        stored = [
            info for info in archive.infolist() if not info.filename.startswith(("blobs/", "licenses/", "targets/"))
        ]
    assert {zipfile.ZIP_STORED} == {info.compress_type for info in stored}
    assert pyz.read_bytes().startswith(b"#!/usr/bin/env python3\n")
    assert os.access(pyz, os.X_OK)
