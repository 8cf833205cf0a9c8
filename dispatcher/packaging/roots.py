"""Pythons that this machine does not have: in Debian systems of other releases and processors. Runs at build time only.

`debootstrap` makes each below one folder, once; it needs root, Debian's packages and, for another processor,
`qemu-user-static` and the kernel's binfmt_misc. What may surprise: a Python in there is used as if it were this
machine's own. A small program stands for it that enters the system with our folders mounted where they are, so that a
test notices nothing but the Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dispatcher.errors import DispatcherError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

MIRROR = "http://deb.debian.org/debian"
_PACKAGES = ("ca-certificates", "dbus", "iproute2", "python3", "systemd", "systemd-sysv", "util-linux")
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
# The start of an ELF file for aarch64, and which of its bits count; F opens the emulator now, before any chroot.
_AARCH64 = (
    r":qemu-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    r":\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:{emulator}:F"
)

_PROGRAM = """\
#!/bin/sh
# Python {python} of a Debian system in {root}, with this machine's folders, network and users.
exec unshare --mount sh -c '
root=$1; shift
for folder in proc dev sys tmp var/tmp {shared}; do
  mkdir -p "$root/$folder" && mount --rbind "/$folder" "$root/$folder" || exit 125
done
exec chroot "$root" sh -c "cd \\"\\$0\\" && exec \\"\\$@\\"" "$PWD" "$@"
' sh '{root}' /usr/bin/python{python} "$@"
"""


@dataclass(frozen=True, slots=True)
class Root:
    """A Debian system: its release and processor, and the Pythons that it has, by the names they get here."""

    name: str
    suite: str
    architecture: str
    pythons: dict[str, str]


ROOTS = (
    Root("trixie", "trixie", "amd64", {"python3.13": "3.13"}),
    Root("sid", "sid", "amd64", {"python3.14": "3.14", "python3.15": "3.15"}),
    Root("trixie-arm64", "trixie", "arm64", {"python3.13-aarch64": "3.13"}),
)
"""Every Python from 3.13 on, and one on the other processor. Sid's Pythons change with time."""


def make(folder: Path, shared: Path, roots: tuple[Root, ...] = ROOTS) -> Path:
    """Make the systems below `folder`, unless they are there, and return a folder of programs named like Pythons.

    In each of them `shared` (absolute), the temporary folders and /proc, /dev, /sys are this machine's. Some 400 MB
    and a minute each, eight minutes for the other processor.

    Raises:
        SettingsError: something is missing here; the text says what.
        DispatcherError: debootstrap failed; it has said why.
    """
    if os.geteuid() != 0:
        raise SettingsError("debootstrap, chroot and mount need root")
    programs = folder / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    for root in roots:
        _make(folder / root.name, root)
        for name, text in _programs(folder / root.name, root, shared):
            (programs / name).write_text(text, encoding="utf-8")
            (programs / name).chmod(0o755)
    return programs


def _make(place: Path, root: Root) -> None:
    if root.architecture == "arm64":
        _emulate()
    if place.is_dir():
        return
    if shutil.which("debootstrap") is None:
        raise SettingsError("debootstrap is missing; install it (Debian, Ubuntu: apt-get install debootstrap)")
    new = place.with_name(f"{place.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    packages = (*_PACKAGES, *(f"python{python}-venv" for python in root.pythons.values()))
    include = f"--include={','.join(packages)}"
    _run(["debootstrap", f"--arch={root.architecture}", "--variant=minbase", include, root.suite, str(new), MIRROR])
    new.rename(place)


def _programs(place: Path, root: Root, shared: Path) -> Iterator[tuple[str, str]]:
    for name, python in root.pythons.items():
        yield name, _PROGRAM.format(python=python, root=place, shared=str(shared).lstrip("/"))


def _emulate() -> None:
    """Have the kernel run aarch64 programs through the emulator."""
    emulator = shutil.which("qemu-aarch64-static")
    if emulator is None:
        raise SettingsError("qemu-aarch64-static is missing; install it (Debian: apt-get install qemu-user-static)")
    if not (_BINFMT / "register").exists():
        _run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT)])
    if not (_BINFMT / "qemu-aarch64").exists():
        (_BINFMT / "register").write_text(_AARCH64.format(emulator=emulator))


def _run(command: list[str]) -> None:
    if subprocess.run(command, check=False).returncode:  # noqa: S603  our own command, no shell
        raise DispatcherError(f"failed: {' '.join(command)}")
