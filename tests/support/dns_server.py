"""A DNS server for tests that answers as it is told, AAAA questions differently each time if wanted.

Runs in a thread of its own on ``::1`` port 53 of the private network, whose resolv.conf it takes over for as long as it
runs. A name that it was not told of does not exist. TTLs are 0, as those of whoever wants to rebind a name.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import netns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_A, _AAAA, _IN = 1, 28, 1
_HEADER = struct.Struct("!HHHHHH")
_IS_ANSWER = 0x8180  # a response, recursion wanted and available, no error
_SERVER_FAILURE, _NO_SUCH_NAME = 2, 3
_NAME_OF_QUESTION = 0xC00C

FAILS = "fails"
"""Among a name's addresses: what its AAAA question gets instead of an answer is the server's failure."""

Answers = dict[str, list[tuple[str, ...]]]


@contextlib.contextmanager
def answering(names: Mapping[str, Sequence[tuple[str, ...]]]) -> Iterator[list[str]]:
    """Answer for each name its first set of addresses first, then the next, and the last for ever.

    A set may have addresses of both kinds. Gives the list of names whose IPv6 addresses were asked for, in order.
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
    known = _next(name, left, is_taken=kind == _AAAA)
    if kind == _AAAA:
        asked.append(name)
    failure = _NO_SUCH_NAME if known is None else _SERVER_FAILURE if FAILS in known and kind == _AAAA else 0
    addresses = [ip_address(each).packed for each in known or () if each != FAILS]
    wanted = [each for each in addresses if not failure and len(each) == {_A: 4, _AAAA: 16}.get(kind)]
    head = _HEADER.pack(struct.unpack_from("!H", data)[0], _IS_ANSWER | failure, 1, len(wanted), 0, 0)
    records = [struct.pack("!HHHIH", _NAME_OF_QUESTION, kind, _IN, 0, len(each)) + each for each in wanted]
    return head + data[_HEADER.size : position + 5] + b"".join(records)


def _next(name: str, left: Answers, *, is_taken: bool) -> tuple[str, ...] | None:
    answers = left.get(name)
    if answers is None:
        return None
    return answers.pop(0) if is_taken and len(answers) > 1 else answers[0]
