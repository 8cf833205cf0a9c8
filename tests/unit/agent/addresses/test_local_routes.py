"""The question for a route, asked of this machine's kernel and of sockets with one fault each."""

from __future__ import annotations

import errno
import socket
import struct

import pytest

from dispatcher.agent.addresses import netlink
from dispatcher.agent.addresses.local_routes import ask
from dispatcher.agent.addresses.netlink import NetlinkError

ELSEWHERE = "2001:db8:ffff::1"


@pytest.mark.skipif(not hasattr(socket, "AF_NETLINK"), reason="netlink is Linux's")
def test_the_kernel_counts_the_loopback_address_as_local_and_a_documentation_address_not() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE) as connection:
        connection.bind((0, 0))
        addresses = ["::1", ELSEWHERE] * 50
        assert [(address, address == "::1") for address in addresses] == list(ask(connection, addresses))
        assert [] == list(ask(connection, []))


def error(number: int, sequence: int) -> bytes:
    return struct.pack("=IHHIIi", 20, netlink.NLMSG_ERROR, 0, sequence, 0, -number)


def local_answer(sequence: int) -> bytes:
    return struct.pack("=IHHII8BI", 28, netlink.RTM_NEWROUTE, 0, sequence, 0, 10, 128, 0, 0, 255, 0, 0, 2, 0)


class KernelThatAnswers(socket.socket):
    """A netlink socket with these answers waiting, each with the port of its sender."""

    def __init__(self, *answers: tuple[bytes, int]) -> None:
        """Need no system socket."""
        super().__init__()
        self.answers = list(answers)
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> int:  # type: ignore[override]  # as it is used here
        self.sent.append(data)
        return len(data)

    def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:  # type: ignore[override]  # as it is used here
        if not self.answers:
            raise BlockingIOError(errno.EAGAIN, "nothing waits")
        data, sender = self.answers.pop(0)
        return data, (sender, 0)


def test_what_another_process_sends_is_no_answer() -> None:
    with KernelThatAnswers((local_answer(0), 99), (error(errno.ENETUNREACH, 0), 0)) as connection:
        assert [(ELSEWHERE, False)] == list(ask(connection, [ELSEWHERE]))


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL])
def test_every_route_that_leads_nowhere_is_not_local(number: int) -> None:
    with KernelThatAnswers((error(number, 0), 0), (local_answer(1), 0)) as connection:
        assert [("2a00::1", False), ("2a00::2", True)] == list(ask(connection, ["2a00::1", "2a00::2"]))


def test_a_kernel_without_memory_is_not_taken_to_say_no() -> None:
    with KernelThatAnswers((error(errno.ENOBUFS, 0), 0)) as connection, pytest.raises(NetlinkError, match="No buffer"):
        list(ask(connection, [ELSEWHERE]))


def test_a_missing_answer_is_not_taken_to_say_no() -> None:
    with KernelThatAnswers() as connection, pytest.raises(BlockingIOError):
        list(ask(connection, [ELSEWHERE]))


def test_questions_go_in_portions_that_do_not_hold_the_loop() -> None:
    answers = [(local_answer(number % 4), 0) for number in range(10)]
    addresses = [f"2a00::{number:x}" for number in range(10)]
    with KernelThatAnswers(*answers) as connection:
        assert [(address, True) for address in addresses] == list(ask(connection, addresses))
        one = len(netlink.route_request("::1", 0))
        assert [4, 4, 2] == [len(data) // one for data in connection.sent]
