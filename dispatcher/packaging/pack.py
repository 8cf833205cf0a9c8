"""Packs the one file from our sources and the wheels of each target. Runs at build time only; not in the file itself.

The same sources and wheels give the same bytes: names are sorted, times fixed, and nothing of the machine goes in.
"""

from __future__ import annotations

import binascii
import hashlib
import io
import re
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dispatcher.errors import DispatcherError
from dispatcher.packaging import licences

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Files = dict[str, bytes]
"""Content by path, with `/` between the parts."""

_MAIN = """\
import sys

if sys.version_info < (3, 11) or sys.implementation.name != "cpython":
    import platform
    this = (platform.python_implementation(), platform.python_version(), sys.executable)
    sys.stderr.write("dispatcher.pyz needs CPython 3.11 or newer; this is %s %s (%s)\\n" % this)
    sys.exit(2)

BOOT = {
CHECKSUMS}


def find_damage():
    import binascii
    for name, checksum in BOOT.items():
        try:
            if binascii.crc32(__loader__.get_data(name)) != checksum:
                return "%s has the wrong content" % name
        except (ImportError, OSError) as error:
            return error


if __name__ == "__main__":
    damage = find_damage()
    if damage:
        how = "copy it again and compare its SHA-256 with the published one"
        sys.stderr.write("%s is damaged (%s); %s\\n" % (sys.argv[0], damage, how))
        sys.exit(2)
    from dispatcher.bootstrap import start
    sys.exit(start())
"""
"""`__main__.py` of the one file, but for the checksums of the files that nothing else checks before they run.

Python 2.7 can read it, and it guards against a second run by `multiprocessing`.
"""

_BOOT = ("__init__", "bootstrap", "packaging/__init__", "packaging/memory", "packaging/prune", "packaging/unpack")

FRONT_PACKAGE = "docopt"
"""The one package beside our own that `--help` needs, and that is imported straight from the file."""

_SHEBANG = b"#!/usr/bin/env python3\n"
_DEFLATED = ("blobs/", "licenses/", "targets/")
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)
_BUILD_ONLY = frozenset(
    f"dispatcher/packaging/{name}.py"
    for name in (
        "bill",
        "compiled",
        "constants",
        "cwcwidth_stand_in",
        "environment",
        "licences",
        "pack",
        "plain_classes",
        "pythons",
        "roots",
        "targets",
    )
)
"""What only the build runs, or is packed under another name."""

_VERSION = re.compile(rb'^__version__ = "([^"]+)"$', re.MULTILINE)


class PackError(DispatcherError):
    """The one file cannot be made from what is there."""


def read_sources(root: Path, commit: str) -> Files:
    """Read our own package below `root`; the version carries the commit (empty: unknown)."""
    files = {}
    for path in sorted((root / "dispatcher").rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and _is_source(path) and name not in _BUILD_ONLY:
            files[name] = path.read_bytes()
    if commit:
        version = f"+g{commit}".encode()
        files["dispatcher/__init__.py"] = _VERSION.sub(
            rb'__version__ = "\g<1>' + version + b'"', files["dispatcher/__init__.py"]
        )
    return files


def _is_source(path: Path) -> bool:
    if path.parent == licences.TEXTS:
        return False
    return path.suffix != ".pyc" and "__pycache__" not in path.parts and not path.name.startswith(".")


def pack(out: Path, sources: Files, targets: Mapping[str, Files], inputs: str) -> None:
    """Write the one file to `out`, whole or not at all. `targets` maps each tag to its packages."""
    members = _members(sources, targets) | {"inputs.txt": inputs.encode()}
    new = out.with_name(f"{out.name}.new")
    with new.open("wb") as stream:
        stream.write(_SHEBANG)
        with zipfile.ZipFile(stream, "w") as archive:
            for name in sorted(members):
                _add(archive, name, members[name], deflate=name.startswith(_DEFLATED))
    new.chmod(0o755)
    new.replace(out)


def is_up_to_date(path: Path, inputs: str, tags: Iterable[str]) -> bool:
    """Say whether the one file at `path` was built from these inputs and holds at least these targets."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            built_from = archive.read("inputs.txt").decode()
    except (OSError, KeyError, zipfile.BadZipFile):
        return False
    return built_from == inputs and all(f"targets/{tag}.txt" in names for tag in tags)


def _members(sources: Files, targets: Mapping[str, Files]) -> Files:
    common = _common(list(targets.values()))
    front = sources | {path: data for path, data in common.items() if path.startswith(f"{FRONT_PACKAGE}/")}
    packages = {path: data for path, data in common.items() if path not in front}
    members = front | {"__main__.py": _main(sources), "packages.zip": _inner_zip(packages)}
    names = []
    for tag, files in sorted(targets.items()):
        everything = sources | files
        lines = [_line(path, everything[path], front, packages) for path in sorted(everything)]
        listing = "".join(lines).encode()
        members |= {f"blobs/{_digest(data)}": data for path, data in files.items() if path not in common}
        members[f"targets/{tag}.txt"] = listing
        names.append(f"{tag} {tag}-{_digest(listing)[:32]}\n")
    members |= licences.texts(path for files in targets.values() for path in files)
    return members | {"targets.txt": "".join(names).encode()}


def _main(sources: Files) -> bytes:
    boot = (f"dispatcher/{name}.py" for name in _BOOT)
    checksums = "".join(f'    "{name}": {binascii.crc32(sources[name])},\n' for name in boot if name in sources)
    return _MAIN.replace("CHECKSUMS", checksums).encode()


def _common(targets: list[Files]) -> Files:
    """Return what is the same for all targets and not native."""
    first, *others = targets
    return {
        path: data
        for path, data in first.items()
        if ".so" not in PurePosixPath(path).name and all(other.get(path) == data for other in others)
    }


def _line(path: str, data: bytes, front: Files, packages: Files) -> str:
    source = "front" if path in front else "packages" if path in packages else "blob"
    return f"{_digest(data)} {len(data)} {source} {path}\n"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _inner_zip(files: Files) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(files):
            _add(archive, name, files[name], deflate=True)
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes, *, deflate: bool) -> None:
    info = zipfile.ZipInfo(name, _FIXED_TIME)
    info.create_system = 3  # Unix, wherever it is built
    info.external_attr = 0o644 << 16
    info.compress_type = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    archive.writestr(info, data, compresslevel=9)


def source_digest(parts: Iterable[tuple[str, bytes]]) -> str:
    """Return one hash over named contents, in the order given."""
    digest = hashlib.sha256()
    for name, data in parts:
        digest.update(f"{name} {len(data)}\n".encode() + data)
    return digest.hexdigest()
