"""`Idempotency-Key` of a caller: the same key gives the same record. Step 1 of a request's way, on the event loop.

The keys that run now are known here, the others to the history, which claims a key before anything is sent under it.
What would surprise: an execution of which nothing was sent (no exit, no turn, no room) leaves its key unused, because
its answer asks to try again. Not to be confused with a header of that name that the target is sent.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from typing import TYPE_CHECKING, Any

from dispatcher.actors.loop_actor import ask, tell_or_drop
from dispatcher.actors.messages import ClaimKey, ReleaseKey
from dispatcher.not_accepted import NotAcceptedError
from dispatcher.record import dump_everywhere_alike
from dispatcher.request import RequestSpec

if TYPE_CHECKING:
    import asyncio

    import pykka

    from dispatcher.record import Record

MAX_KEY_CHARS = 255

_IN_QUOTES = r'(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])'
_BARE_CHAR = r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]"
_QUOTED = re.compile(f'"({_IN_QUOTES}*)"')
_BARE = re.compile(f"{_BARE_CHAR}+")
"""What most clients send: the key without quotes. No comma, semicolon, backslash or quote."""

KEY_PATTERN = f'^({_BARE_CHAR}{{1,{MAX_KEY_CHARS}}}|"{_IN_QUOTES}{{1,{MAX_KEY_CHARS}}}")$'
"""What `parse_key` takes, for the API's document."""


class KeyRunningError(Exception):
    """The first execution with this key has not ended."""


class KeyReusedError(Exception):
    """The key belongs to another payload."""


class KeyLostError(Exception):
    """The key was claimed, and its execution left no record."""


def parse_key(header: str) -> str:
    """Return the key of an `Idempotency-Key` header: a string of RFC 8941, or its content without quotes.

    Raises:
        ValueError: it is none, or longer than `MAX_KEY_CHARS`.
    """
    text = header.strip()
    if quoted := _QUOTED.fullmatch(text):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    elif _BARE.fullmatch(text):
        key = text
    else:
        raise ValueError('must be one string of printable ASCII, such as "8e03978e-40d5-43e8-bc93-6894a57f9324"')
    if not 1 <= len(key) <= MAX_KEY_CHARS:
        raise ValueError(f"must have 1 to {MAX_KEY_CHARS} characters")
    return key


def digest_of(request: RequestSpec) -> bytes:
    """Return the SHA-256 of all that a request says; what is as by default counts for nothing, so versions agree."""
    said: dict[str, Any] = {}
    for field in dataclasses.fields(RequestSpec):
        value = getattr(request, field.name)
        if field.init and value != field.default:
            # A body by its own digest: making one text of 16 MiB would hold up the event loop from any thread.
            said[field.name] = hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else value
    return hashlib.sha256(dump_everywhere_alike(said)).digest()


class IdempotencyKeys:
    """The keys of executions."""

    def __init__(self, history: pykka.ActorRef[Any]) -> None:
        """Keep keys in `history`."""
        self._history = history
        self._running: dict[str, bytes] = {}

    async def claim(self, key: str, digest: bytes) -> bytes | None:
        """Return the record of the execution that had this key, as JSON; None where the caller is the first.

        The first has to call `hold` or `release` next.

        Raises:
            KeyRunningError, KeyReusedError, KeyLostError: the key is taken.
            StoreError, TimeoutError, pykka.ActorDeadError: the history could not be asked.
        """
        if key in self._running:
            _demand_same(self._running[key], digest)
            raise KeyRunningError("the execution with this Idempotency-Key has not ended yet")
        self._running[key] = digest
        is_first = False
        try:
            found = await ask(self._history, ClaimKey(key, digest))
            is_first = found.is_new
        finally:
            if not is_first:
                del self._running[key]
        if is_first:
            return None
        _demand_same(found.digest, digest)
        if found.record is None:
            raise KeyLostError(
                "the execution with this Idempotency-Key left no record: the coordinator or its disk failed meanwhile, "
                "and whether the target got the request is not known"
            )
        return found.record

    def hold(self, key: str, execution: asyncio.Future[Record]) -> None:
        """Keep the key claimed until its execution has ended, whoever still waits for that."""
        execution.add_done_callback(lambda ended: self._let_go(key, ended))

    def release(self, key: str) -> None:
        """Give back a key under which nothing was sent."""
        self._running.pop(key, None)
        tell_or_drop(self._history, ReleaseKey(key))

    def _let_go(self, key: str, ended: asyncio.Future[Record]) -> None:
        if _may_have_sent(ended):
            self._running.pop(key, None)
        else:
            self.release(key)


def _may_have_sent(ended: asyncio.Future[Record]) -> bool:
    if ended.cancelled():
        return True
    error = ended.exception()
    if error is not None:
        return not isinstance(error, NotAcceptedError)
    return ended.result().idempotency_key is not None


def _demand_same(known: bytes, digest: bytes) -> None:
    if known != digest:
        raise KeyReusedError("this Idempotency-Key belongs to another request: use a new key for each")
