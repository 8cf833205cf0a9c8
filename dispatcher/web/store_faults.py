"""What a client is told where the history or the configuration has no answer. Beside step 9 of a request's way.

What would surprise: no answer is a fault of the store too. A file that another program keeps locked holds up the
actor that writes it for some seconds a try, so that those behind it wait until their deadline.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pykka

from dispatcher.actors.errors import StoreError
from dispatcher.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def store_faults_told(what: str) -> Iterator[None]:
    """Answer with 503 `store_unavailable` where the block asks `what` in vain. Raises the `Problem` that it is."""
    try:
        yield
    except StoreError as error:
        raise Problem(503, "store_unavailable", str(error)) from error
    except (TimeoutError, pykka.ActorDeadError) as error:
        detail = f"{what} does not answer ({type(error).__name__})"
        raise Problem(503, "store_unavailable", detail) from error
