"""The header `Idempotency-Key` of `POST /api/execute`: step 1 of a request's way, and a short cut to its end.

What was answered once is answered again from the history, with the status that it had. What would surprise: such an
answer has as much of the body as history keeps.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pykka

from dispatcher.actors.errors import StoreError
from dispatcher.errors import FailureKind
from dispatcher.idempotency import KEY_PATTERN, KeyLostError, KeyReusedError, KeyRunningError, digest_of, parse_key
from dispatcher.web.problems import RETRY_AFTER_SECONDS, Problem

if TYPE_CHECKING:
    from dispatcher.request import RequestSpec
    from dispatcher.web.base import BaseHandler

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
PARAMETER = {
    "description": "the same key gives the same record, for as long as that is kept",
    "schema": {"type": "string", "pattern": KEY_PATTERN},
}


def key_of(handler: BaseHandler) -> str | None:
    """Return the caller's key, None where there is none. Raises `Problem` 400 for what is none."""
    header = handler.request.headers.get(HEADER)
    if header is None:
        return None
    try:
        return parse_key(header)
    except ValueError as error:
        raise Problem(400, "malformed_idempotency_key", f"{HEADER} {error}") from error


def refuse_key(handler: BaseHandler) -> None:
    """Refuse a key where it would not count, rather than execute twice for one who relies on it. Raises `Problem`."""
    if HEADER in handler.request.headers:
        raise Problem(400, "malformed_idempotency_key", f"{HEADER} counts with POST only")


async def claim(handler: BaseHandler, key: str, spec: RequestSpec) -> bytes | None:
    """Claim the key for a request; return the record that it has already, None where the request is to be executed.

    Raises:
        Problem: 409 while the first runs or where it left no record, 422 for another request, 503 without a history.
    """
    digest = await handler.apart(lambda: digest_of(spec), stored=len(spec.body or b""))
    try:
        return await handler.services.keys.claim(key, digest)
    except KeyRunningError as error:
        again = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        raise Problem(409, "idempotency_key_running", str(error), headers=again) from error
    except KeyLostError as error:
        raise Problem(409, "idempotency_key_lost", str(error)) from error
    except KeyReusedError as error:
        raise Problem(422, "idempotency_key_reused", str(error)) from error
    except (StoreError, TimeoutError, pykka.ActorDeadError) as error:
        detail = str(error) or f"the history does not answer ({type(error).__name__})"
        raise Problem(503, "store_unavailable", detail) from error


def replay(handler: BaseHandler, record: bytes) -> None:
    """Answer with a record of the history as it was answered first. Raises the `Problem` that it was."""
    content = json.loads(record)
    error = content["error"]
    if error is None:
        handler.set_header(REPLAYED, "true")
        handler.write_json(record)
        return
    kind = FailureKind[error["kind"].upper()]
    raise Problem(kind.http_status, str(kind), error["detail"], headers={REPLAYED: "true"}, execution=content)
