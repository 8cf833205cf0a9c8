"""The words of rtnetlink that IPv6 addresses and local routes need, as bytes in and values out; no I/O.

Stands before a request's way: `sources.py` carries the bytes, on the agent's event loop. Layouts are those of
linux/netlink.h, linux/rtnetlink.h and linux/if_addr.h, in the byte order of the machine. A message is taken whole or
not at all: bytes that do not add up raise, since a wrong address is worse than asking the kernel again.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

RTMGRP_IPV6_IFADDR = 0x100
"""The multicast group that tells of every change to an IPv6 address."""

RTMGRP_IPV6_ROUTE = 0x400
"""The multicast group that tells of every change to an IPv6 route."""

NLMSG_NOOP = 1
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLMSG_OVERRUN = 4
RTM_NEWADDR = 20
RTM_DELADDR = 21
RTM_GETADDR = 22
RTM_NEWROUTE = 24
RTM_DELROUTE = 25
_RTM_GETROUTE = 26

_NLM_F_REQUEST = 0x01
_NLM_F_DUMP_INTR = 0x10
_NLM_F_DUMP = 0x300

_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_CACHEINFO = 6
_IFA_FLAGS = 8
_RTA_DST = 1
_ATTRIBUTE_TYPE = 0x3FFF  # the upper two bits are NLA_F_NESTED and NLA_F_NET_BYTEORDER

_RTN_LOCAL = 2  # a route whose destinations are the machine's own
_AF_INET6 = 10  # Linux's number: a recorded message reads the same everywhere
_FOREVER = 0xFFFFFFFF

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags (low 8 bits), scope, interface index
# Family, lengths of destination and source, TOS, table, protocol, scope, type, flags.
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_CACHEINFO = struct.Struct("=IIII")  # preferred, valid (seconds), created, updated (1/100 s since boot)
_U32 = struct.Struct("=I")
_S32 = struct.Struct("=i")


class AddressFlag(IntFlag):
    """Flags of an address as linux/if_addr.h numbers them."""

    TEMPORARY = 0x01
    NODAD = 0x02
    OPTIMISTIC = 0x04
    DADFAILED = 0x08
    HOMEADDRESS = 0x10
    DEPRECATED = 0x20
    TENTATIVE = 0x40
    PERMANENT = 0x80
    MANAGETEMPADDR = 0x100
    NOPREFIXROUTE = 0x200
    MCAUTOJOIN = 0x400
    STABLE_PRIVACY = 0x800


class NetlinkError(Exception):
    """The bytes are not what the kernel sends, or the kernel refused; the text says which."""


@dataclass(frozen=True, slots=True)
class KernelAddress:
    """One IPv6 address as the kernel has it: canonical text, where it is, and its `AddressFlag`s as a number.

    Lifetimes are seconds from now, None for ever.
    """

    address: str
    interface_index: int
    prefix_length: int = 128
    scope: int = 0
    flags: int = 0
    preferred_seconds: int | None = None
    valid_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class LocalRoute:
    """A route of type local: the kernel counts all addresses of the prefix as the machine's own."""

    destination: str
    prefix_length: int


@dataclass(frozen=True, slots=True)
class NetlinkMessage:
    """One message: `address` with RTM_NEWADDR and RTM_DELADDR, `route` with RTM_NEWROUTE and RTM_DELROUTE.

    `errno` comes with NLMSG_ERROR and NLMSG_DONE (0: none).
    `interrupted` says that the addresses changed while the kernel listed them: what it listed may lack some.
    """

    type: int
    sequence: int
    interrupted: bool
    address: KernelAddress | None = None
    errno: int = 0
    route: LocalRoute | None = None


def dump_request(sequence: int) -> bytes:
    """Return the request for all IPv6 addresses; its answers carry `sequence` and end with NLMSG_DONE."""
    body = _ADDRESS.pack(_AF_INET6, 0, 0, 0, 0)
    length = _HEADER.size + len(body)
    return _HEADER.pack(length, RTM_GETADDR, _NLM_F_REQUEST | _NLM_F_DUMP, sequence, 0) + body


def route_request(address: str, sequence: int) -> bytes:
    """Return the question where a packet to `address` would go; one answer carries `sequence`.

    Yes, to this machine, is RTM_NEWROUTE with a `route`; an error says that no route is there at all.
    """
    fixed = _ROUTE.pack(_AF_INET6, 128, 0, 0, 0, 0, 0, 0, 0)
    body = fixed + _ATTRIBUTE.pack(_ATTRIBUTE.size + 16, _RTA_DST) + IPv6Address(address).packed
    return _HEADER.pack(_HEADER.size + len(body), _RTM_GETROUTE, _NLM_F_REQUEST, sequence, 0) + body


