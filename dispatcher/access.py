"""How a command reaches its coordinator: the URL, and over TLS whom it trusts and what it shows. On the event loop.

Every request and WebSocket of an agent or a monitor to the coordinator passes through `prepare`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tornado.httpclient import HTTPClientError

from dispatcher.auth import credentials
from dispatcher.tls import reload
from dispatcher.tls.contexts import ClientFiles

if TYPE_CHECKING:
    from pathlib import Path

    from tornado.httpclient import HTTPRequest


class Access:
    """One coordinator as a command sees it. `url` has no slash at its end."""

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        ca_file: Path | None = None,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
    ) -> None:
        """Show `token` if there is one; read the files, where the URL is https.

        Raises:
            SettingsError: a line for each file that is wrong.
        """
        self.url = url
        self._token = token
        self._certificates: reload.Certificates | None = None
        if self.is_secure:
            self._certificates = reload.Certificates(ClientFiles(ca_file, tls_cert, tls_key))

    @property
    def is_secure(self) -> bool:
        """Whether what is said to the coordinator is encrypted, and the coordinator proves who it is."""
        return self.url.startswith("https:")

    async def prepare(self, request: HTTPRequest) -> HTTPRequest:
        """Give a request what the coordinator asks of this end. Files that changed are read again.

        Nobody is followed to another place: the token is meant for this one.
        """
        request.follow_redirects = False
        request.headers.update(credentials.headers(self._token))
        if self._certificates is not None:
            await reload.refresh(self._certificates)
            request.ssl_options = self._certificates.context
        return request

    def socket_url(self, url: str) -> str:
        """Return a WebSocket's URL, never a less safe one than `url` of this: a proxy that ends TLS cannot tell it."""
        return f"wss:{url.removeprefix('ws:')}" if self.is_secure and url.startswith("ws:") else url


def problem_detail(error: BaseException) -> str | None:
    """Return what the coordinator said of a request that it refused; None where no coordinator said anything."""
    if not isinstance(error, HTTPClientError) or error.response is None:
        return None
    try:
        content = json.loads(error.response.body)
    except ValueError:
        return None
    detail = content.get("detail") if isinstance(content, dict) else None
    return detail if isinstance(detail, str) else None
