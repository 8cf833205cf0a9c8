"""Network namespaces for tests: real IPv6 addresses, links that go down and names of our own, without a trace outside.

`enter_private_network` moves this process (pytest, while it has one thread) and so all its children; a `Host` is
another machine, held by a process that ends when its stdin does. Needs root, or a kernel that gives ordinary users
namespaces; where neither is so, `NoNamespaceError` says why. A pytest that is started from a moved one is in the same
network, and knows it by the environment: it could not mount its names over ours, whose files have no name any more.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000

RUN_TIMEOUT = 30.0
"""Seconds that one `ip` or other short command may take."""

_BASE_HOSTS = {"localhost": ["127.0.0.1", "::1"]}
_RESOLV_CONF = "nameserver 127.0.0.1\noptions attempts:1 timeout:1\n"
_NSSWITCH = "hosts: files dns\n"
_MARK = "TESTS_NETWORK"
"""Names in the environment the network that this process or its parent has moved to."""

_libc = ctypes.CDLL(None, use_errno=True)


class NoNamespaceError(Exception):
    """This process cannot have a network of its own; the text says why."""


def _network() -> str:
    """Return what the kernel calls the network that this process is in."""
    return str(Path("/proc/self/ns/net").stat().st_ino)


_entered = Path("/proc/self/ns/net").exists() and os.environ.get(_MARK) == _network()


def in_private_network() -> bool:
    """Say whether this process has moved."""
    return _entered


def enter_private_network() -> None:
    """Move this process and its later children into a new network namespace with lo up and names of its own.

    It cannot go back; a second call does nothing. DNS fails at once: nothing listens where resolv.conf points.

    Raises:
        NoNamespaceError: no right to it, more than one thread, or no iproute2.
    """
    global _entered  # noqa: PLW0603 - a process has one network, and cannot leave it
    if _entered:
        return
    _require_one_thread()
    flags = CLONE_NEWNET | CLONE_NEWNS
    if os.geteuid() != 0:
        _unshare_as_user(flags)
    else:
        _unshare(flags)
    _mount("none", "/", MS_REC | MS_PRIVATE)
    _replace_file("/etc/resolv.conf", _RESOLV_CONF)
    _replace_file("/etc/nsswitch.conf", _NSSWITCH)
    _replace_file("/etc/hosts", "")
    _entered = True
    os.environ[_MARK] = _network()
    set_hosts({})
    try:
        THIS.link_up("lo")
    except (OSError, subprocess.SubprocessError) as error:
        raise NoNamespaceError(f"iproute2 does not work here: {error}") from error


def set_hosts(names: Mapping[str, Iterable[str]]) -> None:
    """Make these names, and localhost, the only ones that resolve here: ``{"v4only.test": ["192.0.2.1"]}``."""
    assert _entered, "outside the private network this would overwrite the machine's own names"
    table = {**_BASE_HOSTS, **names}
    lines = [f"{address} {name}\n" for name, addresses in table.items() for address in addresses]
    Path("/etc/hosts").write_text("".join(lines))


class Machine:
    """One end of a network: the current namespace, or, as a `Host`, another."""

    pid: int | None = None
    """The process whose network this is; None is our own."""

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs `argv` in this machine's network."""
        assert _entered, "call enter_private_network first"
        return list(argv)

    def run(self, argv: Sequence[str], *, stdin: str = "") -> str:
        """Run a short command to its end and return its stdout; a failure raises with its stderr as a note."""
        try:
            done = subprocess.run(
                self.argv(argv), input=stdin, capture_output=True, text=True, timeout=RUN_TIMEOUT, check=True
            )
        except subprocess.CalledProcessError as error:
            error.add_note(error.stderr)
            raise
        return done.stdout

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a process in this machine's network; `options` are those of `subprocess.Popen`."""
        return subprocess.Popen(self.argv(argv), **options)

    def add_addresses(
        self, interface: str, addresses: Iterable[str], *, nodad: bool = True, options: Sequence[str] = ()
    ) -> None:
        """Add addresses (/128 unless they say otherwise), usable at once with `nodad`.

        `options` go to ``ip -6 addr add`` behind the address, such as ``["preferred_lft", "0"]``.
        """
        words = " ".join([*options, *(["nodad"] if nodad else [])])
        self._ip_batch(f"addr add {_with_length(address)} dev {interface} {words}" for address in addresses)

    def remove_addresses(self, interface: str, addresses: Iterable[str]) -> None:
        """Remove addresses."""
        self._ip_batch(f"addr del {_with_length(address)} dev {interface}" for address in addresses)

    def remove_address(self, interface: str, address: str) -> None:
        """Remove one address."""
        self.remove_addresses(interface, [address])

    def add_route(self, prefix: str, *, via: str | None = None, dev: str | None = None) -> None:
        """Add a route, such as ``("2001:db8:9::/64", via="2001:db8:f::1")``."""
        words = [*(["via", via] if via else []), *(["dev", dev] if dev else [])]
        self.run(["ip", "-6", "route", "add", prefix, *words])

    def link_up(self, interface: str) -> None:
        """Switch an interface on."""
        self.run(["ip", "link", "set", interface, "up"])

    def link_down(self, interface: str) -> None:
        """Switch an interface off; the other end of a veth pair loses its carrier."""
        self.run(["ip", "link", "set", interface, "down"])

    def sysctl(self, name: str, value: int) -> None:
        """Set one value under /proc/sys/net, such as ``ipv6/conf/veth0/keep_addr_on_down``."""
        self.run(["tee", f"/proc/sys/net/{name}"], stdin=str(value))

    def _ip_batch(self, lines: Iterable[str]) -> None:
        self.run(["ip", "-6", "-batch", "-"], stdin="".join(f"{line}\n" for line in lines))


