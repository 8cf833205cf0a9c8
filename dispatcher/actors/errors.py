"""What an actor may answer instead of a reply. Raised in the actor, met by whoever asked it."""

from __future__ import annotations

from dispatcher.errors import DispatcherError


class IdInUseError(Exception):
    """A live agent holds the id that another one asks for."""


class RegistryFullError(Exception):
    """As many agents as allowed are known, and none of them is lost."""


class StoreError(DispatcherError):
    """What cannot be stored or read, and why, in a sentence for users."""
