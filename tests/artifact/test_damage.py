"""Damage in the cache is repaired, damage in the file is said in a line."""

from __future__ import annotations

import os
import zipfile
from typing import TYPE_CHECKING

import pytest

from dispatcher.bootstrap import target_tag
from tests.artifact.conftest import OTHERS, THIS, every_python

if TYPE_CHECKING:
    from pathlib import Path

    from tests.artifact.conftest import Gateway


def cut(path: Path) -> None:
    """Leave the first half, as a full disk does."""
    with path.open("rb+") as stream:
        stream.truncate(path.stat().st_size // 2)


def change_a_byte(path: Path) -> None:
    """Change what is in the file but not its size."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def put_a_link(path: Path) -> None:
    """Put a link to the same content in its place."""
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


def open_to_others(path: Path) -> None:
    """Let others write to it."""
    path.chmod(0o666)


DAMAGE = {
    "pycurl/_pycurl.*.so": [cut, change_a_byte, put_a_link, open_to_others, os.unlink],
    "pycurl.libs/libcurl-*": [cut],
    "tornado/web.py": [change_a_byte],
    "tornado/__pycache__/web.*.pyc": [cut, os.unlink],
    "index": [cut, os.unlink],
}


@pytest.mark.parametrize(
    ("gateway", "victim"),
    [*((THIS, victim) for victim in DAMAGE), *((other, "tornado/web.py") for other in OTHERS)],
    indirect=["gateway"],
)
def test_a_damaged_file_in_the_cache_is_made_anew(gateway: Gateway, probe: Path, victim: str) -> None:
    whole = gateway.report(probe)
    [folder] = gateway.sets
    contents = contents_of(folder)
    for damage in DAMAGE[victim]:
        [path] = folder.glob(victim)
        damage(path)
        assert whole == gateway.report(probe), damage.__name__
        assert [folder] == gateway.sets
        assert contents == contents_of(folder)


def contents_of(folder: Path) -> dict[Path, bytes]:
    """Return the content of every file below `folder`."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_set_that_others_may_enter_is_made_anew(gateway: Gateway, probe: Path) -> None:
    gateway.report(probe)
    [folder] = gateway.sets
    folder.chmod(0o777)
    gateway.report(probe)
    assert 0o700 == folder.stat().st_mode & 0o777


def largest(archive: zipfile.ZipFile, member: str, gateway: Gateway) -> zipfile.ZipInfo:
    """Find the largest that is named so: of the gateway's native files that is a library which every Python needs."""
    named = (info for info in archive.infolist() if info.filename.startswith(member))
    return max((info for info in named if is_of(gateway, archive.read(info))), key=lambda info: info.file_size)


def is_of(gateway: Gateway, content: bytes) -> bool:
    """Say whether a file may be the gateway's: in ELF the 19th byte names the processor, and 0xB7 is aarch64."""
    other = gateway.python.endswith("aarch64")
    return not content.startswith(b"\x7fELF") or other == (content[18] == 0xB7) or "aarch64" in target_tag()


def flip_in(file: Path, member: str, target: Path, gateway: Gateway) -> None:
    """Copy `file` to `target` with one bit of that member changed."""
    with zipfile.ZipFile(file) as archive:
        info = largest(archive, member, gateway)
    data = bytearray(file.read_bytes())
    data[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 0x01
    target.write_bytes(data)


@every_python
@pytest.mark.parametrize("member", ["blobs/", "packages.zip", "dispatcher/errors.py", "docopt/__init__.py"])
def test_a_damaged_file_is_refused_in_one_line(gateway: Gateway, probe: Path, tmp_path: Path, member: str) -> None:
    damaged = tmp_path / "damaged.pyz"
    flip_in(probe, member, damaged, gateway)
    done = gateway.run(damaged)
    assert 2 == done.returncode
    assert 1 == done.stderr.count("\n")
    assert f"{damaged} is damaged" in done.stderr
    assert [] == gateway.sets


@pytest.mark.parametrize("member", ["__init__", "bootstrap", "packaging/unpack", "packaging/prune"])
def test_damage_where_nothing_could_notice_it_later_is_noticed_first(
    gateway: Gateway, probe: Path, tmp_path: Path, member: str
) -> None:
    damaged = tmp_path / "damaged.pyz"
    flip_in(probe, f"dispatcher/{member}.py", damaged, gateway)
    done = gateway.run(damaged, "--version")
    assert (2, "") == (done.returncode, done.stdout)
    how = "copy it again and compare its SHA-256 with the published one"
    assert f"{damaged} is damaged (dispatcher/{member}.py has the wrong content); {how}\n" == done.stderr


@pytest.mark.parametrize("member", ["blobs/", "dispatcher/errors.py"])
def test_a_file_with_exchanged_content_is_refused(gateway: Gateway, probe: Path, tmp_path: Path, member: str) -> None:
    exchanged = tmp_path / "exchanged.pyz"
    with zipfile.ZipFile(probe) as archive, zipfile.ZipFile(exchanged, "w") as copy:
        victim = largest(archive, member, gateway).filename
        for name in archive.namelist():
            copy.writestr(name, b"# other content, in a correct zip\n" if name == victim else archive.read(name))
    done = gateway.run(exchanged)
    assert 2 == done.returncode
    assert "has the wrong content" in done.stderr
    assert [] == gateway.sets


def test_an_older_damage_does_not_stop_a_set_that_is_already_unpacked(
    gateway: Gateway, probe: Path, tmp_path: Path
) -> None:
    whole = gateway.report(probe)
    damaged = tmp_path / "damaged.pyz"
    flip_in(probe, "blobs/", damaged, gateway)
    assert whole["modules"] == gateway.report(damaged)["modules"]