def parse(data: bytes) -> Iterator[NetlinkMessage]:
    """Read the messages of one datagram; those of other families and types, and routes not local, are left out.

    Raises:
        NetlinkError: a length does not fit, or an address is not one.
    """
    position = 0
    while position < len(data):
        if len(data) - position < _HEADER.size:
            raise NetlinkError(f"{len(data) - position} bytes are left, fewer than a header has")
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, position)
        if not _HEADER.size <= length <= len(data) - position:
            raise NetlinkError(f"a message of {length} bytes does not fit into {len(data) - position}")
        body = data[position + _HEADER.size : position + length]
        message = _message(kind, sequence, bool(flags & _NLM_F_DUMP_INTR), body)
        if message is not None:
            yield message
        position += _aligned(length)


def _message(kind: int, sequence: int, interrupted: bool, body: bytes) -> NetlinkMessage | None:
    if kind in (RTM_NEWADDR, RTM_DELADDR):
        address = _address(body)
        return NetlinkMessage(kind, sequence, interrupted, address) if address else None
    if kind in (RTM_NEWROUTE, RTM_DELROUTE):
        route = _local_route(body)
        return NetlinkMessage(kind, sequence, interrupted, route=route) if route else None
    if kind in (NLMSG_ERROR, NLMSG_DONE):
        return NetlinkMessage(kind, sequence, interrupted, errno=_errno(kind, body))
    if kind == NLMSG_OVERRUN:
        return NetlinkMessage(kind, sequence, interrupted)
    return None


def _errno(kind: int, body: bytes) -> int:
    """Return the error that the kernel gives as a negative number; an old kernel ends a list without one."""
    if kind == NLMSG_DONE and not body:
        return 0
    if len(body) < _S32.size:
        raise NetlinkError(f"an error number has {len(body)} bytes, not {_S32.size}")
    (number,) = _S32.unpack_from(body)
    return -int(number)


def _address(body: bytes) -> KernelAddress | None:
    if len(body) < _ADDRESS.size:
        raise NetlinkError(f"an address message has {len(body)} bytes, fewer than {_ADDRESS.size}")
    family, prefix_length, flags, scope, index = _ADDRESS.unpack_from(body)
    if family != _AF_INET6:
        return None
    found = _attributes(body[_ADDRESS.size :])
    # On a point-to-point link IFA_ADDRESS is the peer's, and IFA_LOCAL ours.
    raw = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS, b"")
    if len(raw) != 16:
        raise NetlinkError(f"an IPv6 address has {len(raw)} bytes, not 16")
    preferred, valid = _lifetimes(found.get(_IFA_CACHEINFO, b""))
    if len(found.get(_IFA_FLAGS, b"")) == _U32.size:
        (flags,) = _U32.unpack(found[_IFA_FLAGS])
    return KernelAddress(str(IPv6Address(raw)), index, prefix_length, scope, flags, preferred, valid)


def _local_route(body: bytes) -> LocalRoute | None:
    if len(body) < _ROUTE.size:
        raise NetlinkError(f"a route message has {len(body)} bytes, fewer than {_ROUTE.size}")
    family, prefix_length, _, _, _, _, _, kind, _ = _ROUTE.unpack_from(body)
    if family != _AF_INET6 or kind != _RTN_LOCAL:
        return None
    raw = _attributes(body[_ROUTE.size :]).get(_RTA_DST, bytes(16))  # ::/0 comes without a destination
    if len(raw) != 16 or prefix_length > 128:
        raise NetlinkError(f"a route to {len(raw)} bytes of prefix length {prefix_length} is none of IPv6")
    return LocalRoute(str(IPv6Address(raw)), prefix_length)


def _attributes(body: bytes) -> dict[int, bytes]:
    """Return the attributes by type; `body` is what stands behind the fixed part."""
    found = {}
    position = 0
    while len(body) - position >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(body, position)
        if not _ATTRIBUTE.size <= length <= len(body) - position:
            raise NetlinkError(f"an attribute of {length} bytes does not fit into {len(body) - position}")
        found[kind & _ATTRIBUTE_TYPE] = body[position + _ATTRIBUTE.size : position + length]
        position += _aligned(length)
    return found


def _lifetimes(cacheinfo: bytes) -> tuple[int | None, int | None]:
    """Return the preferred and the valid lifetime in seconds, None for ever; without IFA_CACHEINFO both."""
    if len(cacheinfo) < _CACHEINFO.size:
        return None, None
    preferred, valid, _, _ = _CACHEINFO.unpack_from(cacheinfo)
    return _seconds(preferred), _seconds(valid)


def _seconds(lifetime: int) -> int | None:
    return None if lifetime == _FOREVER else lifetime


def _aligned(length: int) -> int:
    """Messages and attributes start at multiples of four bytes."""
    return (length + 3) & ~3
