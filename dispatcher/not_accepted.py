"""Why an execution was not begun: what steps 1 and 2 of a request's way raise before anything is sent or recorded."""

from __future__ import annotations


class NotAcceptedError(Exception):
    """The execution was not begun; the text says why. Nothing was sent and nothing is recorded."""


class OverloadedError(NotAcceptedError):
    """As many executions as allowed are in flight, and as many as allowed wait."""


class AbandonedError(NotAcceptedError):
    """Its caller went away while it waited for its turn."""


class DrainingError(NotAcceptedError):
    """The coordinator is shutting down."""


class StoreUnavailableError(NotAcceptedError):
    """History cannot be written, so nothing is executed that could not be recorded."""


class NoExitError(NotAcceptedError):
    """No exit is there for an execution of a batch, which can wait for one."""