class Host(Machine):
    """Another machine: a network namespace that lives until `close`, as long as its holder process."""

    def __init__(self) -> None:
        """Make the namespace and wait until its lo is up."""
        super().__init__()
        self._holder = subprocess.Popen(
            super().argv(["unshare", "-n", "sh", "-c", "ip link set lo up && echo up && exec cat"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pid = self._holder.pid
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"up\n":
            self.close()
            raise NoNamespaceError("unshare -n does not work here")

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs `argv` in this machine's network."""
        return ["nsenter", "-t", str(self.pid), "-n", "--", *argv]

    def close(self) -> None:
        """End the machine, and its veth pairs at once: the kernel alone would take them away a little later."""
        if self._holder.poll() is None:
            for line in self.run(["ip", "-o", "link", "show", "type", "veth"]).splitlines():
                self.run(["ip", "link", "del", line.split()[1].partition("@")[0]])
        self._holder.communicate(timeout=RUN_TIMEOUT)

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


THIS = Machine()
"""The namespace that this process is in."""


def connect(
    a: Machine,
    b: Machine,
    *,
    interfaces: tuple[str, str],
    a_addresses: Iterable[str] = (),
    b_addresses: Iterable[str] = (),
    nodad: bool = True,
    keep_addresses: bool = False,
) -> None:
    """Join two machines by a veth pair that is up; `interfaces` name the ends at `a` and at `b`.

    With `keep_addresses` the addresses outlive `link_down`; the kernel drops them otherwise.
    """
    at_a, at_b = interfaces
    ends = ["ip", "link", "add", at_a, *_netns(a), "type", "veth", "peer", "name", at_b, *_netns(b)]
    THIS.run(ends)
    for machine, interface, addresses in ((a, at_a, a_addresses), (b, at_b, b_addresses)):
        if keep_addresses:
            machine.sysctl(f"ipv6/conf/{interface}/keep_addr_on_down", 1)
        machine.link_up(interface)
        machine.add_addresses(interface, addresses, nodad=nodad)


def add_addresses(interface: str, addresses: Iterable[str], *, nodad: bool = True, options: Sequence[str] = ()) -> None:
    """`Machine.add_addresses` in the current namespace."""
    THIS.add_addresses(interface, addresses, nodad=nodad, options=options)


def remove_address(interface: str, address: str) -> None:
    """`Machine.remove_address` in the current namespace."""
    THIS.remove_address(interface, address)


def _netns(machine: Machine) -> list[str]:
    return ["netns", str(machine.pid or os.getpid())]


def _with_length(address: str) -> str:
    return address if "/" in address else f"{address}/128"


def _require_one_thread() -> None:
    threads = len(list(Path("/proc/self/task").iterdir())) if Path("/proc/self/task").is_dir() else 0
    if threads != 1:
        raise NoNamespaceError(f"this process has {threads} threads; only one with a single thread can move")


def _unshare(flags: int) -> None:
    if _libc.unshare(flags) != 0:
        raise NoNamespaceError(f"unshare: {os.strerror(ctypes.get_errno())}")


def _unshare_as_user(flags: int) -> None:
    """Become root of a user namespace of our own: an `ip` that is executed there keeps its rights only as uid 0."""
    uid, gid = os.geteuid(), os.getegid()
    _unshare(flags | CLONE_NEWUSER)
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        raise NoNamespaceError(f"the user namespace takes no map: {error}") from error


def _mount(source: str, target: str, flags: int) -> None:
    if _libc.mount(source.encode(), target.encode(), None, ctypes.c_ulong(flags), None) != 0:
        raise NoNamespaceError(f"mount over {target}: {os.strerror(ctypes.get_errno())}")


def _replace_file(path: str, content: str) -> None:
    """Mount a file of ours over `path`. Its own name is removed at once: only the mount keeps it."""
    if not Path(path).exists():
        return
    with tempfile.NamedTemporaryFile("w") as ours:
        ours.write(content)
        ours.flush()
        Path(ours.name).chmod(0o644)
        _mount(ours.name, path, MS_BIND)
