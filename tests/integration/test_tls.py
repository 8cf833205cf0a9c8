"""TLS between real processes: what users see of certificates that are right, wrong, renewed and broken."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.certificates import Authority, Pair
from tests.support.cluster import Cluster, serving
from tests.support.processes import Process
from tests.support.targets import Echo

SOURCE = "::1"


class Deployment:
    """A coordinator that speaks TLS, and whoever talks to it. Each process ends with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder)
        self.pair = self.authority.pair("coordinator")
        self.url = ""
        self._cluster = Cluster(folder)

    def start(self, name: str, *arguments: str) -> Process:
        """Start the program."""
        return self._cluster.start(name, *arguments)

    def coordinator(self, *options: str, pair: Pair | None = None) -> Process:
        """Start a coordinator and wait until it is ready."""
        pair = pair or self.pair
        files = ("--tls-cert", str(pair.cert), "--tls-key", str(pair.key))
        place = ("--port", "0", "--state-dir", str(self.folder / "state"))
        process = self.start("coordinator", "coordinator", *place, *files, *options)
        self.url = process.wait_for_line("coordinator ready on https://").rpartition(" ")[2]
        return process

    def agent(self, *options: str, agent_id: str = "a1", url: str = "", authority: Authority | None = None) -> Process:
        """Start an agent."""
        trusted = ("--ca-file", str((authority or self.authority).file))
        self._cluster.url = url or self.url
        return self._cluster.begin_agent(agent_id, [SOURCE], "--reconnect-max", "0.2", *trusted, *options)

    def call(self, method: str, path: str, content: Any = None, *, authority: Authority | None = None) -> Any:
        """Call an endpoint with Python's own client, and return the JSON."""
        parts = urlsplit(self.url)
        context = (authority or self.authority).client()
        connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=context, timeout=30)
        headers = {} if content is None else {"Content-Type": "application/json"}
        with contextlib.closing(connection):
            connection.request(method, path, None if content is None else json.dumps(content), headers)
            answer = connection.getresponse()
            assert answer.status < 300, answer.read()
            return json.loads(answer.read())

    def shown(self) -> bytes | None:
        """The certificate that the coordinator shows now."""
        parts = urlsplit(self.url)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        place = parts.hostname or "", parts.port or 0
        with socket.create_connection(place, 30) as plain, context.wrap_socket(plain) as secure:
            return secure.getpeercert(binary_form=True)

    def end(self) -> None:
        """End all, agents first."""
        for process in reversed(self._cluster.processes):
            process.end()


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    running = Deployment(tmp_path)
    yield running
    running.end()


def certificate(pair: Pair) -> bytes:
    """The first certificate in a file."""
    return ssl.PEM_cert_to_DER_cert(pair.cert.read_text().partition("-----END CERTIFICATE-----")[0] + END)


END = "-----END CERTIFICATE-----\n"


def run_once(deployment: Deployment, *options: str) -> Process:
    """Run `monitor --once --json` to its end."""
    process = deployment.start("monitor", "monitor", "--coordinator-url", deployment.url, "--once", "--json", *options)
    process.wait()
    return process


def test_an_execution_goes_all_its_way_with_tls_between_all_who_talk(deployment: Deployment) -> None:
    deployment.coordinator()
    deployment.agent().wait_for_line("connected to https://")
    with serving(Echo(SOURCE)) as target:
        deployment.call("POST", "/api/config/request", {"url": target.url()})
        record = deployment.call("GET", "/api/execute")
    assert ("completed", SOURCE, 200) == (record["outcome"], record["source_ip"], record["response"]["status"])
    monitor = run_once(deployment, "--ca-file", str(deployment.authority.file))
    assert 0 == monitor.wait()
    assert f'"{record["id"]}"' in monitor.out[0]


def test_a_monitor_that_does_not_trust_the_certificate_says_so(deployment: Deployment) -> None:
    deployment.coordinator()
    monitor = run_once(deployment)
    assert 3 == monitor.wait()
    (line,) = monitor.lines
    assert line.startswith(f"dispatcher.pyz: {deployment.url} does not answer: its certificate is not of an authority")
    assert line.endswith("with --ca-file")


def test_a_monitor_that_speaks_http_to_https_is_told(deployment: Deployment) -> None:
    deployment.coordinator()
    deployment.url = deployment.url.replace("https", "http")
    monitor = run_once(deployment)
    assert 3 == monitor.wait()
    (line,) = monitor.lines
    assert "use https:// instead of http:// in the URL" in line


