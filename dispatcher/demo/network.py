"""Addresses for the demo: a network namespace of its own with a few of them, so that nothing outside is touched.

Linux gives one to root, and on most machines to ordinary users. Where it does not, the demo makes do with ``::1``.
Standard library only: a gateway need not have iproute2.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import ipaddress
import os
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

_SIOCSIFFLAGS = 0x8914
_IFF_UP_RUNNING = 0x41
_RTM_NEWADDR = 20
_REQUEST_CREATE_ACK = 0x1 | 0x4 | 0x400
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_IFA_F_NODAD = 0x02
_LOOPBACK_INDEX = 1
_NOT_LINUX = OSError(errno.ENOSYS, "it is not Linux")

SOURCES = tuple(f"2001:db8:1::{number}" for number in range(1, 7))
TARGET = "2001:db8:f::1"


@dataclass(frozen=True, slots=True)
class DemoNetwork:
    """What the demo may use: source addresses for each agent, and where its target listens."""

    agents: dict[str, tuple[str, ...]]
    target: str
    note: str


def prepare() -> DemoNetwork:
    """Move this process into a network of its own if that can be; it must still have one thread.

    Raises:
        OSError: there is no IPv6 here at all.
    """
    try:
        _enter_namespace()
        _bring_up_loopback()
        for address in (*SOURCES, TARGET):
            _add_address(address)
    except (OSError, AttributeError) as error:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        reason = getattr(error, "strerror", None) or str(error)
        note = f"this machine gives no network namespace ({reason}), so both agents share ::1"
        return DemoNetwork({"agent-01": ("::1",), "agent-02": ("::1",)}, "::1", note)
    note = f"a network namespace of its own with {len(SOURCES)} source addresses; nothing outside is touched"
    return DemoNetwork({"agent-01": SOURCES[:3], "agent-02": SOURCES[3:]}, TARGET, note)


def _enter_namespace() -> None:
    if sys.platform != "linux":
        raise _NOT_LINUX
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    flags = CLONE_NEWNET if user == 0 else CLONE_NEWNET | CLONE_NEWUSER
    if libc.unshare(flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP_RUNNING))


def _add_address(address: str) -> None:
    """Add an address to lo by one rtnetlink message, usable at once."""
    if sys.platform != "linux":
        raise _NOT_LINUX
    packed = ipaddress.IPv6Address(address).packed
    body = struct.pack("=BBBBi", socket.AF_INET6, 128, _IFA_F_NODAD, 0, _LOOPBACK_INDEX)
    for kind, value in ((_IFA_LOCAL, packed), (_IFA_ADDRESS, packed), (_IFA_FLAGS, struct.pack("=I", _IFA_F_NODAD))):
        body += struct.pack("=HH", 4 + len(value), kind) + value
    header = struct.pack("=IHHII", 16 + len(body), _RTM_NEWADDR, _REQUEST_CREATE_ACK, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as route:
        route.send(header + body)
        (code,) = struct.unpack_from("=i", route.recv(4096), 16)
    if code != 0:
        raise OSError(-code, os.strerror(-code))
