"""The configured request, kept ready on the event loop: step 1 of a request's way takes it from here.

`ConfigStore` owns it on the disk. Its only writer is the configuration's handler, which puts here what was committed,
so an execution pays for no hop to the store.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dispatcher.request import RequestSpec
from dispatcher.web.schemas import RequestSchema
from dispatcher.wire.messages import HttpVersion

if TYPE_CHECKING:
    from dispatcher.actors.messages import StoredRequest

SCHEMA = RequestSchema()

BODY_FIELDS = ("body", "body_base64")
"""Where a request's body stands, as text or as base64."""


class Configured:
    """What the next execution sends."""

    def __init__(self, stored: StoredRequest | None) -> None:
        """Take what the store had at the start."""
        self.stored = stored
        self.spec = None if stored is None else to_spec(stored.request)

    def replace(self, stored: StoredRequest, spec: RequestSpec) -> None:
        """Take what was committed and the request that it means, unless a newer one is here already."""
        if self.stored is None or stored.revision > self.stored.revision:
            self.stored, self.spec = stored, spec

    @property
    def body_size(self) -> int:
        """How large the stored body is, as it is stored."""
        return 0 if self.stored is None else sum(len(self.stored.request[name] or "") for name in BODY_FIELDS)

    def merged(self, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration with `overrides` over it, to be checked as a whole."""
        base = dict(self.stored.request) if self.stored is not None else {}
        if any(overrides.get(name) is not None for name in BODY_FIELDS):
            base.update(dict.fromkeys(BODY_FIELDS))
        return {**base, **overrides}


def to_spec(loaded: Mapping[str, Any]) -> RequestSpec:
    """Make a request of what `RequestSchema` loaded."""
    body = None
    if loaded["body"] is not None:
        body = loaded["body"].encode("utf-8")
    elif loaded["body_base64"] is not None:
        body = base64.b64decode(loaded["body_base64"])
    return RequestSpec(
        url=loaded["url"],
        method=loaded["method"],
        headers=tuple((name, value) for name, value in loaded["headers"]),
        body=body,
        timeout=loaded["timeout"],
        follow_redirects=loaded["follow_redirects"],
        max_redirects=loaded["max_redirects"],
        verify_tls=loaded["verify_tls"],
        http_version=HttpVersion(loaded["http_version"]),
        max_body_bytes=loaded["max_body_bytes"],
        retries=loaded.get("retries", 0),  # what an older version stored has none
    )
