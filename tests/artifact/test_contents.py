"""What is in the file, and that the same sources always give the same bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import build
from dispatcher.bootstrap import target_tag
from dispatcher.packaging import compiled, licences, pack, targets
from tests.artifact.conftest import Gateway

ROOT = Path(build.__file__).parent
PACKED = ["dispatcher", "build.py", "pyproject.toml", *(f"requirements{name}.lock" for name in ("", "-dev", "-build"))]


def copy(target: Path, *, packages: bool = True) -> None:
    """Copy what a build for this Python needs to another folder, with or without what was downloaded and compiled."""
    for name in PACKED:
        source = ROOT / name
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target / name, ignore=ignored) if source.is_dir() else shutil.copy(source, target)
    if packages:
        folder = build.locked_packages(targets.this()[0])
        shutil.copytree(folder, target / "build" / "packages" / folder.name)
        native = compiled_folder()
        if native.is_dir():
            shutil.copytree(native, target / "build" / native.name)


def compiled_folder() -> Path:
    """Return where what is compiled of these sources for this Python lies, if anything is."""
    return build._compiled_folder(target_tag(), pack.read_sources(ROOT, ""))


def test_two_builds_in_different_folders_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "a" / "second folder"
    for folder in (first, second):
        folder.mkdir(parents=True)
        copy(folder)
    for path in second.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    # Neither has a C compiler, which takes minutes: both pack what was compiled, if anything was.
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "git").symlink_to(shutil.which("git") or "/nonexistent")
    builds = [
        subprocess.Popen(
            [sys.executable, "build.py", "build", "--platform", "this"], cwd=folder, umask=umask, env=os.environ | env
        )
        for folder, umask, env in (
            (first, 0o022, {"PYTHONHASHSEED": "1", "TZ": "UTC", "PATH": str(tools)}),
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
    # The library of our own compiled modules lies beside `dispatcher`, see the test of them.
    code = {top for top in tops if not top.endswith((".dist-info", ".libs")) and licences.library(top) is None}
    # `curl` comes with pycurl.
    assert {name.removesuffix("_ng") for name in locked} | {"dispatcher", "curl"} == code


def test_the_file_runs_all_of_the_compiled_modules_or_none(pyz: Path, gateway: Gateway) -> None:
    with zipfile.ZipFile(pyz) as archive:
        paths = [line.split(" ", 3)[3] for line in archive.read(f"targets/{target_tag()}.txt").decode().splitlines()]
    native = {path for path in paths if path.endswith(".so") and path.startswith(("dispatcher/", licences.COMPILED))}
    if pyz == build.PYZ:  # it is of these sources, so it holds what is compiled of them
        assert compiled.read(compiled_folder()).keys() == native
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    wanted = {path.replace(".py", suffix) for path in compiled.MODULES} | {f"{licences.COMPILED}{suffix}"}
    assert native in (set(), wanted)
    done = gateway.run(pyz, "self-test")
    assert (0, "") == (done.returncode, done.stderr)
    said = dict(line.split(None, 2)[1:] for line in done.stdout.splitlines())
    told = "the hottest modules are compiled" if native else "the hottest modules run from their sources, slower"
    assert told == said["compiled"]


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
