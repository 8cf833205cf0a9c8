"""Asking why a name gave no IPv6 address, with a resolver that says what a test wants; real ones are asked in
`tests/integration/test_executor_names.py`."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from dispatcher.agent.targets import resolver
from dispatcher.errors import Failure, FailureKind, Party
from tests.support.executing import run

UNKNOWN = Failure.of(FailureKind.DNS, "the name a.test does not resolve")
Said = bool | Exception


def why(host: str = "a.test") -> Failure:
    async def test() -> Failure:
        return await asyncio.wait_for(resolver.why_no_ipv6(host, UNKNOWN), 5)

    return run(test())


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> dict[int, Said]:
    """What the resolver says of each family: whether there is an address, or an error."""
    answers: dict[int, Said] = {}

    def getaddrinfo(host: str, port: None, family: int, kind: int) -> list[Any]:
        assert (None, socket.SOCK_STREAM) == (port, kind)
        said = answers[family]
        if isinstance(said, Exception):
            raise said
        return [host] if said else []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return answers


NONE = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
AGAIN = socket.gaierror(socket.EAI_AGAIN, "Try again")
NO_FILES = OSError(24, "Too many open files")
TOLD = "the resolver could not tell the addresses of a.test: "


@pytest.mark.parametrize(
    ("ipv6", "ipv4", "expected"),
    [
        (NONE, NONE, UNKNOWN),
        (False, False, UNKNOWN),
        (NONE, True, Failure.of(FailureKind.TARGET_HAS_NO_IPV6, "the name a.test has IPv4 addresses only")),
        (AGAIN, True, Failure.of(FailureKind.DNS, f"{TOLD}Try again (EAI_AGAIN)")),
        (NONE, AGAIN, Failure.of(FailureKind.DNS, f"{TOLD}Try again (EAI_AGAIN)")),
        (NO_FILES, True, Failure.of(FailureKind.DNS, f"{TOLD}Too many open files (24)")),
        (True, NONE, Failure.of(FailureKind.DNS, "the name a.test did not resolve; asked again right after, it did")),
    ],
)
def test_what_the_resolver_says_is_what_is_said_of_the_name(
    says: dict[int, Said], ipv6: Said, ipv4: Said, expected: Failure
) -> None:
    says |= {socket.AF_INET6: ipv6, socket.AF_INET: ipv4}
    assert expected == why()
    assert Party.TARGET == expected.attributed_to or expected.kind is FailureKind.DNS


def test_what_no_resolver_could_know_is_not_known() -> None:
    assert UNKNOWN == why("a" * 64)


def test_a_resolver_that_hangs_holds_a_bounded_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hanging(*_: Any) -> list[Any]:
        release.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hanging)

    async def test() -> None:
        asked = [resolver.why_no_ipv6("a.test", UNKNOWN) for _ in range(resolver.MAX_THREADS)]
        assert not any(one.done() for one in asked)
        other = Failure.of(FailureKind.DNS, "the name b.test does not resolve")
        assert other == await asyncio.wait_for(resolver.why_no_ipv6("b.test", other), 1)
        asked[0].cancel()
        release.set()
        assert [UNKNOWN] * (resolver.MAX_THREADS - 1) == await asyncio.gather(*asked[1:])

    run(test())
