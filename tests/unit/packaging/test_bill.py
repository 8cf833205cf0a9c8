"""The bill of materials tells what is in the file, and the same every time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from dispatcher.packaging import bill, pack

if TYPE_CHECKING:
    from pathlib import Path

TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SOURCES = {"dispatcher/__init__.py": b'__version__ = "1.2.3+gabc"\n'}


def metadata(name: str, *lines: str) -> bytes:
    """Return the METADATA of a package."""
    return "\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 2", "Summary: does", *lines, "", ""]).encode()


PURE = {
    "docopt_ng-2.dist-info/METADATA": metadata("docopt-ng", "License: MIT"),
    "pure_one-2.dist-info/METADATA": metadata("Pure_One", "License-Expression: MIT OR Apache-2.0"),
    "plain-2.dist-info/METADATA": metadata("plain", "Classifier: License :: OSI Approved :: MIT License"),
    "native-2.dist-info/METADATA": metadata("native"),
}
ONE = PURE | {"native/x.so": b"\x7fELF one", "native.libs/libz.so.1": b"\x7fELF z"}
OTHER = PURE | {"native/x.dylib": b"mach-o", "native.libs/libz.so.1": b"\x7fELF z"}


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, str]:
    """Return a packed file and the bill of it."""
    file = tmp_path / "dispatcher.pyz"
    pack.pack(file, SOURCES, {"one": ONE, "other": OTHER}, "inputs")
    bill.write(file, tmp_path / "bill.json", TIME)
    return file, (tmp_path / "bill.json").read_text()


def named(components: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return components by name."""
    return {component["name"]: component for component in components}


def test_every_package_is_told_with_version_address_and_licence(written: tuple[Path, str]) -> None:
    packages = named(json.loads(written[1])["components"])
    assert ["Pure_One", "docopt-ng", "native", "plain"] == sorted(packages)
    assert {"2"} == {package["version"] for package in packages.values()}
    assert "pkg:pypi/pure-one@2" == packages["Pure_One"]["purl"]
    assert [{"expression": "MIT OR Apache-2.0"}] == packages["Pure_One"]["licenses"]
    assert [{"license": {"id": "MIT"}}] == packages["docopt-ng"]["licenses"]
    assert [{"license": {"name": "MIT License"}}] == packages["plain"]["licenses"]
    assert "licenses" not in packages["native"]


def test_native_files_of_all_targets_are_told_once_below_their_package(written: tuple[Path, str]) -> None:
    files = named(named(json.loads(written[1])["components"])["native"]["components"])
    contents = {"x.so": b"\x7fELF one", "libz.so.1": b"\x7fELF z", "x.dylib": b"mach-o"}
    assert {name: sha256(data).hexdigest() for name, data in contents.items()} == {
        name: file["hashes"][0]["content"] for name, file in files.items()
    }


def test_it_is_about_this_file_and_its_commit(written: tuple[Path, str]) -> None:
    about = json.loads(written[1])["metadata"]
    assert "1.2.3+gabc" == about["component"]["version"]
    assert sha256(written[0].read_bytes()).hexdigest() == about["component"]["hashes"][0]["content"]
    assert "2026-01-02T03:04:05+00:00" == about["timestamp"]


def test_the_same_file_gives_the_same_bill(written: tuple[Path, str], tmp_path: Path) -> None:
    bill.write(written[0], tmp_path / "again.json", TIME)
    assert written[1] == (tmp_path / "again.json").read_text()


def test_it_is_what_the_standard_asks_for(written: tuple[Path, str]) -> None:
    assert None is JsonStrictValidator(SchemaVersion.V1_6).validate_str(written[1])
