"""Which of a machine's addresses may be exits: an address and the agent's options in, a state and a reason out.

Pure; stands before a request's way and runs wherever it is called. The ranges are those of `special_ranges.py`. An
optimistic address counts as deprecated, as in the kernel's own choice of sources (RFC 4429, section 3.1): it can send,
but it may still turn out to be a duplicate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, NamedTuple

from dispatcher.agent.addresses.netlink import AddressFlag, KernelAddress
from dispatcher.agent.special_ranges import holds, special_ipv6
from dispatcher.wire import limits
from dispatcher.wire.messages import AddressState

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_HERE = "not on this machine"
"""The reason of an address that was asked for by name and is not there."""


class Verdict(NamedTuple):
    """What the agent says of an address."""

    state: AddressState
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class AddressOptions:
    """What the user asked for. With `explicit` (canonical texts) just these count, and nothing else is looked at.

    `interfaces` are names; empty stands for all. `explicit` wins over all others. Of more than `max_addresses` the
    lowest are reported that come first, those that can be used before those that are excluded.
    """

    include_temporary: bool = False
    include_ula: bool = False
    interfaces: frozenset[str] = frozenset()
    explicit: tuple[str, ...] = ()
    max_addresses: int = limits.MAX_ADDRESSES
    named: frozenset[str] = field(init=False, repr=False, compare=False)
    """`explicit` as a set: there may be thousands."""

    def __post_init__(self) -> None:
        """Make `named`."""
        object.__setattr__(self, "named", frozenset(self.explicit))


RANK = {
    state: rank
    for rank, state in enumerate(
        (
            AddressState.PREFERRED,
            AddressState.DEPRECATED,
            AddressState.TENTATIVE,
            AddressState.DADFAILED,
            AddressState.UNBINDABLE,
            AddressState.EXCLUDED,
        )
    )
}
"""Which state counts where an address is on more than one interface: the lowest."""

USABLE = frozenset({AddressState.PREFERRED, AddressState.DEPRECATED})
"""The states that the pool leases."""

_LINK_LOCAL = IPv6Network("fe80::/10")
_MULTICAST = IPv6Network("ff00::/8")
_ULA = IPv6Network("fc00::/7")


def parse_explicit(text: str) -> str:
    """Return the canonical text of an address that a user may name with ``--address``; brackets are taken off.

    Raises:
        ValueError: it is no IPv6 address, or one that no request can leave from; the text is a sentence about it.
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = IPv6Address(bare)
    except ValueError:
        raise ValueError("Is not an IPv6 address.") from None
    if address.scope_id is not None:
        raise ValueError("Names an interface; an exit is an address alone.")
    if address in _LINK_LOCAL:
        raise ValueError("Is link-local, which reaches its own link only.")
    if address in _MULTICAST or address.is_unspecified or address.ipv4_mapped is not None:
        raise ValueError("Is not a unicast IPv6 address.")
    return str(address)


def judge(address: KernelAddress, options: AddressOptions, interface_name: Callable[[int], str]) -> Verdict | None:
    """Say what becomes of an address; None for one that is never reported.

    `interface_name` gives the name of an interface by its number; it is asked only where `interfaces` are given.
    """
    if options.explicit:
        return _by_flags(address) if address.address in options.named else None
    number = int(IPv6Address(address.address))
    if holds(_LINK_LOCAL, number) or holds(_MULTICAST, number):
        return None
    reason = _exclusion(address, number, options, interface_name)
    return _by_flags(address) if reason is None else Verdict(AddressState.EXCLUDED, reason)


def _exclusion(
    address: KernelAddress, number: int, options: AddressOptions, interface_name: Callable[[int], str]
) -> str | None:
    """Return why the options leave an address out, and how it would come in."""
    if options.interfaces and (name := interface_name(address.interface_index)) not in options.interfaces:
        return f"on interface {name}, which is not among those of --interface"
    reason = _special_range(number, options)
    if reason is None and address.flags & AddressFlag.TEMPORARY and not options.include_temporary:
        return "temporary; --include-temporary takes it"
    return reason


def _special_range(number: int, options: AddressOptions) -> str | None:
    if holds(_ULA, number):
        return None if options.include_ula else "unique local (RFC 4193); --include-ula takes it"
    name = special_ipv6(number)
    return None if name is None else f"{name}; only --address takes it"


def _by_flags(address: KernelAddress) -> Verdict:
    flags = address.flags
    if flags & AddressFlag.DADFAILED:
        return Verdict(AddressState.DADFAILED, "another machine on the link has it (duplicate address detection)")
    if flags & AddressFlag.OPTIMISTIC:
        return Verdict(AddressState.DEPRECATED, "optimistic: duplicate address detection still runs")
    if flags & AddressFlag.TENTATIVE:
        return Verdict(AddressState.TENTATIVE, "duplicate address detection still runs")
    if flags & AddressFlag.DEPRECATED or address.preferred_seconds == 0:
        return Verdict(AddressState.DEPRECATED, "its preferred lifetime is over")
    return Verdict(AddressState.PREFERRED)
