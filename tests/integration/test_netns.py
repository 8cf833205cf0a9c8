"""The helpers that other tests stand on: names of our own, other machines, links that go down."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

from tests.integration.conftest import SOURCES, TARGET
from tests.support import netns
from tests.support.netns import THIS, Host, connect

SERVER = """
import socket, sys
with socket.create_server((sys.argv[1], 80), family=socket.AF_INET6) as server:
    print("ready", flush=True)
    connection, peer = server.accept()
    print(peer[0])
    connection.close()
"""

CLIENT = """
import socket, sys
socket.create_connection((sys.argv[1], 80), timeout=5).close()
"""


def addresses_of(machine: netns.Machine, interface: str) -> list[str]:
    lines = machine.run(["ip", "-6", "-o", "addr", "show", "dev", interface, "scope", "global"]).splitlines()
    return [line.split()[3].partition("/")[0] for line in lines]


def test_the_pools_addresses_and_the_targets_are_on_lo() -> None:
    assert {*SOURCES, TARGET} <= set(addresses_of(THIS, "lo"))
    assert ("2001:db8:1::1", "2001:db8:1::40", 64) == (SOURCES[0], SOURCES[-1], len(SOURCES))


def test_names_are_ours_and_every_other_fails_at_once() -> None:
    netns.set_hosts({"v4only.test": ["192.0.2.1"], "both.test": ["192.0.2.2", "2001:db8:f::1"]})
    try:
        answers = socket.getaddrinfo("v4only.test", 80, type=socket.SOCK_STREAM)
        assert ["192.0.2.1"] == [answer[4][0] for answer in answers]
        assert 2 == len(socket.getaddrinfo("both.test", 80, type=socket.SOCK_STREAM))
        start = time.monotonic()
        with pytest.raises(socket.gaierror):
            socket.getaddrinfo("unknown.test", 80)
        assert time.monotonic() - start < 1.0
    finally:
        netns.set_hosts({})
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("v4only.test", 80)


@pytest.mark.parametrize(("elsewhere", "expected"), [([], "True\n"), (["unshare", "-n"], "False\n")])
def test_a_process_that_we_start_knows_whether_it_is_in_our_network(elsewhere: list[str], expected: str) -> None:
    asked = "from tests.support import netns; print(netns.in_private_network())"
    command = [*elsewhere, sys.executable, "-c", asked]
    assert expected == subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


def test_another_machine_is_reached_over_its_link_only() -> None:
    with Host() as host:
        ends = ("here0", "there0")
        connect(THIS, host, interfaces=ends, a_addresses=["fd00::1/64"], b_addresses=["fd00::2/64"])
        server = host.popen([sys.executable, "-c", SERVER, "fd00::2"], stdout=subprocess.PIPE, text=True)
        with server:
            assert server.stdout is not None
            assert "ready\n" == server.stdout.readline()
            socket.create_connection(("fd00::2", 80), timeout=5).close()
            assert "fd00::1\n" == server.stdout.readline()
    with pytest.raises(OSError, match="unreachable"):
        socket.create_connection(("fd00::2", 80), timeout=5)


def test_two_other_machines_can_be_joined_and_routed() -> None:
    with Host() as left, Host() as right:
        connect(left, right, interfaces=("a0", "b0"), a_addresses=["fd00::1/64"], b_addresses=["fd00::2/64"])
        right.add_addresses("lo", ["2001:db8:9::1"])
        left.add_route("2001:db8:9::/64", via="fd00::2")
        assert "via fd00::2" in left.run(["ip", "-6", "route", "get", "2001:db8:9::1"])
        with right.popen([sys.executable, "-c", SERVER, "2001:db8:9::1"], stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            assert "ready\n" == server.stdout.readline()
            left.run([sys.executable, "-c", CLIENT, "2001:db8:9::1"])
            assert "fd00::1\n" == server.stdout.readline()


@pytest.mark.parametrize("keep", [False, True])
def test_addresses_outlive_a_link_that_goes_down_only_when_kept(keep: bool) -> None:
    with Host() as host:
        connect(THIS, host, interfaces=("here0", "there0"), b_addresses=["fd00::2/64"], keep_addresses=keep)
        host.link_down("there0")
        host.link_up("there0")
        assert ["fd00::2"] * keep == addresses_of(host, "there0")


def test_a_failing_command_says_what_it_said() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        THIS.add_addresses("none0", ["fd00::1"])
    assert 'Cannot find device "none0"' in "".join(caught.value.__notes__)


def test_a_process_with_threads_is_refused_with_the_reason() -> None:
    code = (
        "import threading; from tests.support import netns\n"
        "stop = threading.Event(); thread = threading.Thread(target=stop.wait); thread.start()\n"
        "try: netns.enter_private_network()\n"
        "except netns.NoNamespaceError as error: print(error)\n"
        "finally: stop.set()\n"
    )
    elsewhere = ["unshare", "-n", sys.executable, "-c", code]
    said = subprocess.run(elsewhere, capture_output=True, text=True, check=True, timeout=30).stdout
    assert "this process has 2 threads; only one with a single thread can move\n" == said
