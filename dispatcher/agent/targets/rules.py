"""What `--allow-target` and `--deny-target` say, read and compared. Pure; checked at the start, used at step 7.

A rule is an IPv6 address, a range of them, or a host name as a URL has it. Names are compared as they are written and
not by what they resolve to: so an allowed name stays allowed wherever it leads, and a denied one is never resolved.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network

from dispatcher.agent.targets.target import ExecutionError, ascii_name, is_ipv4

_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")


def parse_rule(text: str) -> str:
    """Return the canonical text of a rule; an address may be in brackets, a range of one address becomes the address.

    Raises:
        ValueError: it is none; the text is a sentence about it.
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if "%" in bare:
        raise ValueError("Names an interface; a target is an address alone.")
    if is_ipv4(bare.partition("/")[0]):
        raise ValueError("Is IPv4, which an agent never asks; write IPv6, or a host name.")
    if ":" in bare or "/" in bare:
        return _parse_range(bare)
    return _parse_name(bare)


def _parse_range(text: str) -> str:
    try:
        network = IPv6Network(text, strict=False)
    except ValueError:
        raise ValueError("Is not an IPv6 address, an IPv6 range such as 2001:db8::/32, or a host name.") from None
    if "/" in text and IPv6Address(text.partition("/")[0]) != network.network_address:
        raise ValueError(f"Has bits behind its prefix length; the range is {network}.")
    return str(network.network_address) if network.prefixlen == 128 else str(network)


def _parse_name(text: str) -> str:
    try:
        name = ascii_name(text).rstrip(".")
    except ExecutionError:
        name = ""
    if not _NAME.fullmatch(name):
        raise ValueError("Is not a host name, an IPv6 address or an IPv6 range.")
    return name


@dataclass(frozen=True, slots=True)
class Matcher:
    """Rules of one kind, as `parse_rule` returns them."""

    rules: tuple[str, ...] = ()
    _named: frozenset[str] = field(init=False, repr=False, compare=False)
    _ranges: tuple[tuple[int, int, str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Sort the rules by what they are compared with."""
        networks = [IPv6Network(rule) for rule in self.rules if "/" in rule]
        ranges = ((int(each.network_address), int(each.broadcast_address), str(each)) for each in networks)
        object.__setattr__(self, "_named", frozenset(rule for rule in self.rules if "/" not in rule))
        object.__setattr__(self, "_ranges", tuple(ranges))

    def name(self, host: str) -> str | None:
        """Return the rule that names this host; an address in a URL is a name too."""
        bare = host.rstrip(".")
        return bare if bare in self._named else None

    def address(self, address: IPv6Address) -> str | None:
        """Return the rule that names this one address."""
        text = str(address)
        return text if text in self._named else None

    def range(self, address: IPv6Address) -> str | None:
        """Return the first range that holds this address."""
        number = int(address)
        return next((text for first, last, text in self._ranges if first <= number <= last), None)
