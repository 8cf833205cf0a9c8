"""The executor on many real source addresses, with targets that say which address they saw."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pycurl
import pytest
import trustme

from dispatcher.agent.executor import Executor
from dispatcher.agent.transfers import curl_options
from dispatcher.agent.transfers.engine import Engine
from dispatcher.errors import FailureKind, Party
from tests.integration.conftest import SOURCES, TARGET
from tests.support import netns
from tests.support.executing import echoed, elapsed, executed, execution, executor, run
from tests.support.targets import Dripping, Echo, Hanging, TlsEcho

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dispatcher.agent.transfers.lanes import Lane
    from dispatcher.agent.transfers.transfer import Transfer
    from tests.support.target_http import Request

ONE, TWO = SOURCES[:2]


def test_every_execution_leaves_from_its_source_as_the_target_sees_it() -> None:
    async def test() -> None:
        async with Echo(TARGET) as target, executor() as made:
            results = await asyncio.gather(*(executed(made, execution(target.url(), source=ip)) for ip in SOURCES))
        assert list(SOURCES) == [echoed(result)["peer"] for result in results]
        assert list(SOURCES) == [result.source_ip for result in results]
        assert {TARGET} == {result.remote_ip for result in results}

    run(test())


@pytest.fixture
def bindings_anew() -> Iterator[None]:
    """Forget how sources are bound, before and after."""
    curl_options.bindings.clear()
    yield
    curl_options.bindings.clear()


@pytest.mark.usefixtures("bindings_anew")
@pytest.mark.parametrize("shares_a_pool", [False, True])
@pytest.mark.parametrize("libcurl", [0x081600, 0x081700])
def test_a_connection_is_kept_for_its_source_and_for_no_other(
    libcurl: int, shares_a_pool: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = curl_options.interface
    monkeypatch.setattr(curl_options, "interface", lambda source: form(source, libcurl))
    if shares_a_pool:
        monkeypatch.setattr(curl_options, "pool", lambda _: 0x4000_0000)

    async def test() -> None:
        async with Echo(TARGET) as target, executor() as made:
            seen = []
            for source in (ONE, TWO, ONE, TWO, ONE):
                saw = echoed(await executed(made, execution(target.url(), source=source)))
                assert source == saw["peer"]
                seen.append(saw["peer_port"])
            assert seen[0] == seen[2] == seen[4]
            assert seen[1] == seen[3]
            assert 2 == target.connections

    run(test())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_tls_session_is_resumed_from_another_source(version: ssl.TLSVersion, server_context: ssl.SSLContext) -> None:
    server_context.minimum_version = server_context.maximum_version = version

    async def test() -> None:
        async with TlsEcho(server_context, TARGET) as target, executor() as made:
            for source in SOURCES[:4]:
                done = await executed(made, execution(target.url(), source=source, verify_tls=False))
                assert echoed(done)["tls"]["session_reused"] is False
            assert 4 == target.connections

    run(test())


class BoundElsewhereEngine(Engine):
    """Binds every connection to `TWO`, whatever it is asked for."""

    def start(self, *args: Any, **rest: Any) -> Transfer:
        transfer = super().start(*args, **rest)
        assert transfer.lane is not None
        transfer.lane.handle.setopt(pycurl.INTERFACE, f"host!{TWO}")  # libcurl looks at it in the next turn
        return transfer


class BoundElsewhere(Executor):
    """An executor whose connections leave from the wrong address."""

    engine_class = BoundElsewhereEngine


def test_a_connection_from_another_address_is_a_source_mismatch_and_the_request_does_not_leave() -> None:
    async def test() -> None:
        async with Echo(TARGET) as target, executor(BoundElsewhere) as made:
            result = await executed(made, execution(target.url(), source=ONE))
            assert FailureKind.SOURCE_MISMATCH == result.error_kind
            assert f"the connection to [{TARGET}]:{target.port} left from {TWO}, not from {ONE}" == result.error_detail
            assert Party.AGENT == result.error_party
            assert [] == target.requests

    run(test())


class UncheckedEngine(BoundElsewhereEngine):
    """Binds elsewhere, and does not look before the request leaves."""

    def _before_request(self, lane: Lane, *_: Any) -> int:
        assert lane.transfer is not None
        lane.transfer.seen_source = lane.transfer.source
        return int(pycurl.PREREQFUNC_OK)


class Unchecked(Executor):
    """An executor with the last check only."""

    engine_class = UncheckedEngine


def test_the_address_is_verified_once_more_after_the_transfer() -> None:
    async def test() -> None:
        async with Echo(TARGET) as target, executor(Unchecked) as made:
            result = await executed(made, execution(target.url(), source=ONE))
            assert FailureKind.SOURCE_MISMATCH == result.error_kind
            assert 1 == len(target.requests)

    run(test())


def test_a_source_that_is_not_on_the_machine_is_named() -> None:
    async def test() -> None:
        async with Echo(TARGET) as target, executor() as made:
            result = await executed(made, execution(target.url(), source="2001:db8:1::dead"))
            assert FailureKind.SOURCE_ADDRESS == result.error_kind
            assert "2001:db8:1::dead: Cannot assign requested address (EADDRNOTAVAIL)" in result.error_detail
            assert Party.AGENT == result.error_party
            assert 0 == target.connections

    run(test())


def test_dropping_a_source_ends_its_kept_connections_at_once_and_no_others() -> None:
    async def test() -> None:
        async with Echo(TARGET) as target, executor() as made:
            for source in (ONE, TWO):
                await executed(made, execution(target.url(), source=source))
            made.drop_source(ONE)
            assert ONE == await asyncio.wait_for(target.closings.get(), 1)
            assert 1 == target.open_connections
            saw = echoed(await executed(made, execution(target.url(), source=TWO)))
            assert 2 == target.connections
            assert TWO == saw["peer"]

    run(test())


def test_dropping_a_source_ends_what_runs_on_it_as_source_address() -> None:
    async def test() -> None:
        async with Hanging(TARGET) as target, executor() as made:
            running = asyncio.create_task(executed(made, execution(target.url(), source=ONE, timeout=20)))
            await asyncio.wait_for(target.seen.wait(), 5)
            made.drop_source(ONE.upper().replace("::", ":0:0:0:0:"))
            result = await asyncio.wait_for(running, 1)
            assert FailureKind.SOURCE_ADDRESS == result.error_kind
            assert f"the source address {ONE} left this machine" == result.error_detail

    run(test())


def test_dropping_a_source_ends_what_waits_for_it() -> None:
    async def test() -> None:
        async with Hanging(TARGET) as target, executor(max_concurrency=1) as made:
            running = asyncio.create_task(executed(made, execution(target.url(), source=TWO, timeout=20)))
            await asyncio.wait_for(target.seen.wait(), 5)
            waiting = asyncio.create_task(executed(made, execution(target.url(), source=ONE, timeout=20)))
            await asyncio.sleep(0)
            made.drop_source(ONE)
            assert FailureKind.SOURCE_ADDRESS == (await asyncio.wait_for(waiting, 1)).error_kind
            running.cancel()

    run(test())


@pytest.fixture
def passing_source() -> Iterator[str]:
    """An address that a test takes away."""
    address = "2001:db8:1::ff00"
    netns.add_addresses("lo", [address])
    yield address
    netns.add_addresses("lo", [address])
    netns.remove_address("lo", address)


def test_an_address_that_left_fails_at_once_in_place_of_hanging_on_its_old_connection(passing_source: str) -> None:
    async def test() -> None:
        async with Echo(TARGET) as target, executor() as made:
            first = await executed(made, execution(target.url(), source=passing_source))
            assert 200 == first.status
            netns.remove_address("lo", passing_source)
            made.drop_source(passing_source)
            began = time.monotonic()
            second = await executed(made, execution(target.url(), source=passing_source, timeout=10))
            assert FailureKind.SOURCE_ADDRESS == second.error_kind
            assert elapsed(began) < 1

    run(test())


def test_an_address_that_left_in_mid_transfer_ends_the_transfer(passing_source: str) -> None:
    async def test() -> None:
        async with Dripping(TARGET) as target, executor() as made:
            running = asyncio.create_task(executed(made, execution(target.url(), source=passing_source, timeout=20)))
            await asyncio.wait_for(target.seen.wait(), 5)
            netns.remove_address("lo", passing_source)
            made.drop_source(passing_source)
            assert FailureKind.SOURCE_ADDRESS == (await asyncio.wait_for(running, 1)).error_kind
            assert 0 == made.in_flight

    run(test())


def test_kept_connections_are_bounded_over_all_sources() -> None:
    async def test() -> None:
        async with Echo(TARGET) as target, executor(max_concurrency=1, max_idle_connections=3) as made:
            for source in SOURCES[:20]:
                assert 200 == (await executed(made, execution(target.url("/status/200"), source=source))).status
            for _ in range(16):
                await asyncio.wait_for(target.closings.get(), 5)
            assert 4 == target.open_connections

    run(test())


def test_connections_are_kept_beside_as_many_as_may_be_in_use() -> None:
    async def test() -> None:
        async with Echo(TARGET) as target, executor(max_concurrency=2, max_idle_connections=2) as made:
            for source in [ONE, TWO] * 5:
                pair = [executed(made, execution(target.url("/status/200"), source=source)) for _ in range(2)]
                await asyncio.gather(*pair)
            assert 4 == target.connections

    run(test())


def test_idle_connections_are_closed_after_their_time() -> None:
    async def test() -> None:
        async with Echo(TARGET) as target, executor(max_idle_seconds=1) as made:
            for source in SOURCES[:5]:
                await executed(made, execution(target.url(), source=source))
            assert 5 == target.open_connections
            closed = {await asyncio.wait_for(target.closings.get(), 5) for _ in range(5)}
            assert set(SOURCES[:5]) == closed

    run(test())


def test_a_connection_that_was_idle_for_too_long_is_not_used_again_while_others_are_busy() -> None:
    async def test() -> None:
        async with Echo(TARGET) as target, Hanging(TARGET) as slow, executor(max_idle_seconds=1) as made:
            busy = asyncio.create_task(executed(made, execution(slow.url(), source=TWO, timeout=20)))
            first = echoed(await executed(made, execution(target.url(), source=ONE)))
            await executed(made, execution(slow.url(), source=TWO, timeout=1.2))
            second = echoed(await executed(made, execution(target.url(), source=ONE)))
            assert first["peer_port"] != second["peer_port"]
            busy.cancel()

    run(test())


def test_thousands_of_sources_cost_nothing_but_their_bounded_connections() -> None:
    addresses = [f"2001:db8:1::5:{number:x}" for number in range(2000)]
    netns.add_addresses("lo", addresses)

    async def test() -> None:
        async with Echo(TARGET) as target, executor(max_concurrency=50, max_idle_connections=14) as made:
            for start in range(0, len(addresses), 50):
                batch = addresses[start : start + 50]
                done = await asyncio.gather(*(executed(made, execution(target.url(), source=ip)) for ip in batch))
                assert batch == [echoed(result)["peer"] for result in done]
            assert len(addresses) == target.connections
            assert target.open_connections <= 64 + 50

    run(test(), seconds=60)


def test_redirects_leave_from_the_same_source_at_every_hop() -> None:
    async def test() -> None:
        async with Echo(TARGET) as one, Echo(TARGET) as two, executor() as made:
            url = one.url(f"/redirect-to?url={two.url('/there')}")
            saw = echoed(await executed(made, execution(url, source=ONE, follow_redirects=True)))
            assert "/there" == saw["target"]
            assert {ONE} == {request.peer for request in one.requests + two.requests}

    run(test())


def test_a_header_that_is_kept_secret_stays_with_its_origin_from_the_next_execution_on() -> None:
    async def test() -> None:
        async with Echo(TARGET) as one, Echo(TARGET) as two, executor() as made:
            url = one.url(f"/redirect-to?url={two.url('/there')}")
            asked = execution(url, source=ONE, follow_redirects=True, headers=(("X-Token", "s3cret"), ("X-Kept", "k")))
            for names in ((), ("X-TOKEN",), ()):
                made.keep_secret(names)
                await executed(made, replace(asked, id=f"x{len(one.requests)}"))
            assert [["s3cret"]] * 3 == [values(request, "X-Token") for request in one.requests]
            assert [["s3cret"], [], ["s3cret"]] == [values(request, "X-Token") for request in two.requests]
            assert [["k"]] * 3 == [values(request, "X-Kept") for request in two.requests]

    run(test())


def values(request: Request, name: str) -> list[str]:
    """What a target was told in its headers of this name."""
    return [value for known, value in request.headers if known == name]


@pytest.fixture
def server_context() -> ssl.SSLContext:
    """A server's TLS with a certificate for the target's address that nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(TARGET).configure_cert(context)
    return context
