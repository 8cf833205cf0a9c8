"""Certificates of authorities that tests make up, as files. Each pair is of one authority and for the names given."""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

LOCAL = ("127.0.0.1", "localhost", "::1")
"""What a coordinator of a test is called."""

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as files."""

    cert: Path
    key: Path

    def put_in_place_of(self, other: Pair) -> None:
        """Replace another pair's files, each at once, as a renewal does."""
        self.cert.replace(other.cert)
        self.key.replace(other.key)


class Authority:
    """Signs certificates. `file` holds its own."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.file = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(self.file)
        self._name = name

    def pair(self, name: str, *identities: str, days: tuple[int, int] = (-1, 30)) -> Pair:
        """Sign a certificate that is valid between these days from now."""
        now = datetime.now(UTC)
        begins, ends = (now + count * DAY for count in days)
        leaf = self._ca.issue_cert(*(identities or LOCAL), not_before=begins, not_after=ends)
        pair = Pair(self._folder / f"{self._name}-{name}.pem", self._folder / f"{self._name}-{name}.key")
        leaf.private_key_pem.write_to_path(pair.key)
        pair.cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        return pair

    def client(self, shown: Pair | None = None) -> ssl.SSLContext:
        """A client of Python's own that trusts this authority."""
        context = ssl.create_default_context(cafile=str(self.file))
        if shown is not None:
            context.load_cert_chain(shown.cert, shown.key)
        return context


def handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, *, name: str = "localhost"
) -> tuple[ssl.SSLError | None, ssl.SSLError | None, bytes | None]:
    """Shake hands in memory; return the client's error, the server's, and what certificate the server saw.

    An exchange of data is part of it: over TLS 1.3 a client hears only then that it was refused.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=name)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    errors: dict[ssl.SSLObject, ssl.SSLError] = {}
    for _ in range(4):
        for end in (near, far):
            try:
                if end not in errors:
                    end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                errors[end] = error
    if not errors:
        far.write(b"x")
    if near not in errors:
        try:
            with suppress(ssl.SSLWantReadError):
                near.read(1)
        except ssl.SSLError as error:
            errors[near] = error
    seen = None if errors else far.getpeercert(binary_form=True)
    return errors.get(near), errors.get(far), seen
