"""What the product is compared with: aiohttp behind a proxy that takes its source addresses in turn.

HAProxy and Squid are used where they are installed (Debian has both). aiohttp goes into a folder of its own below
`build/`, from `peers.lock` and checked against its hashes: nothing else here needs it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.support.processes import Process, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
LOCK = Path(__file__).with_name("peers.lock")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"

_HAPROXY = """
global
  maxconn 1024
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend all
  bind 127.0.0.1:{port}
  default_backend target
backend target
  balance roundrobin
{servers}
"""

_SQUID = """
http_port 127.0.0.1:{port}
http_access allow all
cache deny all
access_log none
cache_log {directory}/cache.log
cache_store_log none
pid_filename {directory}/squid.pid
coredump_dir {directory}
netdb_filename none
shutdown_lifetime 0 seconds
via off
forwarded_for delete
{sources}
"""


class MissingError(Exception):
    """A peer is not there; the text names it."""


@dataclass(frozen=True)
class Way:
    """How aiohttp reaches the target: by which URL, and through which proxy if any."""

    url: str
    proxy: str = ""


def prepare() -> None:
    """Fetch what is missing and can be fetched; a private network has no way to it."""
    with contextlib.suppress(MissingError):
        aiohttp_folder()


def program(name: str) -> str:
    """Return where a program is. Raises `MissingError`."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise MissingError(f"{name} is not installed")
    return found


def aiohttp_folder() -> Path:
    """Return a folder that aiohttp can be imported from; made once a lock. Raises `MissingError`."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    folder = ROOT / "build" / f"peers-{sys.implementation.cache_tag}-{digest}"
    if not folder.is_dir():
        making = folder.with_suffix(".new")
        command = ["pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:", "--target", str(making)]
        done = subprocess.run([sys.executable, "-m", "uv", *command, "-r", str(LOCK)], check=False)
        if done.returncode:
            raise MissingError("aiohttp cannot be installed")
        making.rename(folder)
    return folder


@contextlib.contextmanager
def haproxy(directory: Path, target: str, sources: Sequence[str]) -> Iterator[Way]:
    """Run HAProxy with a server for each source, all of them the target."""
    place, port = urlsplit(target).netloc, _free_port()
    servers = [f"  server s{number} {place} source ipv6@[{each}]:0" for number, each in enumerate(sources)]
    config = directory / "haproxy.cfg"
    config.write_text(_HAPROXY.format(port=port, servers="\n".join(servers)))
    with _listening([program("haproxy"), "-db", "-q", "-f", str(config)], port):
        yield Way(f"http://127.0.0.1:{port}/")


@contextlib.contextmanager
def squid(directory: Path, target: str, sources: Sequence[str]) -> Iterator[Way]:
    """Run Squid, which draws a source for each request."""
    port = _free_port()
    lines = [
        f"acl r{number} random 1/{len(sources) - number}\ntcp_outgoing_address {each} r{number}"
        for number, each in enumerate(sources)
    ]
    config = directory / "squid.conf"
    config.write_text(_SQUID.format(port=port, directory=directory, sources="\n".join(lines)))
    directory.chmod(0o777)  # it gives up being root
    with _listening([program("squid"), "-N", "-f", str(config)], port):
        yield Way(target, f"http://127.0.0.1:{port}")


class AioHttp:
    """aiohttp in a process of its own, with a session that stays."""

    def __init__(self, way: Way, connections: int) -> None:
        environment = os.environ | {"PYTHONPATH": str(aiohttp_folder())}
        argv = [
            sys.executable,
            str(Path(__file__).with_name("aiohttp_client.py")),
            way.url,
            way.proxy,
            str(connections),
        ]
        self._popen = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )

    def rate(self, count: int, sources: int) -> float:
        """Return requests a second; they must have left from so many addresses."""
        pipe_in, pipe_out = self._popen.stdin, self._popen.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        pipe_in.write(f"{count}\n")
        pipe_in.flush()
        found = json.loads(pipe_out.readline())
        assert (count, sources) == (sum(found["seen"].values()), len(found["seen"])), found["seen"]
        return count / float(found["seconds"])

    def close(self) -> None:
        """End it."""
        self._popen.communicate()


@contextlib.contextmanager
def _listening(argv: Sequence[str], port: int) -> Iterator[None]:
    """Run a proxy once it takes connections."""
    process = Process(Path(argv[0]).name, argv)
    try:
        eventually(lambda: not process.is_running or _answers(port), f"{process.name} listens")
        assert process.is_running, process.everything()
        yield
    finally:
        process.kill()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
