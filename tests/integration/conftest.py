"""Integration tests run in a network of their own, with many real IPv6 addresses on lo."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import build
from dispatcher.packaging import targets
from tests.support import netns
from tests.support.cluster import Cluster, running_cluster, serving
from tests.support.targets import Echo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCES = tuple(f"2001:db8:1::{number:x}" for number in range(1, 0x41))
"""The addresses that executions may leave from, canonical."""

TARGET = "2001:db8:f::1"
"""The address where targets listen."""


@pytest.fixture(scope="session", autouse=True)
def private_network(request: pytest.FixtureRequest) -> None:
    """Move pytest into a network namespace; where that cannot be, skip by name, and in CI fail."""
    if netns.in_private_network():
        return  # tests/faults has the same fixture
    if any(item.path.name == "test_readme.py" for item in request.session.items):
        for each in targets.released():
            build.locked_packages(each)  # the README builds, and its packages cannot be had from in there
    try:
        netns.enter_private_network()
    except netns.NoNamespaceError as error:
        reason = f"needs a network namespace: {error}"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    netns.add_addresses("lo", (*SOURCES, TARGET))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Processes of the test's own."""
    with running_cluster(tmp_path) as made:
        yield made


@pytest.fixture
def target() -> Iterator[Echo]:
    """A target that answers with what it saw."""
    with serving(Echo(TARGET)) as made:
        yield made