@pytest.mark.parametrize(
    ("names", "days", "said"),
    [
        (("127.0.0.1",), (-9, -2), "has expired: the coordinator needs a new one"),
        (("coordinator.example",), (-1, 9), "is for another name (IP address mismatch"),
    ],
)
def test_an_agent_says_what_is_wrong_with_a_certificate_and_connects_once_it_is_right(
    deployment: Deployment, names: tuple[str, ...], days: tuple[int, int], said: str
) -> None:
    wrong = deployment.authority.pair("wrong", *names, days=days)
    coordinator = deployment.coordinator(pair=wrong)
    agent = deployment.agent()
    agent.wait_for_line(f"cannot register with {deployment.url}: its certificate {said}", times=2)
    deployment.pair.put_in_place_of(wrong)
    coordinator.signal(signal.SIGHUP)
    agent.wait_for_line("connected to https://")
    agent.expect("its certificate")
    assert [] == agent.alarms()


def test_an_agent_that_does_not_know_the_authority_says_which_option_helps_and_keeps_trying(
    deployment: Deployment,
) -> None:
    coordinator = deployment.coordinator()
    other = Authority(deployment.folder, "other")
    agent = deployment.agent(authority=other)
    agent.wait_for_line("name the file of the right authority with --ca-file", times=2)
    coordinator.wait_for_line("it does not take this coordinator's certificate (unknown ca)")
    # The file that it trusts may be put right while it runs.
    deployment.authority.file.replace(other.file)
    agent.wait_for_line("connected to https://")


def test_an_agent_with_the_wrong_scheme_is_told_in_words_either_way(deployment: Deployment) -> None:
    deployment.coordinator()
    http_to_https = deployment.start(
        "agent", "agent", "--coordinator-url", deployment.url.replace("https", "http"), "--address", SOURCE
    )
    http_to_https.wait_for_line("this coordinator speaks https here: use https:// instead of http:// in the URL")
    place = ("--port", "0", "--state-dir", str(deployment.folder / "plain"))
    plain = deployment.start("coordinator", "coordinator", *place)
    url = plain.wait_for_line("coordinator ready on http://").rpartition(" ")[2]
    https_to_http = deployment.agent(url=url.replace("http", "https"))
    https_to_http.wait_for_line("no TLS is spoken there: use http:// in --coordinator-url")
    plain.wait_for_line("it speaks TLS")


def test_renewed_files_are_noticed_and_a_running_agent_keeps_its_link(deployment: Deployment) -> None:
    coordinator = deployment.coordinator()
    agent = deployment.agent()
    agent.wait_for_line("connected to https://")
    assert certificate(deployment.pair) == deployment.shown()
    renewed = deployment.authority.pair("renewed")
    expected = certificate(renewed)
    renewed.put_in_place_of(deployment.pair)
    coordinator.wait_for_line("read the TLS files again")
    assert expected == deployment.shown()
    (seen,) = deployment.call("GET", "/api/agents")["agents"]
    assert "connected" == seen["state"]
    assert [] == agent.alarms()


def test_broken_files_are_warned_of_and_the_old_certificate_goes_on(deployment: Deployment) -> None:
    coordinator = deployment.coordinator()
    before = certificate(deployment.pair)
    deployment.pair.cert.write_text("half a certi")
    line = coordinator.wait_for_line("the new TLS files cannot be used, the old certificates go on")
    assert " WARNING " in line
    assert f"--tls-cert: {deployment.pair.cert} holds no certificate" in line
    assert before == deployment.shown()
    deployment.authority.pair("renewed").put_in_place_of(deployment.pair)
    coordinator.wait_for_line("read the TLS files again")
    assert certificate(deployment.pair) == deployment.shown()


def test_agents_have_to_show_a_certificate_where_the_coordinator_wants_one(deployment: Deployment) -> None:
    clients = Authority(deployment.folder, "clients")
    stranger, ours = Authority(deployment.folder, "strangers").pair("agent"), clients.pair("agent")
    deployment.coordinator("--tls-client-ca", str(clients.file))
    without = deployment.agent()
    without.wait_for_line("an agent has to show a client certificate to this coordinator")
    shown = ("--tls-cert", str(stranger.cert), "--tls-key", str(stranger.key))
    wrong = deployment.agent(*shown, agent_id="a2")
    wrong.wait_for_line("the coordinator refused the TLS certificate of this end (unknown ca); see --tls-cert")
    right = deployment.agent("--tls-cert", str(ours.cert), "--tls-key", str(ours.key), agent_id="a3")
    right.wait_for_line("connected to https://")
    # The authority of the agents vouches for nobody else, and nobody else needs it to.
    assert 1 == deployment.call("GET", "/api/pool/status")["size"]


def test_a_pair_that_does_not_match_ends_the_start_with_one_line(deployment: Deployment) -> None:
    other = deployment.authority.pair("other")
    files = ("--tls-cert", str(deployment.pair.cert), "--tls-key", str(other.key))
    process = deployment.start("coordinator", "coordinator", "--port", "0", *files)
    assert 2 == process.wait()
    assert [f"dispatcher.pyz: --tls-cert: {deployment.pair.cert} is not for the key in {other.key}"] == process.lines
