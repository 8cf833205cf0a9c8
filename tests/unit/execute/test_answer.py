"""The answer of a coordinator that none comes of; `tests/integration/test_execute.py` has those that come."""

from __future__ import annotations

import asyncio
import socket

import pytest

from dispatcher.access import Access
from dispatcher.execute.answer import Answer
from dispatcher.monitor import feed


def test_a_coordinator_that_takes_no_connection_is_said_not_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "CONNECT_SECONDS", 0.1)

    async def read(port: int) -> None:
        async for _ in Answer(Access(f"http://127.0.0.1:{port}"), {}).pieces():
            pytest.fail("nobody answers there")

    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        with (
            socket.create_connection(("127.0.0.1", port)),  # all that its queue takes
            pytest.raises(feed.UnreachableError, match=f"http://127.0.0.1:{port} does not answer: no answer in time"),
        ):
            asyncio.run(asyncio.wait_for(read(port), 30))
