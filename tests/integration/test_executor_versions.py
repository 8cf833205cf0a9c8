"""The executor with HTTP/1.1, 2 and 3 as real servers speak them, and with targets that do not speak what is asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from dispatcher.errors import FailureKind
from dispatcher.wire.messages import HttpVersion
from tests.integration.conftest import SOURCES, TARGET
from tests.support import nginx
from tests.support.executing import executed, execution, executor, run
from tests.support.h3_target import H3Target
from tests.support.targets import Echo, known_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dispatcher.wire.messages import Result

SOURCE = SOURCES[0]
V1, V2, V3, AUTO = HttpVersion.HTTP_1_1, HttpVersion.HTTP_2, HttpVersion.HTTP_3, HttpVersion.AUTO


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs the targets' certificates."""
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The authority's certificate in a file."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(scope="module")
def server(
    authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory, private_network: None
) -> Iterator[dict[str, str]]:
    """nginx with 50 MB to give."""
    if nginx.BINARY is None:
        pytest.skip("needs nginx")
    directory = tmp_path_factory.mktemp("nginx")
    (directory / "files").mkdir()
    (directory / "files" / "large").write_bytes(known_bytes(50_000_000))
    with nginx.running(directory, TARGET, authority.issue_cert(TARGET)) as urls:
        yield urls


def ask(url: str, ca_file: str, version: HttpVersion, *, times: int = 1, **rest: Any) -> list[Result]:
    async def test() -> list[Result]:
        async with executor(ca_file=ca_file) as made:
            asked = (
                execution(url, source=SOURCES[number % 4], http_version=version, **rest) for number in range(times)
            )
            return await asyncio.gather(*(executed(made, one) for one in asked))

    return run(test())


@pytest.mark.parametrize(
    ("listener", "asked", "spoken"),
    [
        ("plain", AUTO, "1.1"),
        ("plain", V1, "1.1"),
        ("h2c", V2, "2"),
        ("tls11", AUTO, "1.1"),
        ("tls", AUTO, "2"),
        ("tls", V2, "2"),
        ("tls", V1, "1.1"),
    ],
)
def test_the_version_asked_for_is_spoken_and_reported(
    server: dict[str, str], ca_file: str, listener: str, asked: HttpVersion, spoken: str
) -> None:
    results = ask(server[listener], ca_file, asked, times=8)
    assert [None] * 8 == [result.error_detail or None for result in results]
    assert {spoken} == {result.http_version for result in results}
    assert [SOURCES[number % 4] for number in range(8)] == [result.body.decode().split()[0] for result in results]


def test_no_tls_session_is_resumed_with_http_2(server: dict[str, str], ca_file: str) -> None:
    async def test() -> None:
        async with executor(ca_file=ca_file) as made:
            for source in SOURCES[:4]:
                done = await executed(made, execution(server["tls"], source=source))
                assert [source, "HTTP/2.0", "."] == done.body.decode().split()[:3]

    run(test())


@pytest.mark.parametrize("listener", ["plain", "tls11"])
def test_http_2_of_a_target_that_has_none_is_a_failure_and_no_downgrade(
    server: dict[str, str], ca_file: str, listener: str
) -> None:
    (result,) = ask(server[listener], ca_file, V2)
    assert FailureKind.HTTP_PROTOCOL == result.error_kind
    assert "does not speak HTTP/2, which was asked for" in result.error_detail


def test_fifty_megabytes_come_whole_over_http_2(server: dict[str, str], ca_file: str) -> None:
    (result,) = ask(f"{server['tls']}/files/large", ca_file, V2, max_body_bytes=50_000_000)
    assert not result.truncated
    assert known_bytes(50_000_000) == result.body


def test_a_connection_is_kept_with_every_version(server: dict[str, str], ca_file: str) -> None:
    async def test() -> None:
        async with executor(ca_file=ca_file) as made:
            for listener in ("plain", "tls11", "tls"):
                results = [await executed(made, execution(server[listener], source=SOURCE)) for _ in range(5)]
                assert 1 == len({result.body.decode().split()[-1] for result in results})

    run(test())


@pytest.mark.skipif(nginx.BINARY is None, reason="needs nginx")
def test_a_target_that_ends_its_connections_after_some_requests_fails_none(
    authority: trustme.CA, ca_file: str, tmp_path: Path
) -> None:
    async def test(urls: dict[str, str]) -> None:
        for listener in ("plain", "tls11", "tls"):
            async with executor(ca_file=ca_file, max_concurrency=16) as made:
                asked = [executed(made, execution(urls[listener], source=SOURCE)) for _ in range(300)]
                assert {""} == {result.error_detail for result in await asyncio.gather(*asked)}

    with nginx.running(tmp_path, TARGET, authority.issue_cert(TARGET), keepalive_requests=10) as urls:
        run(test(urls))


def test_a_cut_body_over_http_2_ends_no_other_transfer(server: dict[str, str], ca_file: str) -> None:
    async def test() -> None:
        async with executor(ca_file=ca_file) as made:
            large = f"{server['tls']}/files/large"
            whole, cut = await asyncio.gather(
                executed(made, execution(large, source=SOURCE, max_body_bytes=50_000_000)),
                executed(made, execution(large, source=SOURCE, max_body_bytes=1000)),
            )
            assert (False, 50_000_000) == (whole.truncated, len(whole.body))
            assert (True, 1000) == (cut.truncated, len(cut.body))

    run(test())


def test_http_3_is_spoken(authority: trustme.CA, ca_file: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            H3Target(TARGET, authority.issue_cert(TARGET), tmp_path) as target,
            executor(ca_file=ca_file) as made,
        ):
            for source in (*SOURCES[:3], SOURCES[0]):
                result = await executed(made, execution(target.url, source=source, http_version=V3))
                assert "" == result.error_detail
                assert ("3", 200, source) == (result.http_version, result.status, result.body.decode())
                assert source == result.source_ip

    run(test())


def test_http_3_connections_of_a_dropped_source_are_not_used_again(
    authority: trustme.CA, ca_file: str, tmp_path: Path
) -> None:
    async def test() -> None:
        async with (
            H3Target(TARGET, authority.issue_cert(TARGET), tmp_path) as target,
            executor(ca_file=ca_file) as made,
        ):
            await executed(made, execution(target.url, source=SOURCE, http_version=V3))
            made.drop_source(SOURCE)
            again = await executed(made, execution(target.url, source=SOURCE, http_version=V3))
            assert SOURCE == again.body.decode(), again.error_detail
            assert 2 == target.connections

    run(test())


def test_http_3_of_a_target_that_has_none_is_a_failure_and_no_downgrade(server: dict[str, str], ca_file: str) -> None:
    (result,) = ask(server["tls"], ca_file, V3)
    assert FailureKind.CONNECT == result.error_kind


def test_http_3_of_an_http_url_is_refused_before_anything_is_sent() -> None:
    async def test() -> None:
        async with Echo(TARGET) as target, executor() as made:
            result = await executed(made, execution(target.url(), source=SOURCE, http_version=V3))
            assert FailureKind.INTERNAL == result.error_kind
            assert "HTTP/3 was asked for, which only https URLs can have" == result.error_detail
            assert 0 == target.connections

    run(test())
