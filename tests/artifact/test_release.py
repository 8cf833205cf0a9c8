"""The file that is released: every Python and machine in it, its size, and real executions under each Python here."""

from __future__ import annotations

import hashlib
import struct
import zipfile
from typing import TYPE_CHECKING

from dispatcher.bootstrap import PURE
from dispatcher.packaging import targets
from tests.artifact.conftest import every_python

if TYPE_CHECKING:
    from pathlib import Path

    from tests.artifact.conftest import Gateway

LIMIT, LIMIT_WITHOUT_MACOS = 40_000_000, 30_000_000
ELF_MACHINES = {"x86_64-linux-gnu": 62, "aarch64-linux-gnu": 183}
MACH_O_PROCESSORS = {"darwin-x86_64": 0x01000007, "darwin-arm64": 0x0100000C}
UNIVERSAL = b"\xca\xfe\xba\xbe"


def listing(archive: zipfile.ZipFile, tag: str) -> dict[str, str]:
    """Return the content hash of every file of a set, by path."""
    lines = archive.read(f"targets/{tag}.txt").decode().splitlines()
    return {path: digest for digest, _, _, path in (line.split(" ", 3) for line in lines)}


def is_native(path: str) -> bool:
    """Say whether a file of a set is machine code."""
    name = path.rpartition("/")[2]
    return ".so" in name or name.endswith(".dylib")


def runs_on(data: bytes, suffix: str) -> bool:
    """Say whether machine code is for the platform that Python names so."""
    if suffix in ELF_MACHINES:
        return data[:4] == b"\x7fELF" and struct.unpack_from("<H", data, 18) == (ELF_MACHINES[suffix],)
    if data[:4] == UNIVERSAL:
        count = struct.unpack_from(">I", data, 4)[0]
        return MACH_O_PROCESSORS[suffix] in [struct.unpack_from(">I", data, 8 + 20 * i)[0] for i in range(count)]
    return struct.unpack_from("<II", data) == (0xFEEDFACF, MACH_O_PROCESSORS[suffix])


def test_every_python_and_machine_has_its_set(release: Path) -> None:
    with zipfile.ZipFile(release) as archive:
        tags = [line.split()[0] for line in archive.read("targets.txt").decode().splitlines()]
    assert sorted([*(target.tag for target in targets.released()), PURE]) == sorted(tags)


def test_native_files_are_for_the_machine_whose_set_they_are_in(release: Path) -> None:
    with zipfile.ZipFile(release) as archive:
        for target in targets.released():
            suffix = target.tag.split("-", 2)[2]
            native = {path: digest for path, digest in listing(archive, target.tag).items() if is_native(path)}
            wrong = [path for path, digest in native.items() if not runs_on(archive.read(f"blobs/{digest}"), suffix)]
            assert [] == wrong
            stems = {path.split(".")[0] for path in native}
            assert {"msgspec/_core", "pycurl/_pycurl", "tornado/speedups"} <= stems
        assert [] == [path for path in listing(archive, PURE) if is_native(path)]


def test_every_native_file_is_stored_once(release: Path) -> None:
    with zipfile.ZipFile(release) as archive:
        names = [name for name in archive.namelist() if name.startswith("blobs/")]
        digests = [hashlib.sha256(archive.read(name)).hexdigest() for name in names]
    assert names == [f"blobs/{digest}" for digest in digests]
    assert len(digests) == len(set(digests))


def test_the_file_is_small_enough(release: Path) -> None:
    assert LIMIT > release.stat().st_size
    with zipfile.ZipFile(release) as archive:
        of_linux: set[str] = set()
        of_macos: set[str] = set()
        for target in targets.released():
            kind = of_macos if "darwin" in target.tag else of_linux
            kind |= set(listing(archive, target.tag).values())
        only_macos = {f"blobs/{digest}" for digest in of_macos - of_linux}
        saved = sum(info.compress_size for info in archive.infolist() if info.filename in only_macos)
    assert LIMIT_WITHOUT_MACOS > release.stat().st_size - saved


@every_python
def test_the_demo_executes_under_every_python(gateway: Gateway, release: Path) -> None:
    for _ in ("first start", "later start"):
        done = gateway.run(release, "demo")
        assert (0, "") == (done.returncode, done.stderr)
        assert "all 12 executions left from the address that their record names" in done.stdout
    assert 1 == len(gateway.sets)
    done = gateway.run(release, "self-test")
    assert (0, "") == (done.returncode, done.stderr)
    assert {"ok"} == {line.split()[0] for line in done.stdout.splitlines()}
    assert f"unpacked to {gateway.sets[0]}" in done.stdout
    assert "written by msgspec 0." in done.stdout
