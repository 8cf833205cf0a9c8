"""nginx as a target, where it is installed: HTTP/1.1 and HTTP/2, with and without TLS, as most of the world has it."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import trustme

BINARY = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

_SITE = """
daemon off; master_process off; error_log stderr notice; pid {directory}/pid;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests {keepalive_requests}; client_max_body_size 64m;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  ssl_certificate {directory}/cert.pem; ssl_certificate_key {directory}/key.pem;
  ssl_session_cache shared:s:1m;
  server {{
    listen {plain}; listen {h2c} http2; listen {tls11} ssl; listen {tls} ssl http2;
    location / {{ return 200 "$remote_addr $server_protocol $ssl_session_reused $connection"; }}
    location /files/ {{ alias {directory}/files/; }}
  }}
}}
"""


@contextlib.contextmanager
def running(
    directory: Path, address: str, certificate: trustme.LeafCert, *, keepalive_requests: int = 100_000
) -> Iterator[dict[str, str]]:
    """Run nginx; gives base URLs by listener: `plain`, `h2c` (prior knowledge), `tls11` (no h2), `tls` (both).

    It listens when this is entered. Files under ``directory/files`` are served at ``/files/``; every other path
    answers with the peer's address, the version, whether the TLS session was resumed ("r") or not ("."), and the
    connection's number. A connection is ended after `keepalive_requests`.
    """
    assert BINARY is not None, "nginx is not installed"
    names = ("plain", "h2c", "tls11", "tls")
    places = {name: f"[{address}]:{port}" for name, port in zip(names, _free_ports(address, 4), strict=True)}
    (directory / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    (directory / "key.pem").write_bytes(certificate.private_key_pem.bytes())
    (directory / "files").mkdir(exist_ok=True)
    (directory / "nginx.conf").write_text(
        _SITE.format(directory=directory, keepalive_requests=keepalive_requests, **places)
    )
    argv = [BINARY, "-p", str(directory), "-c", str(directory / "nginx.conf")]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        # Its first notice comes when it has opened its sockets.
        said = list(itertools.takewhile(lambda line: "event method" not in line, process.stderr))
        assert process.poll() is None, said
        yield {name: f"{'https' if 'tls' in name else 'http'}://{place}" for name, place in places.items()}
    finally:
        process.terminate()
        process.communicate(timeout=10)


def _free_ports(address: str, count: int) -> list[int]:
    """So many different ports that were free just now."""
    with contextlib.ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server((address, 0), family=socket.AF_INET6)) for _ in range(count)
        ]
        return [listener.getsockname()[1] for listener in listeners]
