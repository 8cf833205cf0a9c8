"""The client that owns the multi handle: it takes no request of its own, and its end is that of all transfers."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from typing import TYPE_CHECKING

import pytest
from tornado.httpclient import HTTPRequest

from dispatcher.agent.targets.guard import TargetGuard
from dispatcher.agent.transfers.curl import SourceBoundClient
from dispatcher.agent.transfers.engine import Engine
from dispatcher.agent.transfers.hop import first_hop
from tests.support.executing import TEST_TARGETS, execution, run
from tests.support.targets import Hanging

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOWING = functools.partial(Engine, guard=TargetGuard(allow=TEST_TARGETS))


@contextlib.contextmanager
def client() -> Iterator[SourceBoundClient]:
    """A client that may ask where tests have their targets."""
    made = SourceBoundClient(force_instance=True, make_engine=ALLOWING)
    try:
        yield made
    finally:
        made.close()


def test_tornados_own_way_in_is_closed_since_it_has_no_source() -> None:
    async def test() -> None:
        with client() as made, pytest.raises(TypeError, match="needs a source address"):
            await made.fetch(HTTPRequest("http://[::1]/"))

    run(test())


def test_what_works_with_the_handle_is_a_class_by_itself() -> None:
    assert (object,) == Engine.__bases__


def test_closing_the_client_ends_what_its_engine_has_under_way() -> None:
    async def test() -> None:
        async with Hanging() as target:
            with client() as made:
                engine = made.engine
                ended: list[object] = []
                hop = first_hop(execution(target.url()))
                engine.start(hop, "::1", lambda *ending: ended.append(ending), now=time.monotonic(), seconds=20)
                engine.begin()
                await asyncio.wait_for(target.seen.wait(), 5)
                assert 1 == engine.open_connections("::1")
            assert [] == ended
            assert "::1" == await asyncio.wait_for(target.closings.get(), 5)
            assert 0 == engine.open_connections("::1")

    run(test())
