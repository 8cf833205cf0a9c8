"""Writes the bill of materials of a one file, CycloneDX 1.6 in JSON. Runs at build time only, as a program:
`python -m dispatcher.packaging.bill FILE OUT TIME`, with TIME in RFC 3339.

Reads the finished file and not the lock, so that it tells what is inside: the packages, and every native library with
its hash. The same file and time give the same bill.
"""

from __future__ import annotations

import sys
import uuid
import zipfile
from datetime import datetime
from email.parser import BytesHeaderParser
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from dispatcher.packaging import licences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from email.message import Message

_OWN = "dispatcher"


def write(file: Path, out: Path, time: datetime) -> None:
    """Write the bill of the one file at `file`; `time` is when its sources were committed."""
    digest = sha256(file.read_bytes()).hexdigest()
    with zipfile.ZipFile(file) as archive:
        root = _component(_OWN, _own_version(archive), ComponentType.APPLICATION, digest)
        packages = sorted(_packages(archive, root), key=lambda component: component.name)
    bom = Bom(components=packages, serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"urn:sha256:{digest}"))
    bom.metadata.timestamp = time
    bom.metadata.component = root
    bom.register_dependency(root, packages)
    out.write_text(JsonV1Dot6(bom).output_as_string(indent=2) + "\n", encoding="utf-8")


def _packages(archive: zipfile.ZipFile, root: Component) -> Iterable[Component]:
    """Return a component for each package, with the native files of all targets below it; our own are `root`'s."""
    found: dict[str, Component] = {}
    native: dict[str, tuple[str, str]] = {}
    with zipfile.ZipFile(archive.open("packages.zip")) as common:
        for source, digest, path in _files(archive):
            if path.endswith(".dist-info/METADATA"):
                data = common.read(path) if source == "packages" else _read(archive, source, digest, path)
                component = _package(BytesHeaderParser().parsebytes(data))
                found[component.name] = component
            elif _is_native(path):
                native[digest] = (path, path.split("/", 1)[0].split(".")[0])
    for digest, (path, package) in sorted(native.items()):
        component = _component(PurePosixPath(path).name, None, ComponentType.FILE, digest)
        if (library := licences.library(path)) is not None:
            component.licenses.add(LicenseFactory().make_from_string(licences.LICENCES[library][1]))
        (root if package in {_OWN, licences.COMPILED} else found[package]).components.add(component)
    return found.values()


def _files(archive: zipfile.ZipFile) -> Iterator[tuple[str, str, str]]:
    """Yield each file of each set once: where it lies, its hash, its path."""
    seen: set[tuple[str, str, str]] = set()
    for name in archive.namelist():
        if name.startswith("targets/"):
            for line in archive.read(name).decode().splitlines():
                digest, _, source, path = line.split(" ", 3)
                seen.add((source, digest, path))
    yield from sorted(seen)


def _read(archive: zipfile.ZipFile, source: str, digest: str, path: str) -> bytes:
    return archive.read(path if source == "front" else f"blobs/{digest}")


def _is_native(path: str) -> bool:
    name = PurePosixPath(path).name
    return ".so" in name or name.endswith(".dylib")


def _package(metadata: Message) -> Component:
    name, version = metadata["Name"], metadata["Version"]
    component = _component(name, version, ComponentType.LIBRARY, None)
    component.purl = PackageURL("pypi", None, name.lower().replace("_", "-"), version)
    component.bom_ref.value = component.purl.to_string()
    component.description = metadata["Summary"]
    if licence := _licence(metadata):
        component.licenses.add(LicenseFactory().make_from_string(licence))
    return component


def _licence(metadata: Message) -> str:
    """Return what the package says its licence is, in the newest of the three ways to say it."""
    if said := metadata["License-Expression"] or metadata["License"]:
        return str(said).splitlines()[0]
    classifiers = [str(line) for line in metadata.get_all("Classifier", [])]
    licences = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: ")]
    return licences[0] if licences else ""


def _component(name: str, version: str | None, kind: ComponentType, digest: str | None) -> Component:
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest)] if digest else []
    return Component(name=name, version=version, type=kind, hashes=hashes, bom_ref=digest or name)


def _own_version(archive: zipfile.ZipFile) -> str:
    return archive.read("dispatcher/__init__.py").decode().split('__version__ = "', 1)[1].split('"', 1)[0]


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]), datetime.fromisoformat(sys.argv[3]))
