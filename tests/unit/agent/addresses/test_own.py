"""What is this machine's own, as its kernel says."""

from __future__ import annotations

import pytest

from dispatcher.agent.addresses import own
from dispatcher.agent.addresses.netlink import NetlinkError
from dispatcher.agent.addresses.own import is_own

ELSEWHERE = ["2001:db8:dead::1", "2600::", "ff02::1"]


def no_netlink(groups: int) -> object:
    """A system that has none."""
    raise OSError(93, "Protocol not supported")


@pytest.mark.parametrize("address", ["::1", "127.0.0.1"])
def test_loopback_is_its_own(address: str) -> None:
    assert is_own(address)


@pytest.mark.parametrize("address", [*ELSEWHERE, "192.0.2.1", "255.255.255.255"])
def test_what_is_elsewhere_or_nowhere_is_not(address: str) -> None:
    assert not is_own(address)


def test_without_netlink_the_machines_own_are_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "netlink_socket", no_netlink)
    assert is_own("::1")
    assert [] == [address for address in ELSEWHERE if is_own(address)]


def test_a_kernel_that_answers_nonsense_is_asked_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def nonsense(connection: object, addresses: object) -> object:
        raise NetlinkError("an attribute does not fit")

    monkeypatch.setattr(own.local_routes, "ask", nonsense)
    assert is_own("::1")
