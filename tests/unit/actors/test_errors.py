"""What an actor may answer instead of a reply."""

from __future__ import annotations

from dispatcher.actors.errors import IdInUseError, RegistryFullError, StoreError
from dispatcher.errors import DispatcherError


def test_a_store_that_fails_ends_a_command_with_its_sentence() -> None:
    assert issubclass(StoreError, DispatcherError)
    assert "the disk is full" == str(StoreError("the disk is full"))


def test_refusals_of_the_registry_end_no_command() -> None:
    assert not issubclass(IdInUseError, DispatcherError)
    assert not issubclass(RegistryFullError, DispatcherError)
