"""Which Pythons and machines the one file is for, and the packages of each. Runs at build time only.

The packages of a foreign machine are installed into a folder, not run: `uv` evaluates the lock's markers for that
machine and checks every hash. What may surprise: a target whose wheels are not all there ends the build, since a file
that silently lost a Python would be found out on a gateway.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dispatcher.bootstrap import target_tag
from dispatcher.packaging.pack import Files, PackError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
PLATFORMS = {
    "x86_64-linux-gnu": "x86_64-manylinux_2_28",
    "aarch64-linux-gnu": "aarch64-manylinux_2_28",
    "darwin-arm64": "aarch64-apple-darwin",
    "darwin-x86_64": "x86_64-apple-darwin",
}
"""The platforms of the file: how Python names them in its native modules, and how `uv` does."""

STAND_INS = {"cwcwidth": Path(__file__).with_name("cwcwidth_stand_in.py")}
"""Packages that a target may lack, and the module of ours that then takes the place of each."""

_NO_WHEEL = {"darwin-x86_64": ("cwcwidth",)}
_NATIVE = ("pycurl", "curl", "cwcwidth", "msgspec")
"""Packages that are nothing without their native parts; Tornado and wcwidth do without theirs, slower."""

_ELSEWHERE = {"bin", "etc", "include", "lib", "share"}


@dataclass(frozen=True, slots=True)
class Target:
    """A Python on a platform: its tag (`bootstrap.target_tag`), `uv`'s names for both, and what it has no wheel of."""

    tag: str
    python: str
    platform: str
    without: tuple[str, ...] = ()


def released() -> tuple[Target, ...]:
    """Return every target of the released file."""
    return tuple(
        Target(f"cpython-{python.replace('.', '')}-{suffix}", python, platform, _NO_WHEEL.get(suffix, ()))
        for suffix, platform in PLATFORMS.items()
        for python in PYTHONS
    )


def this() -> tuple[Target, ...]:
    """Return the target of the running Python; none where only the pure set will do."""
    return tuple(target for target in released() if target.tag == target_tag())


def install(target: Target, lock: Path, folder: Path, uv: Sequence[str]) -> None:
    """Install the packages of `lock` for `target` into `folder`, whole or not at all; `uv` is its command.

    Raises:
        PackError: a package cannot be had for the target; `uv` has said on stderr which and why.
    """
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    wanted = new / "requirements.lock"
    wanted.write_text(_leave_out(lock.read_text(encoding="utf-8"), target.without), encoding="utf-8")
    checked = ("--require-hashes", "--only-binary", ":all:", "--no-deps", "--no-config", "--requirement", str(wanted))
    place = ("--target", str(new / "packages"), "--python", sys.executable)
    machine = ("--python-version", target.python, "--python-platform", target.platform)
    command = [*uv, "pip", "install", "--quiet", *place, *machine, *checked]
    if subprocess.run(command, check=False).returncode:  # noqa: S603  our own tool, no shell
        raise PackError(f"the packages for {target.tag} cannot be had; a Python without wheels leaves {Path(__file__)}")
    new.rename(folder)


def _leave_out(lock: str, names: Iterable[str]) -> str:
    for name in names:
        lock = re.sub(rf"^{name}==.*\n(?:[ ].*\n)*", "", lock, flags=re.MULTILINE)
    return lock


def read_installed(folder: Path) -> Files:
    """Read what `install` put into `folder`, less what no run needs, with a stand-in for each package left out."""
    packages = folder / "packages"
    files = {}
    for path in sorted(packages.rglob("*")):
        name = path.relative_to(packages)
        if path.is_file() and _is_needed(PurePosixPath(name)):
            files[name.as_posix()] = path.read_bytes()
    return _with_stand_ins(files)


def pure(files: Files) -> Files:
    """Return the set for a Python without native packages, made from the files of any target.

    Nothing can stand in for `pycurl`: the system's own is imported where there is one.
    """
    kept = {name: data for name, data in files.items() if not _is_native(name) and _package(name) not in _NATIVE}
    return _with_stand_ins(kept)


def _with_stand_ins(files: Files) -> Files:
    there = {name.split("/")[0] for name in files}
    return files | {f"{name}/__init__.py": path.read_bytes() for name, path in STAND_INS.items() if name not in there}


def _package(name: str) -> str:
    """Return the package of a file: `pycurl` for `pycurl-7.49.0.dist-info/METADATA` and `pycurl.libs/libz.so` too."""
    return re.split(r"[/.-]", name, maxsplit=1)[0]


def _is_native(name: str) -> bool:
    file = PurePosixPath(name).name
    return ".so" in file or file.endswith(".dylib")


def _is_needed(path: PurePosixPath) -> bool:
    """Keep code and licences (with METADATA, which names them); leave out tests, stubs and installers' notes."""
    if path.parts[0] in _ELSEWHERE:
        raise PackError(f"{path}: a package that installs outside of itself cannot go into the one file")
    if len(path.parts) == 1 and path.suffix != ".py":
        return False
    if path.parts[0].endswith(".dist-info"):
        return path.name == "METADATA" or "licenses" in path.parts
    is_code = "test" not in path.parts[1:-1] and "__pycache__" not in path.parts
    return is_code and path.suffix != ".pyi" and path.name != "py.typed"
