"""Asking whether a name has IPv4."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from dispatcher.agent.targets import resolver
from tests.support.executing import run


def test_a_name_with_ipv4_says_so() -> None:
    async def test() -> bool:
        return await resolver.ask_for_ipv4("localhost")

    assert run(test())


def test_a_name_without_any_address_says_no() -> None:
    async def test() -> bool:
        return await resolver.ask_for_ipv4("a" * 64)

    assert not run(test())


def test_a_resolver_that_hangs_holds_a_bounded_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hanging(*_: Any) -> list[Any]:
        release.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hanging)

    async def test() -> None:
        asked = [resolver.ask_for_ipv4("a.test") for _ in range(resolver.MAX_THREADS)]
        assert not any(one.done() for one in asked)
        assert not await asyncio.wait_for(resolver.ask_for_ipv4("a.test"), 1)
        asked[0].cancel()
        release.set()
        assert [False] * (resolver.MAX_THREADS - 1) == await asyncio.gather(*asked[1:])

    run(test())
