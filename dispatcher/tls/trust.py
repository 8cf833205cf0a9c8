"""Where this machine keeps the certificates it trusts. Read once, when the executor is made.

The libcurl inside a pycurl wheel knows only the place of the system it was built on, which most gateways are not.
"""

from __future__ import annotations

import ssl
from pathlib import Path

KNOWN_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS, BSDs
)


def find_ca_file() -> str | None:
    """Return the file of trusted certificates; None leaves libcurl's own default.

    The first that exists of: the environment's SSL_CERT_FILE, this Python's OpenSSL's, the systems' usual places.
    """
    own = ssl.get_default_verify_paths().cafile
    candidates = ([own] if own else []) + list(KNOWN_FILES)
    return next((path for path in candidates if Path(path).is_file()), None)
