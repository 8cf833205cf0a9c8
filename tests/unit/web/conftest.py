"""What the tests of the web API share: a coordinator to call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pykka
import pytest

from dispatcher.web import execute
from tests.support.api import Served, served


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    """A coordinator of its own for one test."""
    with served(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One coordinator for all tests of a module that change nothing, or do not care."""
    with served(tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture(autouse=True)
def no_actor_outlives_its_test() -> Iterator[None]:
    """As for all unit tests, but for the actors of `shared`, which outlive a test."""
    before = set(pykka.ActorRegistry.get_all())
    yield
    assert [] == [ref for ref in pykka.ActorRegistry.get_all() if ref not in before]


@pytest.fixture
def long_way(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests that go the long way."""
    seen: list[str] = []

    def watch(verb: str) -> None:
        answer = getattr(execute.ExecuteHandler, verb)

        async def answer_and_tell(handler: execute.ExecuteHandler) -> None:
            seen.append(handler.request.uri or "")
            await answer(handler)

        monkeypatch.setattr(execute.ExecuteHandler, verb, answer_and_tell)

    watch("get")
    watch("post")
    return seen
