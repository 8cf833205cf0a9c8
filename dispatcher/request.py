"""The request that a user configures, ready to be sent: step 1 of a request's way makes it, step 3 sends it.

Plain data, checked by `web/schemas.py` before it gets here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dispatcher.wire.messages import Execute, HttpVersion
from dispatcher.wire.sharing import Likewise

DEFAULT_TIMEOUT_SECONDS = 30.0
DEFAULT_MAX_REDIRECTS = 5
DEFAULT_MAX_BODY_BYTES = 10 * 1024 * 1024

MAX_RETRIES = 10
"""The most that a configuration may ask for. Each is one more lease and one more request to the target."""

IDEMPOTENT_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))
"""Methods of which sending twice is meant to do what sending once does (RFC 9110, 9.2.2)."""


def is_repeatable(method: str, header_names: Iterable[str]) -> bool:
    """Say whether a request may be retried: by its method, or because the target is told a key to know it again by."""
    return method in IDEMPOTENT_METHODS or any(name.lower() == "idempotency-key" for name in header_names)


@dataclass(frozen=True, slots=True)
class RequestSpec:
    """One HTTP request. `timeout` is seconds for waiting, transfer and retries together; `body` None sends none."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    follow_redirects: bool = False
    max_redirects: int = DEFAULT_MAX_REDIRECTS
    verify_tls: bool = True
    http_version: HttpVersion = HttpVersion.AUTO
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    retries: int = 0
    _asked: Execute = field(init=False, repr=False, compare=False)
    """What its executions share; the link knows by this object that they do."""

    def __post_init__(self) -> None:
        """Make it once for all of them."""
        object.__setattr__(self, "_asked", self._execute("", "", 0.0))

    @property
    def is_idempotent(self) -> bool:
        """Whether sending it twice is meant to do what sending it once does, without a key."""
        return self.method in IDEMPOTENT_METHODS

    def to_execute(self, identifier: str, source: str, timeout: float) -> Execute:
        """Make the message that has an agent send this from `source` within `timeout` seconds."""
        if self.body:
            return self._execute(identifier, source, timeout)
        return Likewise(identifier, source, timeout, self._asked)

    def _execute(self, identifier: str, source: str, timeout: float) -> Execute:
        return Execute(  # by place, which is quicker by half than by name
            identifier,
            source,
            self.method,
            self.url,
            timeout,
            self.headers,
            self.follow_redirects,
            self.max_redirects,
            self.verify_tls,
            self.http_version,
            self.max_body_bytes,
            self.body is not None,
            self.body or b"",
        )
