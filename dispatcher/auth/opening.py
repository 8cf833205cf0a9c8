"""How a coordinator's gate is opened at its start: whether a token is needed there, and the first tokens.

Main thread, before anything is served. Safe by default: only who listens on nothing but loopback addresses asks for no
token, and the one way around says so at every start.
"""

from __future__ import annotations

import ipaddress
import logging
from typing import TYPE_CHECKING

from dispatcher import logs
from dispatcher.auth.gate import Gate
from dispatcher.auth.tokens import TokenStore

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from dispatcher.settings import CoordinatorSettings

logger = logging.getLogger(__name__)


def literal_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a host is, without its zone; None for a name. One of IPv4 within IPv6 is of IPv4."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_loopback(host: str) -> bool:
    """Say whether a literal address is one that only this machine reaches; False for a name."""
    address = literal_address(host)
    return address is not None and address.is_loopback


def listens_on_loopback_only(sockets: Iterable[socket.socket]) -> bool:
    """Say whether no other machine can reach any of the listening `sockets`."""
    return all(is_loopback(listening.getsockname()[0]) for listening in sockets)


def open_gate(settings: CoordinatorSettings, *, is_local: bool) -> Gate:
    """Make the gate of a coordinator that listens on loopback addresses only, or not.

    Raises:
        TokensError: the tokens cannot be read or written.
    """
    store = TokenStore(settings.state_dir)
    is_required = settings.require_token or not (is_local or settings.insecure_no_auth)
    if is_required and not store.exists() and (made := store.create_first()):
        logs.announce(f"first start: a token of each kind was made: {', '.join(map(str, made))}")
    if not is_required and not is_local:
        logger.warning(
            "--insecure-no-auth: WHOEVER REACHES %s port %d may send requests from all gateways, read the history "
            "and remove agents; without it tokens are asked for",
            settings.host,
            settings.port,
        )
    gate = Gate(store, is_token_required=is_required)
    if is_required and not gate.has_tokens:
        logger.warning("a token is needed and none is valid: make one with `token create`")
    return gate
