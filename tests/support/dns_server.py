"""A DNS server for tests that answers AAAA questions as it is told, differently each time if wanted.

Runs in a thread of its own on ``::1`` port 53 of the private network, whose resolv.conf it takes over for as long as it
runs. Every other question has an empty answer. TTLs are 0, as those of whoever wants to rebind a name.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import netns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_AAAA, _IN = 28, 1
_HEADER = struct.Struct("!HHHHHH")
_IS_ANSWER = 0x8180  # a response, recursion wanted and available, no error
_NAME_OF_QUESTION = 0xC00C

Answers = dict[str, list[tuple[str, ...]]]


@contextlib.contextmanager
def answering(names: Mapping[str, Sequence[tuple[str, ...]]]) -> Iterator[list[str]]:
    """Answer for each name its first set of addresses first, then the next, and the last for ever.

    Gives the list of names that were asked for, in order.
    """
    assert netns.in_private_network()
    resolv_conf = Path("/etc/resolv.conf")
    before = resolv_conf.read_text()
    asked: list[str] = []
    left = {name: list(answers) for name, answers in names.items()}
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.bind(("::1", 53))
        thread = threading.Thread(target=_serve, args=(server, left, asked), name="dns")
        thread.start()
        resolv_conf.write_text("nameserver ::1\noptions timeout:5 attempts:1\n")
        try:
            yield asked
        finally:
            resolv_conf.write_text(before)
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as farewell:
                farewell.sendto(b"", ("::1", 53))
            thread.join(10)


def _serve(server: socket.socket, left: Answers, asked: list[str]) -> None:
    while question := server.recvfrom(4096):
        data, peer = question
        if not data:
            return
        server.sendto(_answer(data, left, asked), peer)


def _answer(data: bytes, left: Answers, asked: list[str]) -> bytes:
    labels, position = [], _HEADER.size
    while length := data[position]:
        labels.append(data[position + 1 : position + 1 + length].decode())
        position += 1 + length
    kind, _ = struct.unpack_from("!HH", data, position + 1)
    name = ".".join(labels).lower()
    addresses = _next(name, left) if kind == _AAAA else ()
    if kind == _AAAA:
        asked.append(name)
    head = _HEADER.pack(struct.unpack_from("!H", data)[0], _IS_ANSWER, 1, len(addresses), 0, 0)
    records = [
        struct.pack("!HHHIH", _NAME_OF_QUESTION, _AAAA, _IN, 0, 16) + IPv6Address(each).packed for each in addresses
    ]
    return head + data[_HEADER.size : position + 5] + b"".join(records)


def _next(name: str, left: Answers) -> tuple[str, ...]:
    answers = left.get(name, [()])
    return answers.pop(0) if len(answers) > 1 else answers[0]
