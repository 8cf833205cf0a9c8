"""What an agent may be made to do, with real sockets: nothing arrives where its owner has not said so."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from dispatcher.agent.targets.guard import TargetGuard
from dispatcher.errors import FailureKind, Party
from dispatcher.wire.messages import HttpVersion
from tests.integration.conftest import SOURCES, TARGET
from tests.integration.test_local_routes import route
from tests.support import netns
from tests.support.dns_server import answering
from tests.support.executing import executed, execution, executor, run
from tests.support.targets import Echo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dispatcher.wire.messages import Result
    from tests.support.cluster import Cluster

SOURCE, INNER = SOURCES[0], SOURCES[9]
METADATA = "fd00:ec2::254"
ROUTED = "2001:db8:66:0:beef::1"


@pytest.fixture(autouse=True)
def no_names(private_network: None) -> Iterator[None]:
    netns.set_hosts({})
    yield
    netns.set_hosts({})


def guarded(*allow: str, deny: tuple[str, ...] = ()) -> Any:
    """An executor that may ask what its owner says."""
    return executor(guard=TargetGuard(allow, deny))


def assert_blocked(result: Result, why: str) -> None:
    assert (FailureKind.BLOCKED_TARGET, Party.AGENT) == (result.error_kind, result.error_party), result.error_detail
    assert why in result.error_detail


def test_a_redirect_to_a_blocked_target_is_not_followed_there() -> None:
    async def test() -> None:
        async with Echo(TARGET) as outer, Echo(INNER) as inner, guarded(TARGET) as made:
            url = outer.url(f"/redirect-to?url={inner.url('/secret')}")
            result = await executed(made, execution(url, source=SOURCE, follow_redirects=True))
            assert_blocked(result, f"the target {INNER} is blocked as documentation (RFC 3849)")
            assert (1, 0) == (len(outer.requests), inner.connections)

    run(test())


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("http://[::1]:9/", FailureKind.BLOCKED_TARGET),
        ("http://[::]:9/", FailureKind.BLOCKED_TARGET),
        ("http://[::127.0.0.1]:9/", FailureKind.BLOCKED_TARGET),
        ("http://[64:ff9b::127.0.0.1]:9/", FailureKind.BLOCKED_TARGET),
        ("http://[2002:7f00:1::]:9/", FailureKind.BLOCKED_TARGET),
        ("http://[fe80::1]:9/", FailureKind.BLOCKED_TARGET),
        ("http://localhost:9/", FailureKind.BLOCKED_TARGET),
        ("http://[::ffff:127.0.0.1]:9/", FailureKind.TARGET_HAS_NO_IPV6),
        ("http://2130706433:9/", FailureKind.TARGET_HAS_NO_IPV6),
        ("http://017700000001:9/", FailureKind.TARGET_HAS_NO_IPV6),
        ("http://0x7f.1:9/", FailureKind.TARGET_HAS_NO_IPV6),
        ("http://127.0.0.1.:9/", FailureKind.TARGET_HAS_NO_IPV6),
        ("http://%31%32%37.0.0.1:9/", FailureKind.HTTP_PROTOCOL),
        ("file:///etc/passwd", FailureKind.HTTP_PROTOCOL),
        ("gopher://[::1]:9/", FailureKind.HTTP_PROTOCOL),
    ],
)
def test_a_redirect_in_disguise_is_refused_like_a_plain_one(place: str, kind: FailureKind) -> None:
    async def test() -> None:
        async with Echo(TARGET) as outer, guarded(TARGET) as made:
            url = outer.url(f"/redirect-to?url={quote(place)}")
            asked = execution(url, source=SOURCE, follow_redirects=True)
            assert kind == (await executed(made, asked)).error_kind

    run(test())


def test_a_name_that_is_bound_anew_between_two_requests_is_judged_anew() -> None:
    async def test() -> None:
        async with Echo(TARGET) as target:
            async with guarded(TARGET) as made:
                first = await executed(made, execution(target.url(host="rebind.test"), source=SOURCE))
                assert (200, TARGET) == (first.status, first.remote_ip)
            async with guarded(TARGET) as made:  # another has no cached name
                second = await executed(made, execution(target.url(host="rebind.test"), source=SOURCE))
            assert_blocked(second, "the address ::1 of the target rebind.test is blocked as loopback (RFC 4291)")

    with answering({"rebind.test": [(TARGET,), ("::1",)]}) as asked:
        run(test())
    assert ["rebind.test"] * 2 == asked


@pytest.mark.parametrize("inside", ["::1", "::ffff:127.0.0.1", "::7f00:1", METADATA, "fe80::1", INNER])
def test_of_a_names_addresses_only_those_that_may_be_asked_are_asked(inside: str) -> None:
    async def test() -> None:
        async with Echo(TARGET) as target, guarded(TARGET) as made:
            both = await executed(made, execution(target.url(host="both.test"), source=SOURCE))
            assert (200, TARGET) == (both.status, both.remote_ip)
            assert_blocked(
                await executed(made, execution(target.url(host="inside.test"), source=SOURCE)), "inside.test"
            )

    with answering({"both.test": [(inside, TARGET)], "inside.test": [(inside,)]}):
        run(test())


def test_an_address_of_the_agents_own_machine_is_refused_though_its_range_is_allowed() -> None:
    async def test() -> None:
        async with Echo(INNER) as inner, guarded("2001:db8::/32") as made:
            result = await executed(made, execution(inner.url(), source=SOURCE))
            assert_blocked(result, f"the target {INNER} is blocked as an address of the agent's own machine")
            assert 0 == inner.connections

    run(test())


def test_an_address_that_only_a_local_route_makes_the_agents_own_is_refused_too() -> None:
    async def test() -> None:
        async with Echo("::") as everywhere, guarded("2001:db8::/32") as made:
            url = everywhere.url().replace("[::]", f"[{ROUTED}]")
            result = await executed(made, execution(url, source=SOURCE))
            assert_blocked(result, f"the target {ROUTED} is blocked as an address of the agent's own machine")
            assert 0 == everywhere.connections

    with route("2001:db8:66::/64"):
        run(test())


def test_a_metadata_service_is_refused_though_its_range_is_allowed_and_asked_where_it_is_named() -> None:
    async def test() -> None:
        async with Echo(METADATA) as service:
            async with guarded("fd00::/8") as made:
                result = await executed(made, execution(service.url("/latest/meta-data/"), source=SOURCE))
                assert_blocked(result, f"the target {METADATA} is blocked as a metadata service of AWS")
                assert 0 == service.connections
            async with guarded(METADATA) as made:
                assert 200 == (await executed(made, execution(service.url(), source=SOURCE))).status

    netns.add_addresses("lo", [METADATA])
    try:
        run(test())
    finally:
        netns.remove_address("lo", METADATA)


def test_a_name_that_is_denied_is_not_even_resolved() -> None:
    async def test() -> None:
        async with guarded(TARGET, deny=("bad.test",)) as made:
            result = await executed(made, execution("http://bad.test/", source=SOURCE))
            assert_blocked(result, "the target bad.test is blocked by --deny-target bad.test of the agent's owner")

    with answering({"bad.test": [(TARGET,)]}) as asked:
        run(test())
    assert [] == asked


def test_a_connection_of_an_allowed_name_is_not_used_for_another_name_of_the_same_address() -> None:
    netns.set_hosts({"a.test": [TARGET], "b.test": [TARGET]})

    async def test() -> None:
        async with Echo(TARGET) as target, guarded("a.test") as made:
            for _ in range(2):
                assert 200 == (await executed(made, execution(target.url(host="a.test"), source=SOURCE))).status
            for other in ("b.test", None):
                result = await executed(made, execution(target.url(host=other), source=SOURCE))
                assert_blocked(result, f"{TARGET}")
            redirect = target.url(f"/redirect-to?url={target.url(host='b.test')}", host="a.test")
            assert_blocked(await executed(made, execution(redirect, source=SOURCE, follow_redirects=True)), "b.test")
            assert (1, 3) == (target.connections, len(target.requests))

    run(test())


def test_a_kept_connection_is_judged_again_before_each_request() -> None:
    guard = TargetGuard(["2001:db8::/32"], is_own=lambda _: False)

    async def test() -> None:
        async with Echo(TARGET) as target, executor(guard=guard) as made:
            assert 200 == (await executed(made, execution(target.url(), source=SOURCE))).status
            guard.coordinator_at(["coordinator.test"], [])
            assert 200 == (await executed(made, execution(target.url(), source=SOURCE))).status
            guard.coordinator_at(["coordinator.test"], [IPv6Address(TARGET)])
            assert_blocked(
                await executed(made, execution(target.url(), source=SOURCE)), "is blocked as the coordinator"
            )
            assert (1, 2) == (target.connections, len(target.requests))

    run(test())


def test_credentials_do_not_leave_their_origin_with_a_redirect() -> None:
    secrets = ("Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key")

    async def test() -> None:
        async with Echo(TARGET) as first, Echo(TARGET) as other, guarded(TARGET) as made:
            for target, expected in ((first, [True] * 4), (other, [False] * 4)):
                url = first.url(f"/redirect-to?url={target.url('/there')}").replace("//[", "//me:pw@[", 1)
                headers = (*((name, "s3cret") for name in secrets[1:]), ("X-Kept", "k"))
                result = await executed(made, execution(url, source=SOURCE, headers=headers, follow_redirects=True))
                seen = target.requests[-1]
                assert ("/there", "k", 200) == (seen.path, seen.header("X-Kept"), result.status)
                assert expected == [seen.header(name) is not None for name in secrets]

    run(test())


def test_http_3_is_guarded_too() -> None:
    async def test() -> None:
        async with guarded() as made:
            url = f"https://[::1]:{silent.getsockname()[1]}/"
            asked = execution(url, source=SOURCE, http_version=HttpVersion.HTTP_3)
            assert_blocked(await executed(made, asked), "the target ::1 is blocked as loopback (RFC 4291)")

    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as silent:
        silent.bind(("::1", 0))
        run(test())
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.recv(1)


def test_a_name_whose_allowed_address_fails_is_told_by_that_failure() -> None:
    netns.set_hosts({"half.test": ["::1", TARGET]})

    async def test() -> None:
        async with guarded(TARGET) as made:
            result = await executed(made, execution("http://half.test:9/", source=SOURCE))
            assert FailureKind.CONNECT == result.error_kind
            assert "Connection refused" in result.error_detail

    run(test())


def test_the_whole_product_answers_403_and_keeps_the_record(cluster: Cluster, target: Echo) -> None:
    cluster.coordinator()
    place = ("--coordinator-url", cluster.url, "--address", SOURCE)
    cluster.start("strict", "agent", *place).wait_for_line("connected to ")
    client = cluster.client
    client.wait_for_exits(1)
    client.configure(target.url())
    answer = client.execute()
    assert (403, "failed", "blocked_target", "agent") == answer.failure
    expected = f"the target {TARGET} is blocked as documentation (RFC 3849)"
    assert answer.record["error"]["detail"].startswith(expected)
    assert [] == target.requests


def test_the_coordinator_is_refused_though_its_range_is_allowed(cluster: Cluster) -> None:
    place, exit_ = "2001:db8:c0::1", "2001:db8:c0::2"
    with netns.Host() as gateway:
        ends = ("guard0", "guard1")
        netns.connect(netns.THIS, gateway, interfaces=ends, a_addresses=[f"{place}/64"], b_addresses=[f"{exit_}/64"])
        cluster.coordinator("--insecure-no-auth", host=place).expect("WHOEVER REACHES")
        agent = cluster.agent("agent-01", [exit_], machine=gateway)  # which may ask all of 2001:db8::/32
        client = cluster.client
        client.wait_for_exits(1)
        client.configure(f"{cluster.url}/api/agents")
        answer = client.execute()
        assert (403, "failed", "blocked_target", "agent") == answer.failure
        assert answer.record["error"]["detail"].startswith(f"the target {place} is blocked as the coordinator; ")
        agent.end()
