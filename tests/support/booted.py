"""A Debian system of `build.py test --matrix`, booted: systemd is process 1 there, in namespaces of its own."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a container manager does: private mounts, devices, cgroups, and a root that nothing lies above.
_BOOT = """
set -e
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for device in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "dev/${device%:*}" c 1 "${device#*:}"; done
mknod -m 666 dev/tty c 5 0
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
mkdir dev/shm dev/pts dev/mqueue dev/hugepages
mount -t tmpfs tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t mqueue mqueue dev/mqueue
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
ip link set lo up
mkdir -p above
pivot_root . above
umount -l /above
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --log-target=journal --show-status=no
"""
_NAMESPACES = ("--pid", "--fork", "--mount", "--cgroup", "--uts", "--ipc", "--net", "--kill-child")
BOOT_SECONDS = 60.0


class Booted:
    """A system that runs; its first process is known here by `pid`."""

    def __init__(self, pid: int) -> None:
        """Name the process that is 1 in there."""
        self._enter = ["nsenter", f"--target={pid}", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup"]
        self._enter += [f"--root=/proc/{pid}/root", f"--wd=/proc/{pid}/root"]
        self._enter += ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in there."""
        return subprocess.Popen([*self._enter, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *command: str) -> str:
        """Run a command in there, which must end well, and return what it prints."""
        done = subprocess.run([*self._enter, *command], capture_output=True, text=True, check=False, timeout=120)
        assert 0 == done.returncode, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def property(self, unit: str, name: str) -> str:
        """Return a property of a unit, as systemd says it now."""
        return self.run("systemctl", "show", unit, "--property", name, "--value").strip()

    def until(self, unit: str, name: str, value: str, seconds: float = 60.0) -> None:
        """Wait until a property of a unit has this value."""
        eventually(lambda: self.property(unit, name) == value, f"{name} of {unit} is {value!r}", seconds=seconds)


@contextlib.contextmanager
def booted(root: Path) -> Iterator[Booted]:
    """Boot the system at `root` for the length of a block."""
    with subprocess.Popen(["unshare", *_NAMESPACES, "sh", "-c", _BOOT, "sh", str(root)]) as process:
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            eventually(lambda: bool(children.read_text().strip()), "the system has its first process")
            first = int(children.read_text())
            program = Path(f"/proc/{first}/comm")
            eventually(lambda: program.read_text().strip() == "systemd", "systemd runs", seconds=BOOT_SECONDS)
            system = Booted(first)
            # What cannot work in a container leaves it degraded.
            eventually(lambda: _is_up(system), "the system is up", seconds=BOOT_SECONDS)
            yield system
        finally:
            process.kill()


def _is_up(system: Booted) -> bool:
    with system.start("systemctl", "is-system-running") as asked:
        return asked.communicate()[0].strip() in {"running", "degraded"}
