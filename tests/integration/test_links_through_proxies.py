"""A reverse proxy between agents and their coordinator, as most who serve TLS have one: nginx, and HAProxy."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import SOURCES
from tests.support import invariants
from tests.support.cluster import Cluster, wait_for_requests
from tests.support.processes import eventually
from tests.support.targets import Echo

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
EXITS = SOURCES[:2]
LARGE = 5_000_000

_NGINX = """
daemon off; master_process off; error_log stderr warn; pid {folder}/pid; events {{}}
http {{
  access_log off; client_max_body_size 64m; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  map $http_upgrade $upgrade_or_close {{ default upgrade; "" close; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1;
      proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $upgrade_or_close;
    }}
  }}
}}
"""
_HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout tunnel 60s
frontend front
  bind 127.0.0.1:{port}
  default_backend back
backend back
  server coordinator 127.0.0.1:{behind}
"""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
        return True
    return False


@contextlib.contextmanager
def proxied(name: str, folder: Path, behind: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Run a proxy before a port; gives its URL, and what ends it at once."""
    binary = shutil.which(name, path=_PATH)
    if binary is None:
        pytest.skip(f"needs {name}")
    port = _free_port()
    folder.mkdir()
    written = folder / "configuration"
    written.write_text((_NGINX if name == "nginx" else _HAPROXY).format(folder=folder, port=port, behind=behind))
    options = ["-p", str(folder), "-c", str(written)] if name == "nginx" else ["-db", "-f", str(written)]
    process = subprocess.Popen([binary, *options])

    def end() -> None:
        process.kill()
        process.wait(10)

    try:
        eventually(lambda: _answers(port), f"{name} listening")
        yield f"http://127.0.0.1:{port}", end
    finally:
        end()


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_a_link_through_a_proxy_carries_what_a_link_does_and_ends_with_it(
    name: str, cluster: Cluster, target: Echo, tmp_path: Path
) -> None:
    coordinator = cluster.coordinator()
    with proxied(name, tmp_path / name, cluster.port) as (url, end_proxy):
        agent = cluster.agent("agent-01", EXITS, "--drain-timeout", "0.2", url=url)
        client = cluster.client
        client.wait_for_exits(len(EXITS))
        client.configure(target.url("/"), timeout=60, max_body_bytes=LARGE)
        many = [client.begin(url=target.url(f"/{number}")) for number in range(200)]
        large = [client.begin(url=target.url(f"/bytes/{LARGE}?{number}")) for number in range(2)]
        sent = [client.begin(url=target.url(f"/sent/{n}"), method="POST", body="x" * LARGE) for n in range(2)]
        answers = [each.result() for each in (*many, *large, *sent)]
        assert [200] * 204 == [answer.status for answer in answers]
        assert [LARGE] * 2 == [each.result().record["response"]["body"]["size"] for each in large]
        invariants.check_rotation(client.history(), EXITS)
        hung = client.begin(url=target.url("/fault/hang"))
        wait_for_requests(target, 205)
        coordinator.expect("agent agent-01 gone: the link was closed")
        agent.expect("WARNING")
        end_proxy()
        assert (502, "unknown", "agent_lost", "agent") == hung.result().failure
        assert 0 == client.available()
        owners = dict.fromkeys(EXITS, "agent-01")
        answers.append(hung.result())
        invariants.check(client, cluster.state_dir, answers=answers, requests=target.requests, owners=owners)
