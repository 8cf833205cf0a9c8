"""What the tests of the web API share: a coordinator to call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
