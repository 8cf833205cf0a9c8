"""Makes a Python on Linux look like one on macOS: Python loads this module by itself where its folder is in PYTHONPATH.

What only Linux has is gone, /proc too. kqueue is there, made of epoll; sockets have no inodes; the C library lists
addresses in macOS's layout, and gives their flags by its ioctl and its numbers.
"""

from __future__ import annotations

import _scproxy  # noqa: F401  here, since the one file takes PYTHONPATH out of the way of imports
import _socket
import ctypes
import errno
import fcntl
import functools
import importlib
import os
import select
import selectors
import socket
import stat
import struct
import sys
import time
from typing import Any, NamedTuple

MISSING = {
    socket: ("AF_NETLINK", "NETLINK_ROUTE", "SOCK_NONBLOCK", "SOCK_CLOEXEC", "SO_BINDTODEVICE", "TCP_USER_TIMEOUT"),
    _socket: ("AF_NETLINK", "NETLINK_ROUTE", "SOCK_NONBLOCK", "SOCK_CLOEXEC", "SO_BINDTODEVICE", "TCP_USER_TIMEOUT"),
    os: ("memfd_create", "sched_getaffinity", "eventfd", "pidfd_open", "pipe2", "splice", "fdatasync", "getrandom"),
    select: ("epoll",),
}
"""What this program or the modules that it stands on might use, and macOS lacks."""

_SIOCGIFAFLAG_IN6 = 0xC1206949
_LINUX_START, _DARWIN_START = struct.pack("=H", 10), bytes((28, 30))
_DARWIN_FLAGS = {0x01: 0x0080, 0x08: 0x0004, 0x20: 0x0010, 0x40: 0x0002}  # temporary, duplicated, deprecated, tentative
_ENTRY = struct.Struct("@PPIPPPP")

_epoll = select.epoll
_fstat = os.fstat
_ioctl = fcntl.ioctl
_flags = os.open("/proc/self/net/if_inet6", os.O_RDONLY | os.O_CLOEXEC)


class kevent(NamedTuple):  # noqa: N801 - its name in `select`
    """An interest, or what came of it."""

    ident: int
    filter: int
    flags: int = 0


class kqueue:  # noqa: N801 - its name in `select`
    """The part of a kqueue that `selectors` uses: it tells of reading and of writing by an event each."""

    def __init__(self) -> None:
        self._epoll = _epoll()
        self._interests: dict[int, int] = {}

    def fileno(self) -> int:
        """A descriptor that is readable while there are events: one kqueue can be in another."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Close it."""
        self._epoll.close()

    def control(self, changes: list[kevent] | None, most: int, timeout: float | None = None) -> list[kevent]:
        """Change interests, then wait for events."""
        for change in changes or ():
            self._change(change)
        if most == 0:
            return []
        found = []
        for fd, events in self._epoll.poll(timeout, most):
            for event in (select.EPOLLIN, select.EPOLLOUT):
                is_wanted = self._interests.get(fd, 0) & event
                if is_wanted and events & (event | select.EPOLLHUP | select.EPOLLERR):
                    found.append(kevent(fd, event))
        return found[:most]

    def _change(self, change: kevent) -> None:
        before = self._interests.get(change.ident, 0)
        if change.flags & select.KQ_EV_DELETE:
            if not before & change.filter:
                raise OSError(errno.ENOENT, "No such file or directory")
            after = before & ~change.filter
        else:
            after = before | change.filter
        self._interests[change.ident] = after
        if not after:
            self._epoll.unregister(change.ident)
        elif before:
            self._epoll.modify(change.ident, after)
        else:
            self._epoll.register(change.ident, after)


class Library(ctypes.CDLL):
    """The C library, whose list of addresses is laid out as macOS does it."""

    def __init__(self, name: str | None, **options: Any) -> None:
        """Load it."""
        super().__init__(name, **options)
        self.getifaddrs = functools.partial(_list_as_macos, self["getifaddrs"])


def _list_as_macos(getifaddrs: Any, first: Any) -> int:
    status: int = getifaddrs(first)
    place = first._obj.value
    while status == 0 and place:
        place, _, _, address, *_ = _ENTRY.unpack(ctypes.string_at(place, _ENTRY.size))
        if address and ctypes.string_at(address, 2) == _LINUX_START:
            ctypes.memmove(address, _DARWIN_START, 2)
    return status


def ioctl(file: Any, code: int, request: Any = 0, *more: Any) -> Any:
    """Answer what macOS is asked about an address."""
    if code != _SIOCGIFAFLAG_IN6:
        return _ioctl(file, code, request, *more)
    assert (288, _DARWIN_START) == (len(request), request[16:18])
    wanted = request[24:40].hex()
    if wanted not in _known or time.monotonic() > _known_until[0]:
        _read_flags()
    if wanted not in _known:
        raise OSError(errno.EADDRNOTAVAIL, "Can't assign requested address")
    found = sum(darwin for linux, darwin in _DARWIN_FLAGS.items() if _known[wanted] & linux)
    return request[:16] + struct.pack("=I", found) + request[20:]


_known: dict[str, int] = {}
_known_until = [0.0]


def _read_flags() -> None:
    """Read the flags of all addresses, once for all that are asked for together: there may be thousands."""
    _known.clear()
    os.lseek(_flags, 0, os.SEEK_SET)
    with open(_flags, encoding="ascii", closefd=False) as lines:
        for line in lines:
            raw, _, _, _, flags, _ = line.split()
            _known[raw] = int(flags, 16)
    _known_until[0] = time.monotonic() + 0.1


def fstat(fd: int) -> os.stat_result:
    """Give sockets no inode."""
    found = _fstat(fd)
    return os.stat_result((found[0], 0, *found[2:])) if stat.S_ISSOCK(found.st_mode) else found


def refuse_proc(event: str, arguments: tuple[Any, ...]) -> None:
    """Let nothing below /proc be opened."""
    if event == "open" and str(arguments[0]).startswith("/proc/"):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", arguments[0])


for module, names in MISSING.items():
    for each in names:
        if hasattr(module, each):
            delattr(module, each)
fakes = {
    "kqueue": kqueue,
    "kevent": kevent,
    "KQ_FILTER_READ": select.EPOLLIN,
    "KQ_FILTER_WRITE": select.EPOLLOUT,
    "KQ_EV_ADD": 1,
    "KQ_EV_DELETE": 2,
}
for each, fake in fakes.items():
    setattr(select, each, fake)
fcntl.ioctl = ioctl
os.fstat = fstat
if hasattr(os, "process_cpu_count"):  # from Python 3.13 on; Linux's asks for the affinity
    os.process_cpu_count = os.cpu_count
ctypes.CDLL = Library
importlib.reload(selectors)
sys.platform = "darwin"
sys.addaudithook(refuse_proc)
