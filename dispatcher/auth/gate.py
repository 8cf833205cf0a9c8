"""The gate: who asks, by the token that was sent, and what is open with it. Before step 1 of every request's way.

Runs on the event loop and looks nothing up on the disk there: a task reads the file anew, in a thread, when it has
changed. What would surprise: where no token is required one that is sent must be valid all the same, since its sender
believes that it means something.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from dispatcher.auth.roles import Role
from dispatcher.auth.tokens import TokensError, TokenStore, digest, id_of
from dispatcher.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dispatcher.auth.tokens import Token

logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.5
"""Between two looks at the file: a change counts within a second."""

MAX_TOKEN_CHARS = 256
"""A longer one is wrong without being hashed; ours have 55."""

_NOBODY = digest("")


class NoTokenError(Exception):
    """A token is needed, and none was sent."""


class WrongTokenError(Exception):
    """What was sent is no valid token."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. `token_id` is None where no token was sent and none is needed."""

    role: Role
    token_id: str | None = None


_ANYBODY = Identity(Role.ADMIN)
"""Who asks without a token where none is needed."""


class Visitor(Protocol):
    """A request or a WebSocket that is under way with a token."""

    def end_access(self) -> None:
        """End at once: the token was revoked."""


class Gate:
    """Knows the tokens, who is in with which, and who was refused.

    `changes` is how often the tokens have changed: what `identify` said holds for as long as that stays.
    """

    def __init__(self, store: TokenStore, *, is_token_required: bool) -> None:
        """Read the tokens; blocks on the disk.

        Raises:
            TokensError: they cannot be read.
        """
        self.is_token_required = is_token_required
        self.changes = 0
        self._store = store
        self._stamp = store.stamp()
        self._tokens: Mapping[str, Token] = store.read()
        self._visitors: defaultdict[str, WeakSet[Visitor]] = defaultdict(WeakSet)
        self._refusals = Seldom(logger, "requests without a valid token: %d refused, the last from %s")
        self._told = ""

    @property
    def has_tokens(self) -> bool:
        """Whether anybody could get in with a token."""
        return bool(self._tokens)

    def identify(self, authorization: str | None) -> Identity:
        """Say who sent this `Authorization` header (None: none was sent).

        Raises:
            NoTokenError: none was sent, and one is needed.
            WrongTokenError: another scheme, or no token that is valid here.
        """
        if authorization is None:
            if self.is_token_required:
                raise NoTokenError
            return _ANYBODY
        scheme, _, value = authorization.partition(" ")
        token = value.strip()
        if scheme.lower() != "bearer" or not 0 < len(token) <= MAX_TOKEN_CHARS:
            raise WrongTokenError
        known = self._tokens.get(id_of(token))
        # The same work whether the id is known or not, and a comparison that takes as long wherever they differ.
        is_right = hmac.compare_digest(digest(token), known.sha256 if known is not None else _NOBODY)
        if known is None or not is_right:
            raise WrongTokenError
        return Identity(known.role, known.id)

    def enter(self, identity: Identity, visitor: Visitor) -> None:
        """Remember what is open with a token, to end it when the token is revoked."""
        if identity.token_id is not None:
            self._visitors[identity.token_id].add(visitor)

    def leave(self, identity: Identity, visitor: Visitor) -> None:
        """Forget what has ended."""
        if identity.token_id is not None:
            self._visitors[identity.token_id].discard(visitor)

    def refused(self, remote: str) -> None:
        """Count a request that was refused for its token, and log a line a second at most."""
        self._refusals.count(remote)

    async def watch(self) -> None:
        """Notice for ever that tokens were made or revoked."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                stamp = await asyncio.to_thread(self._store.stamp)
                if stamp == self._stamp:
                    continue
                tokens = await asyncio.to_thread(self._store.read)
            except TokensError as error:
                self._complain(str(error))
                continue
            # Of the look before the reading: a change in between is seen with the next look.
            self._stamp, self._told = stamp, ""
            self._replace(tokens)

    def _complain(self, text: str) -> None:
        if text != self._told:
            self._told = text
            logger.error("%s; the tokens known until now stay valid", text)

    def _replace(self, tokens: Mapping[str, Token]) -> None:
        revoked = self._tokens.keys() - tokens.keys()
        self._tokens = tokens
        self.changes += 1
        logger.info("%d tokens are valid now", len(tokens))
        for token_id in revoked:
            visitors = list(self._visitors.pop(token_id, ()))
            logger.info("token %s was revoked; %d connections with it end", token_id, len(visitors))
            for visitor in visitors:
                visitor.end_access()
