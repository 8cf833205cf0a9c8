"""What libcurl is made to do, as a target sees it: connections, headers, bodies, and what is left out."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from dispatcher import __version__
from dispatcher.agent.transfers.transfer import UNPAUSED_BYTES
from dispatcher.wire.messages import HttpVersion
from tests.support.executing import echoed, executed, execution, executor, run
from tests.support.targets import Echo, Refusing, known_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from dispatcher.wire.messages import Result


def ask(path: str = "/", *, userinfo: str = "", **rest: Any) -> Result:
    async def test() -> Result:
        async with Echo() as target, executor() as made:
            return await executed(made, execution(target.url(path).replace("//", f"//{userinfo}"), **rest))

    return run(test())


def names_sent(**rest: Any) -> list[str]:
    return [name for name, _ in echoed(ask(**rest))["headers"]]


def header_sent(name: str, **rest: Any) -> str | None:
    return next((value for known, value in echoed(ask(**rest))["headers"] if known.lower() == name), None)


def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with Refusing() as nobody, Echo() as target, executor() as made:
            for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, nobody.url())
            monkeypatch.delenv("NO_PROXY", raising=False)
            monkeypatch.delenv("no_proxy", raising=False)
            assert "/" == echoed(await executed(made, execution(target.url())))["target"]

    run(test())


def test_no_netrc_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("default login someone password hush\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "Authorization" not in names_sent()


def test_no_cookie_is_kept() -> None:
    async def test() -> None:
        async with Echo() as target, executor() as made:
            await executed(made, execution(target.url("/cookies")))
            assert "Cookie" not in dict(echoed(await executed(made, execution(target.url())))["headers"])

    run(test())


def test_what_is_sent_unasked_is_what_a_user_expects() -> None:
    headers = dict(echoed(ask())["headers"])
    assert ["Host", "User-Agent", "Accept", "Accept-Encoding"] == list(headers)
    assert f"http-dispatcher/{__version__}" == headers["User-Agent"]
    assert "*/*" == headers["Accept"]
    assert {"gzip", "deflate", "br"} <= set(headers["Accept-Encoding"].replace(" ", "").split(","))


def test_brotli_is_not_offered_where_a_body_may_be_so_large_that_it_must_come_in_pieces() -> None:
    offered = dict(echoed(ask(max_body_bytes=UNPAUSED_BYTES + 1))["headers"])["Accept-Encoding"]
    assert {"gzip", "deflate"} == set(offered.replace(" ", "").split(","))


def test_headers_are_sent_in_order_and_in_their_case_with_duplicates() -> None:
    given = (("x-LOWER", "1"), ("B", ""), ("X-Lower", "2"), ("C", "  padded "), ("X-Latin", "\xe9"), ("D", ";:,"))
    sent = [tuple(pair) for pair in echoed(ask(headers=given))["headers"]]
    stripped = [(name, value.strip()) for name, value in given]
    assert stripped == [pair for pair in sent if pair[0] in dict(given)]


@pytest.mark.parametrize("name", ["Host", "User-Agent", "Accept", "Accept-Encoding", "Content-Type", "Expect"])
def test_a_users_own_header_replaces_the_usual_one(name: str) -> None:
    sent = echoed(ask(headers=((name, "mine"),), method="POST", body=b"x"))["headers"]
    assert ["mine"] == [value for known, value in sent if known.lower() == name.lower()]


def test_nothing_is_claimed_about_a_body_and_no_continue_is_waited_for() -> None:
    sent = names_sent(method="POST", body=b"x" * 2_000_000)
    assert "Content-Type" not in sent
    assert "Expect" not in sent


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "get"])
@pytest.mark.parametrize("body", [b"", b"\0\r\n\xff", known_bytes(300_000)])
def test_any_method_sends_any_body_byte_for_byte(method: str, body: bytes) -> None:
    saw = echoed(ask(method=method, body=body))
    assert (method, body) == (saw["method"], base64.b64decode(saw["body_base64"]))
    assert str(len(body)) == dict(saw["headers"])["Content-Length"]


@pytest.mark.parametrize(("method", "length"), [("POST", "0"), ("PUT", "0"), ("GET", None), ("DELETE", None)])
def test_without_a_body_a_length_is_sent_only_where_one_is_expected(method: str, length: str | None) -> None:
    assert length == header_sent("content-length", method=method)


def test_head_has_headers_and_no_body() -> None:
    result = ask("/bytes/1000", method="HEAD")
    assert (200, b"", 0, False) == (result.status, result.body, result.body_size, result.truncated)
    assert "1000" == dict(result.headers)["Content-Length"]


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_ends_at_its_headers(status: int) -> None:
    result = ask(f"/status/{status}")
    assert (status, b"") == (result.status, result.body)


@pytest.mark.parametrize("status", [200, 201, 302, 400, 401, 404, 407, 418, 500, 503, 599, 999])
def test_any_status_is_an_answer(status: int) -> None:
    result = ask(f"/status/{status}")
    assert (status, b"status", None) == (result.status, result.body, result.error_kind)


@pytest.mark.parametrize("size", [0, 1, 65_536, 10 * 1024 * 1024])
def test_a_body_comes_byte_for_byte(size: int) -> None:
    result = ask(f"/bytes/{size}", max_body_bytes=size)
    assert (size, False) == (result.body_size, result.truncated)
    assert known_bytes(size) == result.body


@pytest.mark.parametrize("limit", [0, 1, 999])
def test_past_its_limit_a_body_is_cut_and_no_failure(limit: int) -> None:
    result = ask("/bytes/1000", max_body_bytes=limit)
    assert (200, True, known_bytes(limit)) == (result.status, result.truncated, result.body)
    assert limit < result.body_size <= 1000


@pytest.mark.parametrize("name", ["gzip", "deflate", "br"])
def test_a_compressed_body_is_decoded_and_its_headers_stay(name: str) -> None:
    result = ask(f"/{name}")
    assert f"/{name}" == echoed(result)["target"]
    assert name == dict(result.headers)["Content-Encoding"]
    assert len(result.body) == result.body_size


def test_a_users_accept_encoding_is_sent_and_the_body_decoded_all_the_same() -> None:
    result = ask("/gzip", headers=(("Accept-Encoding", "gzip;q=0.5"),))
    assert "gzip;q=0.5" == dict(echoed(result)["headers"])["Accept-Encoding"]


def test_the_final_response_alone_gives_the_headers() -> None:
    result = ask("/informational")
    assert (200, "Fine by me") == (result.status, result.reason)
    assert {"Content-Type", "Content-Length"} == set(dict(result.headers))
    redirected = ask("/redirect/2", follow_redirects=True)
    assert "X-Hop" not in dict(redirected.headers)


def test_trailers_are_left_out_and_an_old_target_is_understood() -> None:
    assert (b"hello", None) == (ask("/trailers").body, dict(ask("/trailers").headers).get("X-Sum"))
    old = ask("/http10")
    assert ("1.0", "Old", b"until the end", (("X-Empty", ""),)) == (old.http_version, old.reason, old.body, old.headers)


def test_redirects_are_followed_only_when_asked() -> None:
    result = ask("/redirect/1")
    assert (302, b"moved") == (result.status, result.body)
    assert "/landed" == echoed(ask("/redirect/1", follow_redirects=True))["target"]


def test_a_redirected_post_becomes_a_get_without_its_body() -> None:
    saw = echoed(ask("/redirect-to?url=/there&status=303", method="POST", body=b"x", follow_redirects=True))
    assert ("GET", "") == (saw["method"], saw["body_base64"])
    kept = echoed(ask("/redirect-to?url=/there&status=307", method="POST", body=b"x", follow_redirects=True))
    assert ("POST", base64.b64encode(b"x").decode()) == (kept["method"], kept["body_base64"])


def test_credentials_do_not_follow_a_redirect_to_another_origin() -> None:
    async def test() -> None:
        async with Echo() as one, Echo() as two, executor() as made:
            url = one.url(f"/redirect-to?url={two.url('/there')}").replace("//", "//user:hush@", 1)
            secret = (("Cookie", "c"), ("X-Other", "o"))
            saw = echoed(await executed(made, execution(url, headers=secret, follow_redirects=True)))
            assert {"Authorization", "Cookie"} <= set(dict(one.requests[0].headers))
            assert {"Authorization", "Cookie"} & set(dict(saw["headers"])) == set()
            assert "o" == dict(saw["headers"])["X-Other"]

    run(test())


def test_userinfo_in_a_url_is_sent_as_basic_credentials() -> None:
    sent = dict(echoed(ask(userinfo="user:p%40ss@"))["headers"])
    assert f"Basic {base64.b64encode(b'user:p@ss').decode()}" == sent["Authorization"]
    assert "user" not in sent["Host"]


@pytest.mark.parametrize(
    ("path", "target"),
    [("/a/../b/./c", "/a/../b/./c"), ("/x#frag", "/x"), ("/\u00e9 ?q=\u00e9", "/%C3%A9%20?q=%C3%A9"), ("?q", "/?q")],
)
def test_a_path_is_sent_as_it_is_written(path: str, target: str) -> None:
    assert target == echoed(ask(path))["target"]


def test_a_very_long_url_is_sent_whole() -> None:
    path = f"/{'p' * 8000}"
    assert path == echoed(ask(path))["target"]


def test_nothing_of_one_execution_reaches_the_next() -> None:
    async def test() -> None:
        async with Echo() as target, executor(max_concurrency=1) as made:
            url = target.url().replace("//", "//user:hush@")
            await executed(made, execution(url, method="PUT", body=b"secret", headers=(("X-Key", "k"),)))
            await executed(made, execution(target.url("/bytes/9"), method="HEAD", http_version=HttpVersion.HTTP_1_1))
            saw = echoed(await executed(made, execution(target.url())))
            assert ("GET", "") == (saw["method"], saw["body_base64"])
            assert ["Host", "User-Agent", "Accept", "Accept-Encoding"] == [name for name, _ in saw["headers"]]

    run(test())


def test_an_upload_of_fifty_megabytes_arrives_whole() -> None:
    body = known_bytes(50_000_000)

    async def test() -> None:
        async with Echo() as target, executor() as made:
            url = target.url("/status/200")
            result = await executed(made, execution(url, method="PUT", body=body, timeout=20))
            assert 200 == result.status
            assert body == target.requests[0].body

    run(test())
