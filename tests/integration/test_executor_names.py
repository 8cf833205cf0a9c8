"""The executor where names and routes fail: each failure is told apart, and nothing hangs past its deadline."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dispatcher.errors import FailureKind, Party
from tests.integration.conftest import SOURCES, TARGET
from tests.support import netns
from tests.support.dns_server import FAILS, answering
from tests.support.executing import echoed, elapsed, executed, execution, executor, run, watched_loop
from tests.support.stalls import judge
from tests.support.targets import Echo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dispatcher.wire.messages import Result

SOURCE = SOURCES[0]


@pytest.fixture(autouse=True)
def names(private_network: None) -> Iterator[None]:
    """Names of our own."""
    netns.set_hosts(
        {
            "here.test": [TARGET],
            "both.test": ["192.0.2.1", TARGET],
            "v4only.test": ["192.0.2.1"],
            "xn--bcher-kva.test": [TARGET],
        }
    )
    with answering(
        {
            "v4.test": [("192.0.2.1",)],
            "broken.test": [(FAILS, "192.0.2.1")],
            "bare.test": [()],
        }
    ):
        yield
    netns.set_hosts({})


async def _ask(url: str, **rest: Any) -> Result:
    async with executor() as made:
        return await executed(made, execution(url, source=SOURCE, **rest))


@pytest.mark.parametrize("name", ["here.test", "both.test", "HERE.test"])
def test_a_name_with_an_ipv6_address_is_asked_there(name: str) -> None:
    async def test() -> None:
        async with Echo(TARGET) as target:
            result = await _ask(target.url(host=name))
            assert SOURCE == echoed(result)["peer"]
            assert TARGET == result.remote_ip

    run(test())


def test_an_international_name_is_asked_by_its_ascii_form() -> None:
    async def test() -> None:
        async with Echo(TARGET) as target:
            saw = echoed(await _ask(target.url(host="b\u00fccher.test")))
            assert ["Host", f"xn--bcher-kva.test:{target.port}"] in saw["headers"]

    run(test())


@pytest.mark.parametrize("name", ["v4only.test", "v4.test"])
def test_a_name_with_ipv4_addresses_only_is_a_target_without_ipv6(name: str) -> None:
    result = run(_ask(f"http://{name}/"))
    assert FailureKind.TARGET_HAS_NO_IPV6 == result.error_kind
    assert f"the name {name} has IPv4 addresses only" == result.error_detail
    assert Party.TARGET == result.error_party


@pytest.mark.parametrize("name", ["nowhere.test", "bare.test"])
def test_a_name_that_does_not_resolve_is_the_resolvers_failure(name: str) -> None:
    result = run(_ask(f"http://{name}/"))
    assert FailureKind.DNS == result.error_kind
    assert f"the name {name} does not resolve" == result.error_detail
    assert Party.RESOLVER == result.error_party


def test_a_resolver_that_cannot_tell_says_nothing_of_the_target() -> None:
    """Though it tells of IPv4 addresses: whether there are others is not known."""
    result = run(_ask("http://broken.test/", timeout=20))  # musl waits for another answer
    assert FailureKind.DNS == result.error_kind
    assert re.fullmatch(
        r"the resolver could not tell the addresses of broken\.test: .+ \(EAI_AGAIN\)", result.error_detail or ""
    )
    assert Party.RESOLVER == result.error_party


def test_a_resolver_that_is_not_there_is_told_from_a_name_that_is_not() -> None:
    Path("/etc/resolv.conf").write_text("nameserver 127.0.0.1\noptions attempts:1 timeout:1\n")
    result = run(_ask("http://nowhere.test/"))
    assert (FailureKind.DNS, Party.RESOLVER) == (result.error_kind, result.error_party)
    assert "could not tell the addresses of nowhere.test" in (result.error_detail or "")


def test_a_redirect_to_a_name_with_ipv4_only_is_named_too() -> None:
    async def test() -> None:
        async with Echo(TARGET) as target, executor() as made:
            url = target.url("/redirect-to?url=http://v4only.test/")
            result = await executed(made, execution(url, source=SOURCE, follow_redirects=True))
            assert FailureKind.TARGET_HAS_NO_IPV6 == result.error_kind

    run(test())


@contextlib.contextmanager
def silent_resolver() -> Iterator[None]:
    """A DNS server that takes every question and answers none."""
    before = Path("/etc/resolv.conf").read_text()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        Path("/etc/resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
        try:
            yield
        finally:
            Path("/etc/resolv.conf").write_text(before)


def test_a_resolver_that_hangs_holds_neither_the_slot_nor_the_loop_past_the_deadline() -> None:
    async def test() -> None:
        async with Echo(TARGET) as target, executor(max_concurrency=1) as made, watched_loop() as stalls:
            began = time.monotonic()
            hung = await executed(made, execution("http://slow.test/", source=SOURCE, timeout=0.3))
            assert FailureKind.TIMEOUT == hung.error_kind
            assert "the time was up in phase dns, while resolving the name of slow.test:80" == hung.error_detail
            assert Party.RESOLVER == hung.error_party
            assert elapsed(began) < 1
            assert hung.timings["dns"] > 200
            following = await executed(made, execution(target.url(), source=SOURCE, timeout=1))
            assert 200 == following.status
            judge(stalls.late, "the executor")

    with silent_resolver():
        run(test())


def test_asking_again_ends_at_the_deadline() -> None:
    # libcurl gives up after the resolver's 2 s; our own question would take as long again.
    async def test() -> None:
        began = time.monotonic()
        result = await _ask("http://slow.test/", timeout=2.5)
        assert FailureKind.TIMEOUT == result.error_kind
        assert "the time was up in phase dns" in result.error_detail
        assert elapsed(began) < 3

    with silent_resolver():
        run(test())


def test_a_network_without_a_route_is_the_agents_failure() -> None:
    result = run(_ask("http://[2001:db8:dead::1]/"))
    assert FailureKind.CONNECT == result.error_kind
    assert "unreachable (ENETUNREACH)" in result.error_detail
    assert f"[2001:db8:dead::1]:80 from {SOURCE}" in result.error_detail
    assert Party.AGENT == result.error_party


@pytest.fixture
def void() -> Iterator[str]:
    """An address behind an interface that swallows what it is given."""
    address = "2001:db8:bad::1"
    netns.THIS.run(["ip", "link", "add", "void0", "type", "veth", "peer", "name", "void1"])
    netns.THIS.link_up("void0")
    netns.THIS.link_up("void1")
    netns.THIS.add_route("2001:db8:bad::/64", dev="void0")
    netns.THIS.run(["ip", "neigh", "add", address, "lladdr", "02:00:00:00:00:01", "dev", "void0"])
    yield address
    netns.THIS.run(["ip", "link", "del", "void0"])


def test_a_target_that_never_answers_a_connection_ends_at_the_deadline_in_phase_connect(void: str) -> None:
    result = run(_ask(f"http://[{void}]/", timeout=0.5))
    assert FailureKind.TIMEOUT == result.error_kind
    assert f"the time was up in phase connect, while connecting to [{void}]:80" == result.error_detail
    assert Party.TARGET == result.error_party
    assert result.timings["connect"] > 400
    assert result.timings["connect"] <= result.timings["total"]


def test_a_names_second_address_is_tried_when_its_first_does_not_answer(void: str) -> None:
    netns.set_hosts({"two.test": [void, TARGET]})

    async def test() -> None:
        async with Echo(TARGET) as target:
            assert 200 == (await _ask(target.url(host="two.test"), timeout=5)).status

    run(test())


def test_many_hanging_names_do_not_stop_a_target_that_has_an_address() -> None:
    async def test() -> None:
        async with Echo(TARGET) as target, executor() as made:
            hung = [
                executed(made, execution(f"http://slow{number}.test/", source=SOURCE, timeout=0.5))
                for number in range(40)
            ]
            tasks = [asyncio.create_task(one) for one in hung]
            result = await executed(made, execution(target.url(), source=SOURCE, timeout=0.4))
            assert 200 == result.status
            assert {FailureKind.TIMEOUT} == {(await task).error_kind for task in tasks}

    with silent_resolver():
        run(test())
