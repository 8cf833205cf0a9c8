"""ConfigStore against a plain model: stores, reads, restarts, kills and disks that fail, in any order."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from dispatcher.actors.config import ConfigStore
from dispatcher.actors.errors import StoreError
from dispatcher.actors.messages import ReadRequest, StoredRequest, StoreRequest
from tests.support.broken_store import REASON, unwritable_config
from tests.unit.actors.any_order import Stored
from tests.unit.actors.stored import answer


class ConfigInAnyOrder(Stored):
    """ConfigStore against one value and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: StoredRequest | None = None

    def reopen(self) -> None:
        self.actors = [ConfigStore.start(self.state_dir)]

    def break_store(self) -> contextlib.AbstractContextManager[None]:
        return unwritable_config(self.state_dir)

    @rule(content=st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text(max_size=3), max_size=3))
    def store(self, content: dict[str, Any]) -> None:
        if self.broken is not None:
            with pytest.raises(StoreError, match=REASON):
                answer(self.actors[0], StoreRequest(content))
            return
        self.stored = StoredRequest(1 if self.stored is None else self.stored.revision + 1, content)
        assert self.stored == answer(self.actors[0], StoreRequest(content))

    @invariant()
    def what_was_stored_last_is_what_is_read(self) -> None:
        if self.actors:
            assert self.stored == answer(self.actors[0], ReadRequest())


TestConfigInAnyOrder = ConfigInAnyOrder.TestCase
TestConfigInAnyOrder.settings = settings(deadline=None, max_examples=10, stateful_step_count=20)
