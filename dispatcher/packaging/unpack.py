"""The first start of a new one file: unpacks this Python's set into the first place that is fit for it.

Runs once a machine and version, on the main thread, before any command. A set appears under its name whole or not
at all: it is written beside it, flushed to the disk and renamed. Byte code is written here too, since Python would
write it later, unlisted; the packages start in about half the time of the same ones imported from a zip.
"""

# ruff: noqa: PTH103, PTH104, PTH112, PTH118, PTH120, PTH123  (paths are strings, as in bootstrap.py)

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import io
import marshal
import os
import shutil
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from dispatcher import bootstrap
from dispatcher.bootstrap import FILE_TIME, INDEX
from dispatcher.packaging import prune

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK_SECONDS = 30.0
"""How long to wait for another first start: unpacking takes about 1.5 s here; after that both do the work."""

_UNCHECKED_HASH = (1).to_bytes(4, "little")
"""The flags of byte code that is used without a look at its source (PEP 552): what we unpacked does not change."""


class Entry(NamedTuple):
    """A file of a set: its SHA-256, its size in bytes, where it lies in the one file, and its path in the set."""

    digest: str
    size: int
    source: str
    path: str


def provide(name: str) -> None:
    """Unpack the set `name` and import from it; where no place is fit, import from memory.

    Raises:
        NotUsableError: the one file is damaged, or nothing can be unpacked; a line for each place says why.
    """
    files = read_set()
    umask = os.umask(0o077)
    try:
        _provide(name, files)
    finally:
        os.umask(umask)


def _provide(name: str, files: dict[str, bytes]) -> None:
    reasons = []
    for origin, root in bootstrap.places():
        try:
            folder = _unpack_below(root, name, files)
        except OSError as error:
            reasons.append(f"  {root} ({origin}): {error.strerror or error}")
        else:
            _warn_of_cache(reasons)
            bootstrap.import_from(folder)
            return
    from dispatcher.packaging import memory  # noqa: PLC0415  the last resort; it needs ctypes, which may be missing

    memory.provide(files, reasons)


def _warn_of_cache(reasons: list[str]) -> None:
    """Tell whoever named a place that it was not used; the other places are nobody's wish."""
    if "DISPATCHER_CACHE" in os.environ and reasons:
        sys.stderr.write(f"DISPATCHER_CACHE is not used:{reasons[0][1:]}\n")


def read_set() -> dict[str, bytes]:
    """Read the files of this Python's set out of the one file, by path. Raises `NotUsableError` for a wrong byte."""
    try:
        with zipfile.ZipFile(str(bootstrap.ARCHIVE)) as archive:
            listing = archive.read(f"targets/{bootstrap.chosen_set()[0]}.txt").decode()
            entries = [_entry(line) for line in listing.splitlines()]
            with zipfile.ZipFile(io.BytesIO(archive.read("packages.zip"))) as packages:
                return {entry.path: _read(entry, archive, packages) for entry in entries}
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError) as error:
        raise bootstrap.damaged(error) from error


def _entry(line: str) -> Entry:
    digest, size, source, path = line.split(" ", 3)
    return Entry(digest, int(size), source, path)


def _read(entry: Entry, archive: zipfile.ZipFile, packages: zipfile.ZipFile) -> bytes:
    if entry.source == "packages":
        data = packages.read(entry.path)
    else:
        data = archive.read(entry.path if entry.source == "front" else f"blobs/{entry.digest}")
    if hashlib.sha256(data).hexdigest() != entry.digest:
        raise ValueError(f"{entry.path} has the wrong content")
    return data


def _unpack_below(root: str, name: str, files: dict[str, bytes]) -> str:
    os.makedirs(root, exist_ok=True)
    if reason := bootstrap.why_unfit(root):
        raise OSError(reason)
    folder = os.path.join(root, name)
    with _alone(root):
        # Of several first starts at once the first one unpacks, and the others find its work here.
        if not bootstrap.take(folder):
            _make(folder, files)
            prune.prune(root, keep=name)
    return folder


@contextmanager
def _alone(root: str) -> Iterator[None]:
    """Hold the lock of `root`; go on without it after a while, since a rename cannot go half wrong."""
    file = os.open(os.path.join(root, "lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while time.monotonic() < deadline and not _locked(file):
            time.sleep(0.02)
        yield
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def _make(folder: str, files: dict[str, bytes]) -> None:
    new = tempfile.mkdtemp(prefix=prune.NEW, dir=os.path.dirname(folder))
    try:
        everything = files | _byte_code(folder, files)
        _write_all(new, everything)
        _put_in_place(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    if not bootstrap.take(folder):
        raise OSError("what was written to it does not stay as it was written")


def _byte_code(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    """Compile every module as it will lie in `folder`."""
    compiled = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are about code of others, and nobody here can act on them
        for path, source in files.items():
            if path.endswith(".py"):
                with suppress(SyntaxError, ValueError):
                    target = importlib.util.cache_from_source(path, optimization="")
                    compiled[target] = _compile(os.path.join(folder, path), source)
    return compiled


def _compile(path: str, source: bytes) -> bytes:
    code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    header = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(source)
    return header + marshal.dumps(code)


def _write_all(new: str, files: dict[str, bytes]) -> None:
    index = "".join(f"{len(data)} {path}\n" for path, data in sorted(files.items())) + "end\n"
    for path, data in (files | {INDEX: index.encode()}).items():
        target = os.path.join(new, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as stream:
            stream.write(data)
        os.utime(target, (FILE_TIME, FILE_TIME))
    # Flushed after all are written: the first flush takes most of the others along (0.2 s for 600 files).
    for folder, _, names in os.walk(new):
        for name in names:
            _flush(os.path.join(folder, name))
        _flush(folder)


def _flush(path: str) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _put_in_place(new: str, folder: str) -> None:
    """Rename `new` to `folder`; a damaged one that is there moves aside first, a whole one stays."""
    if os.path.lexists(folder) and not bootstrap.take(folder):
        aside = tempfile.mkdtemp(prefix=prune.OLD, dir=os.path.dirname(folder))
        os.rename(folder, os.path.join(aside, "set"))
        shutil.rmtree(aside, ignore_errors=True)
    try:
        os.rename(new, folder)
    except OSError:
        # Where locks do not work another start may have been faster; what counts is that a set is there.
        if not os.path.isdir(folder):
            raise
    _flush(os.path.dirname(folder))
