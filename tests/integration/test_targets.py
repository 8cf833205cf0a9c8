"""Targets that misbehave, from the caller's side: each fault has its kind, its sentence, its culprit and its status."""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, NamedTuple

import pytest
import trustme

from tests.integration.conftest import SOURCES, TARGET
from tests.support import netns
from tests.support.client import Client
from tests.support.cluster import Cluster, running_cluster, serving
from tests.support.dns_server import answering
from tests.support.targets import ClosingAtOnce, Echo, Mute, Refusing, TlsEcho

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.client import Answer

TIMEOUT = 2.0
GRACE = 3.0
SLACK = 10.0
"""What a busy machine may add: a hang shows as `TIMEOUT + GRACE` from the coordinator, and as an outcome of its own."""

SOURCE = SOURCES[0]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, private_network: None) -> Iterator[Cluster]:
    """A coordinator and one agent for all tests of this module."""
    with running_cluster(tmp_path_factory.mktemp("fleet")) as made:
        made.coordinator("--grace", str(GRACE))
        made.agent("agent-01", [SOURCE])
        made.client.wait_for_exits(1)
        yield made


@pytest.fixture(scope="module")
def site() -> Iterator[Echo]:
    with serving(Echo(TARGET)) as made:
        yield made


@pytest.fixture
def client(fleet: Cluster, site: Echo) -> Iterator[Client]:
    """A user; after each test the agent must still be there and do its work."""
    client = fleet.client
    client.configure(site.url(), timeout=TIMEOUT)
    yield client
    assert SOURCE == client.execute(timeout=30).echo["peer"]
    assert 0 == client.get("/api/stats")["executions"]["in_flight"]


@pytest.fixture
def names() -> Iterator[None]:
    netns.set_hosts({"v4only.test": ["192.0.2.1"], "both.test": ["192.0.2.1", TARGET]})
    with answering({}):
        yield
    netns.set_hosts({})


class Expected(NamedTuple):
    """How an execution must fail: `detail` is a part of the sentence."""

    status: int
    kind: str
    party: str
    detail: str


def check(client: Client, answer: Answer, expected: Expected) -> None:
    """The failure is the expected one, in time, in the same words everywhere."""
    assert (expected.status, "failed", expected.kind, expected.party) == answer.failure
    record = answer.record
    assert expected.detail in record["error"]["detail"]
    assert answer.json["detail"] == record["error"]["detail"]
    assert "application/problem+json" == answer.headers["Content-Type"]
    assert f"urn:http-dispatcher:problem:{expected.kind}" == answer.json["type"]
    assert record["response"] is None
    assert (("agent-01", SOURCE)) == (record["agent_id"], record["source_ip"])
    assert record == client.get(f"/api/history/{record['id']}")
    assert answer.seconds < TIMEOUT + GRACE + SLACK
    if expected.kind == "timeout":
        assert TIMEOUT <= answer.seconds


