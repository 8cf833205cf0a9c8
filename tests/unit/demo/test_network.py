from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys

import pytest

from dispatcher.demo import network

REFUSAL = OSError(errno.EPERM, os.strerror(errno.EPERM))


def refuse() -> None:
    raise REFUSAL


def test_without_a_namespace_both_agents_share_the_loopback_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_enter_namespace", refuse)
    prepared = network.prepare()
    assert {"agent-01": ("::1",), "agent-02": ("::1",)} == prepared.agents
    assert "::1" == prepared.target
    expected = "this machine gives no network namespace (Operation not permitted), so both agents share ::1"
    assert expected == prepared.note


def test_a_c_library_without_unshare_is_no_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    def has_no_unshare() -> None:
        raise AttributeError("no unshare here")

    monkeypatch.setattr(network, "_enter_namespace", has_no_unshare)
    assert "(no unshare here)" in network.prepare().note


def test_a_machine_without_ipv6_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_enter_namespace", refuse)
    monkeypatch.setattr(socket.socket, "bind", lambda *_: refuse())
    with pytest.raises(OSError, match="not permitted"):
        network.prepare()


_PREPARES = """
import json, os, socket
from dispatcher.demo import network
before = os.readlink("/proc/self/ns/net")
prepared = network.prepare()
usable = []
for address in (*sum(prepared.agents.values(), ()), prepared.target):
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind((address, 0))
        usable.append(address)
print(json.dumps({"moved": os.readlink("/proc/self/ns/net") != before, "usable": usable, "note": prepared.note}))
"""


def test_the_addresses_that_are_promised_can_be_bound_at_once_and_the_machine_has_none_of_them() -> None:
    ran = subprocess.run([sys.executable, "-c", _PREPARES], capture_output=True, text=True, check=True, timeout=30)
    found = json.loads(ran.stdout)
    if not found["moved"]:  # this machine gives nobody a namespace
        assert ["::1", "::1", "::1"] == found["usable"]
        return
    assert [*network.SOURCES, network.TARGET] == found["usable"]
    assert "nothing outside is touched" in found["note"]
    with socket.socket(socket.AF_INET6) as probe, pytest.raises(OSError, match="assign"):
        probe.bind((network.SOURCES[-1].replace("db8:1:", "db8:1:dead:"), 0))
