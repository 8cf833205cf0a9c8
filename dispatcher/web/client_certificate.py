"""Whether an agent has shown a certificate, where the coordinator has `--tls-client-ca`. Step 1 of an agent's way.

The handshake has checked what was shown; this is only about who shows none. What would surprise: it is asked for at the
endpoints of agents and not at the handshake, so that people with `curl`, monitors and probes need none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.web.problems import Problem

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

    from dispatcher.web.services import Services


def check(request: HTTPServerRequest, services: Services) -> None:
    """Let an agent's request pass.

    Raises:
        Problem: 403, it came over a connection without a client certificate.
    """
    if services.needs_client_certificates and not request.get_ssl_certificate(binary_form=True):
        detail = "an agent has to show a client certificate to this coordinator: start it with --tls-cert and --tls-key"
        raise Problem(403, "client_certificate_required", detail)
