"""Which targets an agent may be made to ask: its owner's word against whatever a URL, a redirect or a DNS answer says.

Step 7 of a request's way, on the event loop, at the last moment: libcurl asks before it opens a socket, with the
address that it is about to connect to, so redirects and names that change what they resolve to are seen like the rest.

In this order, and the first that fits decides: `--deny-target`; `--allow-target` by name (the host as the URL has it,
or just this address); the metadata services of clouds, this machine's own addresses and the coordinator's, refused;
`--allow-target` by range; special ranges, refused; all else is global unicast, and taken. So a range that is allowed
opens neither the coordinator nor a metadata service that happens to be in it, and nothing that the coordinator sends
is part of the decision.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from dispatcher.agent.addresses.own import is_own
from dispatcher.agent.special_ranges import embedded_ipv4, is_well_known_nat64, special_ipv4, special_ipv6
from dispatcher.agent.targets.rules import Matcher
from dispatcher.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Address = IPv4Address | IPv6Address

METADATA: dict[Address, str] = {
    **dict.fromkeys(map(IPv6Address, ("fd00:ec2::254", "fd00:ec2::253", "fd00:ec2::123", "fd00:ec2::23")), "of AWS"),
    IPv6Address("fd00:100::100:200"): "of Alibaba Cloud",
    IPv6Address("fd00:a9fe:a9fe::1"): "of Linode",
    IPv6Address("fd20:ce::254"): "of Google Cloud",
    IPv6Address("fd00:c1::a9fe:a9fe"): "of Oracle Cloud",
    IPv6Address("fd00:42::42"): "of Scaleway",
    IPv6Address("fe80::a9fe:a9fe"): "of OpenStack",
    IPv4Address("169.254.169.254"): "of most clouds",
    IPv4Address("169.254.170.2"): "of AWS",
    IPv4Address("169.254.170.23"): "of AWS",
    IPv4Address("169.254.42.42"): "of Scaleway",
    IPv4Address("169.254.0.23"): "of Tencent Cloud",
    IPv4Address("192.0.0.192"): "of Oracle Cloud",
    IPv4Address("100.100.100.200"): "of Alibaba Cloud",
    IPv4Address("168.63.129.16"): "of Azure",
}
"""Where machines in clouds ask for their credentials and settings, as their documentation and SDKs have it."""

MAX_COORDINATOR_ADDRESSES = 256
"""How many addresses of the coordinator are known at once; one that has more is forgotten and learned anew."""

_VERDICTS = 4096
_PLACES_OF_TEREDO = 2


class TargetGuard:
    """Says of each target why it is refused, if it is; the text is a sentence for the record.

    `allow` and `deny` are rules as `rules.parse_rule` returns them. `is_own` says of an address whether it is
    this machine's.
    """

    def __init__(
        self, allow: Iterable[str] = (), deny: Iterable[str] = (), *, is_own: Callable[[str], bool] = is_own
    ) -> None:
        """Refuse by default what the module's docstring says."""
        self._allow = Matcher(tuple(allow))
        self._deny = Matcher(tuple(deny))
        self._is_own = is_own
        self._coordinator_names: frozenset[str] = frozenset()
        self._coordinator: frozenset[Address] = frozenset()
        self.name_refusals = Memo(self._name_refusal, _VERDICTS)
        """Why a host (lower case, no brackets) is refused before it is even resolved; None where it is not."""
        self.kept_refusals = Memo(self._kept_refusal, _VERDICTS)
        """Why a request for a host may not leave by a connection that stands to an address. Asks no kernel."""

    def coordinator_at(self, names: Iterable[str], addresses: Iterable[Address]) -> None:
        """Refuse the coordinator under these names, and under these addresses beside those known before."""
        more = frozenset(addresses)
        known = self._coordinator | more
        self._coordinator = known if len(known) <= MAX_COORDINATOR_ADDRESSES else more
        self._coordinator_names = frozenset(name.rstrip(".").lower() for name in names)
        self.kept_refusals.clear()
        self.name_refusals.clear()

    def _name_refusal(self, host: str) -> str | None:
        rule = self._deny.name(host)
        if rule is not None:
            return f"the target {host} is blocked by --deny-target {rule} of the agent's owner"
        if host.rstrip(".") in self._coordinator_names and self._allow.name(host) is None:
            return _blocked(host, host, "the coordinator", host)
        return None

    def refusal(self, host: str, address: str) -> str | None:
        """Say why no connection to `address` may be opened for `host`; None where one may."""
        found = self.kept_refusals[host, address]
        if found is not None or self._is_named(host, IPv6Address(address)):
            return found
        for text in (address, *map(str, embedded_ipv4(int(IPv6Address(address))))):
            if self._is_own(text):
                return _blocked(host, address, "an address of the agent's own machine", address)
        return None

    def _is_named(self, host: str, address: IPv6Address) -> bool:
        return self._allow.name(host) is not None or self._allow.address(address) is not None

    def _kept_refusal(self, place: tuple[str, str]) -> str | None:
        host, address = place
        try:
            found = IPv6Address(address.partition("%")[0])
        except ValueError:
            return f"the target {host} leads to {address}, which is no IPv6 address"
        denied = self._deny.name(host) or self._deny.address(found) or self._deny.range(found)
        if denied is not None:
            return f"{_target(host, address)} is blocked by --deny-target {denied} of the agent's owner"
        if self._is_named(host, found):
            return None
        protected = self._protected(found)
        if protected is not None:
            return _blocked(host, address, protected, address)
        if self._allow.range(found) is not None:
            return None
        special = _special(found)
        return None if special is None else _blocked(host, address, special, address)

    def _protected(self, address: IPv6Address) -> str | None:
        """Say what makes an address one that must be allowed by itself, and not by a range that holds it."""
        candidates: tuple[Address, ...] = (address, *embedded_ipv4(int(address)))
        for each in candidates:
            if each in METADATA:
                return f"a metadata service {METADATA[each]}"
            if each in self._coordinator:
                return "the coordinator"
        return None


def _special(address: IPv6Address) -> str | None:
    number = int(address)
    special = special_ipv6(number)
    within = embedded_ipv4(number)
    inner = [(each, name) for each in within if (name := special_ipv4(int(each))) is not None]
    if is_well_known_nat64(number) and not inner:
        return None
    if not inner or len(within) > _PLACES_OF_TEREDO:  # more places than that, and nobody knows which is meant
        return special
    return f"{special} of {inner[0][0]}, {inner[0][1]}"


def _blocked(host: str, address: str, what: str, rule: str) -> str:
    return f"{_target(host, address)} is blocked as {what}; the agent's owner can allow it with --allow-target {rule}"


def _target(host: str, address: str) -> str:
    return f"the target {address}" if host == address else f"the address {address} of the target {host}"