FAULTS = {
    "hang": Expected(504, "timeout", "target", "the time was up in phase wait"),
    "drip": Expected(504, "timeout", "target", "the time was up in phase receive"),
    "drip-headers": Expected(504, "timeout", "target", "the time was up in phase "),
    "reset": Expected(502, "reset", "target", " before it answered"),
    "reset-in-body": Expected(502, "reset", "target", "ended the connection after "),
    "close-early": Expected(502, "reset", "target", "ended the connection after 10 bytes of the body"),
    "close-in-headers": Expected(502, "reset", "target", "ended the connection within its headers"),
    "huge-headers": Expected(502, "http_protocol", "target", "did not answer in valid HTTP: "),
    "long-header": Expected(502, "http_protocol", "target", "did not answer in valid HTTP: "),
    "invalid": Expected(502, "http_protocol", "target", "did not answer in valid HTTP: "),
    "invalid-chunks": Expected(502, "http_protocol", "target", "did not answer in valid HTTP: "),
    "corrupt-gzip": Expected(502, "http_protocol", "target", "did not answer in valid HTTP: "),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_target_with_a_fault_has_its_own_failure(client: Client, site: Echo, fault: str) -> None:
    answer = client.execute(url=site.url(f"/fault/{fault}"))
    check(client, answer, FAULTS[fault])
    assert f"[{TARGET}]:{site.port}" in answer.record["error"]["detail"]


def test_a_target_that_cuts_an_answer_is_asked_on_another_connection_next(client: Client, site: Echo) -> None:
    # Some answers are there as soon as the request has left, and then libcurl never asks for the connection's events.
    for _ in range(20):
        check(client, client.execute(url=site.url("/fault/close-in-headers")), FAULTS["close-in-headers"])
        assert SOURCE == client.execute().echo["peer"]


def test_a_compression_bomb_is_cut_where_its_decoded_size_passes_the_limit(client: Client, site: Echo) -> None:
    answer = client.execute(url=site.url("/fault/bomb"), max_body_bytes=100_000, timeout=30)
    assert 200 == answer.status
    body = answer.record["response"]["body"]
    assert ("utf-8", True, 100_000) == (body["encoding"], body["truncated"], len(body["data"]))
    assert 100_000 < body["size"] < 1_000_000


def test_a_port_that_refuses(client: Client) -> None:
    with serving(Refusing(TARGET)) as refusing:
        answer = client.execute(url=refusing.url())
    expected = Expected(502, "connect", "target", f"connecting to [{TARGET}]:{refusing.port} from {SOURCE} failed: ")
    check(client, answer, expected)
    assert "Connection refused (ECONNREFUSED)" in answer.record["error"]["detail"]


def test_a_target_that_closes_without_a_word(client: Client) -> None:
    with serving(ClosingAtOnce(TARGET)) as closing:
        answer = client.execute(url=closing.url())
    check(client, answer, Expected(502, "reset", "target", "ended the connection before it answered"))


def test_a_network_without_a_route_which_sets_the_exit_aside_for_a_second(client: Client) -> None:
    answer = client.execute(url="http://[2001:db8:dead::1]/")
    expected = Expected(502, "connect", "agent", f"[2001:db8:dead::1]:80 from {SOURCE} failed: Network is unreachable")
    check(client, answer, expected)
    why = f"set aside, failure 1 in a row: {answer.record['error']['detail']} (execution {answer.record['id']})"
    assert ("aside", why) == (client.pool()[SOURCE]["state"], client.pool()[SOURCE]["reason"])
    client.wait_for_exits(1)


@contextlib.contextmanager
def void(address: str) -> Iterator[None]:
    """An address behind a link where nobody listens."""
    netns.THIS.run(["ip", "link", "add", "void0", "type", "veth", "peer", "name", "void1"])
    try:
        netns.THIS.link_up("void0")
        netns.THIS.link_up("void1")
        netns.THIS.add_route(f"{address}/128", dev="void0")
        netns.THIS.run(["ip", "neigh", "add", address, "lladdr", "02:00:00:00:00:01", "dev", "void0"])
        yield
    finally:
        netns.THIS.run(["ip", "link", "del", "void0"])


def test_a_target_that_never_answers_a_connection(client: Client) -> None:
    with void("2001:db8:bad::1"):
        answer = client.execute(url="http://[2001:db8:bad::1]/")
    check(client, answer, Expected(504, "timeout", "target", "the time was up in phase connect"))


@pytest.mark.usefixtures("names")
def test_a_name_without_ipv6(client: Client) -> None:
    answer = client.execute(url="http://v4only.test/")
    expected = Expected(502, "target_has_no_ipv6", "target", "the name v4only.test has IPv4 addresses only")
    check(client, answer, expected)


@pytest.mark.parametrize("host", ["192.0.2.1", "127.1", "0x7f000001", "[::ffff:192.0.2.1]"])
def test_an_ipv4_literal_in_any_dress(client: Client, host: str) -> None:
    check(client, client.execute(url=f"http://{host}/"), Expected(502, "target_has_no_ipv6", "target", "IPv4"))


@pytest.mark.usefixtures("names")
def test_a_name_with_both_kinds_of_address_is_asked_over_ipv6(client: Client, site: Echo) -> None:
    assert SOURCE == client.execute(url=site.url(host="both.test")).echo["peer"]


@pytest.mark.usefixtures("names")
def test_a_name_that_nobody_knows(client: Client) -> None:
    answer = client.execute(url="http://nowhere.test/")
    check(client, answer, Expected(502, "dns", "resolver", "the name nowhere.test does not resolve"))


@pytest.fixture(scope="module")
def strange_context() -> ssl.SSLContext:
    """A certificate of an authority that nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(TARGET).configure_cert(context)
    return context


def test_a_certificate_that_nobody_vouches_for(client: Client, strange_context: ssl.SSLContext) -> None:
    with serving(TlsEcho(strange_context, TARGET)) as site:
        answer = client.execute(url=site.url())
        check(client, answer, Expected(502, "tls", "target", "TLS with "))
        assert "certificate" in answer.record["error"]["detail"]
        assert 200 == client.execute(url=site.url(), verify_tls=False).status


def test_a_port_that_hangs_up_on_a_tls_handshake(client: Client) -> None:
    with serving(ClosingAtOnce(TARGET)) as closing:
        answer = client.execute(url=closing.url().replace("http:", "https:"))
    check(client, answer, Expected(502, "tls", "target", f"TLS with [{TARGET}]:{closing.port} failed: "))


def test_a_tls_handshake_that_hangs(client: Client) -> None:
    with serving(Mute(TARGET)) as mute:
        answer = client.execute(url=mute.url().replace("http:", "https:"))
    check(client, answer, Expected(504, "timeout", "target", "the time was up in phase tls"))


@pytest.mark.parametrize("status", [204, 301, 404, 500, 503])
def test_whatever_a_target_answers_is_a_completed_execution(client: Client, site: Echo, status: int) -> None:
    answer = client.execute(url=site.url(f"/status/{status}"))
    assert (200, "completed", status) == (
        answer.status,
        answer.record["outcome"],
        answer.record["response"]["status"],
    )
    assert answer.record["error"] is None


def test_all_faults_at_once_fail_no_other_execution(client: Client, site: Echo) -> None:
    faulty = {fault: client.begin(url=site.url(f"/fault/{fault}")) for fault in FAULTS}
    honest = [client.begin(timeout=30) for _ in range(40)]
    assert {200} == {each.result().status for each in honest}
    for fault, begun in faulty.items():
        check(client, begun.result(), FAULTS[fault])
