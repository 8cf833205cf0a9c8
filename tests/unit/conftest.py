"""Nothing of a test outlives it: an actor would answer in the next one, and a change of logging be heard there."""

from __future__ import annotations

from collections.abc import Iterator

import pykka
import pytest

from tests.support import log_state


@pytest.fixture(autouse=True)
def no_actor_outlives_its_test() -> Iterator[None]:
    yield
    left = pykka.ActorRegistry.get_all()
    for ref in left:
        pykka.ActorRegistry.unregister(ref)
    assert [] == left


@pytest.fixture(autouse=True)
def no_change_of_logging_outlives_its_test() -> Iterator[None]:
    before = log_state.changed()
    yield
    after = log_state.changed()
    log_state.put_back(before)
    assert before == after
