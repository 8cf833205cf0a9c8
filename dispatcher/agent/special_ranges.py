"""Address ranges that are not the public Internet's: IANA's special-purpose registries, for sources and targets alike.

Pure; stands beside a request's way. The ranges are our own table, since `ipaddress.is_global` follows the Python
release: 3.11.7 calls 3fff::/20, 6to4 and every multicast address global, and its answer on parts of 2001::/23 changed
with a bug-fix release. Taken from the registries of RFC 6890 and RFC 8190 as of July 2026; multicast, site-local and
IPv4-compatible addresses stand in RFC 4291, RFC 3879 and RFC 5771 instead.

What would surprise: what the registry calls globally reachable is special here too, where nothing of it is a machine's
own address: anycast services (a gateway's own, as often as not), identifiers, 6to4 and Teredo. Only NAT64's well-known
prefix is left to who asks, because what it reaches depends on the IPv4 address within, see `embedded_ipv4`.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import NamedTuple


class Range(NamedTuple):
    """A range of address numbers, both ends included, and what it is for."""

    first: int
    last: int
    name: str


def holds(network: IPv6Network, number: int) -> bool:
    """Whether a network holds an address, given as its number: much quicker than `in`, and asked for each address."""
    return int(network.network_address) <= number <= int(network.broadcast_address)


def _ranges(network: type[IPv4Network | IPv6Network], *rows: tuple[str, str]) -> tuple[Range, ...]:
    found = ((network(text), name) for text, name in rows)
    return tuple(Range(int(each.network_address), int(each.broadcast_address), name) for each, name in found)


# The more specific range stands before the one that it is part of.
_IPV6 = _ranges(
    IPv6Network,
    ("::/128", "unspecified (RFC 4291)"),
    ("::1/128", "loopback (RFC 4291)"),
    ("::/96", "IPv4-compatible (deprecated by RFC 4291)"),
    ("::ffff:0:0/96", "IPv4-mapped (RFC 4291)"),
    ("::ffff:0:0:0/96", "IPv4-translated (RFC 2765)"),
    ("64:ff9b::/96", "IPv4/IPv6 translation (RFC 6052)"),
    ("64:ff9b:1::/48", "IPv4/IPv6 translation (RFC 8215)"),
    ("100::/64", "discard-only (RFC 6666)"),
    ("100:0:0:1::/64", "dummy prefix (RFC 9780)"),
    ("2001::/32", "Teredo (RFC 4380)"),
    ("2001:1::1/128", "Port Control Protocol anycast (RFC 7723)"),
    ("2001:1::2/128", "TURN anycast (RFC 8155)"),
    ("2001:1::3/128", "DNS-SD registration anycast (RFC 9665)"),
    ("2001:2::/48", "benchmarking (RFC 5180)"),
    ("2001:3::/32", "AMT anycast (RFC 7450)"),
    ("2001:4:112::/48", "AS112 anycast (RFC 7535)"),
    ("2001:10::/28", "ORCHID (RFC 4843)"),
    ("2001:20::/28", "ORCHIDv2 (RFC 7343)"),
    ("2001:30::/28", "drone remote identification (RFC 9374)"),
    ("2001::/23", "IETF protocol assignments (RFC 2928)"),
    ("2001:db8::/32", "documentation (RFC 3849)"),
    ("2002::/16", "6to4 (RFC 3056)"),
    ("2620:4f:8000::/48", "AS112 anycast (RFC 7534)"),
    ("3fff::/20", "documentation (RFC 9637)"),
    ("5f00::/16", "segment routing identifiers (RFC 9602)"),
    ("fc00::/7", "unique local (RFC 4193)"),
    ("fe80::/10", "link-local (RFC 4291)"),
    ("fec0::/10", "site-local (deprecated by RFC 3879)"),
    ("ff00::/8", "multicast (RFC 4291)"),
)

_IPV4 = _ranges(
    IPv4Network,
    ("0.0.0.0/8", "this network (RFC 791)"),
    ("10.0.0.0/8", "private (RFC 1918)"),
    ("100.64.0.0/10", "shared address space (RFC 6598)"),
    ("127.0.0.0/8", "loopback (RFC 1122)"),
    ("169.254.0.0/16", "link-local (RFC 3927)"),
    ("172.16.0.0/12", "private (RFC 1918)"),
    ("192.0.0.0/24", "IETF protocol assignments (RFC 6890)"),
    ("192.0.2.0/24", "documentation (RFC 5737)"),
    ("192.31.196.0/24", "AS112 anycast (RFC 7535)"),
    ("192.52.193.0/24", "AMT anycast (RFC 7450)"),
    ("192.88.99.0/24", "6to4 relay anycast (deprecated by RFC 7526)"),
    ("192.168.0.0/16", "private (RFC 1918)"),
    ("192.175.48.0/24", "AS112 anycast (RFC 7534)"),
    ("198.18.0.0/15", "benchmarking (RFC 2544)"),
    ("198.51.100.0/24", "documentation (RFC 5737)"),
    ("203.0.113.0/24", "documentation (RFC 5737)"),
    ("224.0.0.0/4", "multicast (RFC 5771)"),
    ("240.0.0.0/4", "reserved (RFC 1112)"),
)

_GLOBAL_UNICAST = Range(0x2 << 124, (0x4 << 124) - 1, "global unicast 2000::/3 (RFC 4291)")
_WELL_KNOWN_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_LOW_32 = 0xFFFF_FFFF


def special_ipv6(number: int) -> str | None:
    """Say which special range an IPv6 address is in, with its RFC; None for what is global unicast and nothing else."""
    for first, last, name in _IPV6:
        if first <= number <= last:
            return name
    if not _GLOBAL_UNICAST.first <= number <= _GLOBAL_UNICAST.last:
        return f"outside {_GLOBAL_UNICAST.name}"
    return None


def special_ipv4(number: int) -> str | None:
    """Say which special range an IPv4 address is in, with its RFC; None for a global one."""
    return next((name for first, last, name in _IPV4 if first <= number <= last), None)


def is_well_known_nat64(number: int) -> bool:
    """Whether a NAT64 translator hands this address on to the IPv4 address within (RFC 6052)."""
    return holds(_WELL_KNOWN_NAT64, number)


def embedded_ipv4(number: int) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses that an IPv6 address of a known transition mechanism stands for.

    More than one where the mechanism leaves open where it stands: a Teredo address names its server and its client
    (RFC 4380, section 4), and the local NAT64 prefix may be used with four lengths (RFC 6052, section 2.2).
    """
    upper = number >> 96
    if number in (0, 1):
        found = []  # not IPv4-compatible, though of its form (RFC 4291, section 2.5.5.1)
    elif number >> 32 in (0, 0xFFFF, 0xFFFF_0000) or is_well_known_nat64(number):
        found = [number]
    elif upper >> 16 == 0x2002:
        found = [number >> 80]
    elif upper == 0x2001_0000:
        found = [number >> 64, ~number]
    elif holds(_LOCAL_NAT64, number):
        rest = (number >> 64 << 56) | (number & (1 << 56) - 1)  # without bits 64 to 71, which are skipped
        found = [number, *(rest >> 120 - 32 - length for length in (48, 56, 64))]
    else:
        found = []
    return tuple(IPv4Address(each & _LOW_32) for each in found)
