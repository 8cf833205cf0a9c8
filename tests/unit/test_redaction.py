"""Secrets stay out: of headers, of URLs however odd, and of the reasons of failures."""

from __future__ import annotations

import itertools
import time
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.errors import Failure, FailureKind, Party
from dispatcher.redaction import REDACTED, SECRET_HEADERS, Redactor
from dispatcher.request import RequestSpec
from dispatcher.web.schemas import Url

SECRET = "s3cret"


@pytest.mark.parametrize("name", SECRET_HEADERS)
@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title, lambda name: f"{name} "])
def test_the_value_of_a_secret_header_is_redacted_however_it_is_spelt(name: str, spell: object) -> None:
    spelt = spell(name)  # type: ignore[operator]  # a function
    assert ((spelt, REDACTED),) == Redactor().headers(((spelt, SECRET),))


def test_the_secret_headers_are_those_that_were_promised() -> None:
    promised = {"authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key"}
    assert promised == set(SECRET_HEADERS)


def test_more_headers_may_be_named_and_the_usual_ones_stay_secret() -> None:
    redactor = Redactor(["X-Token ", "x-other"])
    lines = (("x-token", SECRET), ("X-OTHER", SECRET), ("Cookie", SECRET), ("X-Tokens", "open"))
    expected = (("x-token", REDACTED), ("X-OTHER", REDACTED), ("Cookie", REDACTED), ("X-Tokens", "open"))
    assert expected == redactor.headers(lines)


def test_header_lines_keep_their_order_number_and_names() -> None:
    lines = (("Set-Cookie", "a"), ("Accept", "b"), ("set-cookie", "c"), ("Accept", "d"))
    expected = (("Set-Cookie", REDACTED), ("Accept", "b"), ("set-cookie", REDACTED), ("Accept", "d"))
    assert expected == Redactor().headers(lines)


def test_lines_without_secrets_are_given_back_as_they_are() -> None:
    redactor, lines = Redactor(), (("Server", "x"), ("Date", "y"))
    for same in (lines, lines, tuple((name, value) for name, value in lines)):
        assert redactor.headers(same) == lines
        assert redactor.headers(same) is same


def test_a_url_without_user_information_makes_no_other_lines() -> None:
    lines = (("Server", "x"), ("Location", "http://h/?at=@"))
    assert Redactor().headers(lines) is lines


def test_a_secret_is_one_whatever_was_seen_before_it_and_beside_it() -> None:
    redactor = Redactor()
    for name in ("X-A", "SET-COOKIE", "X-B", "Referer"):
        url = f"http://u:{SECRET}@h/"
        expected = {"SET-COOKIE": REDACTED, "Referer": f"http://{REDACTED}@h/"}.get(name, url)
        for _ in range(2):
            assert (("X-A", "a"), (name, expected)) == redactor.headers((("X-A", "a"), (name, url)))


def test_what_is_remembered_of_plain_names_is_bounded() -> None:
    redactor = Redactor()
    for start in range(0, 10_000, 500):
        redactor.headers(tuple((f"X-{number}", "") for number in range(start, start + 500)))
        assert 500 <= len(redactor._plain) <= 1500
        redactor.headers((("x" * 65, ""),))
        assert "x" * 65 not in redactor._plain
    assert ((" COOKIE", REDACTED),) == redactor.headers(((" COOKIE", SECRET),))


@pytest.mark.parametrize("name", ["Location", "content-location", "Referer"])
def test_the_user_information_of_a_url_in_a_header_is_redacted(name: str) -> None:
    assert ((name, f"http://{REDACTED}@h/"),) == Redactor().headers(((name, f"http://u:{SECRET}@h/"),))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://user:s3cret@h/p?q#f", f"http://{REDACTED}@h/p?q#f"),
        ("http://s3cret@h", f"http://{REDACTED}@h"),
        ("http://:s3cret@h", f"http://{REDACTED}@h"),
        ("http://u:s3@cret@h/", f"http://{REDACTED}@h/"),
        ("HTTPS://u:s3cret@[::1]:8443/", f"https://{REDACTED}@[::1]:8443/"),
        ("http://u:s3cret@h:80?q=1", f"http://{REDACTED}@h:80?q=1"),
        ("http://u:s3cret\\@h/", f"http://{REDACTED}@h/"),
        ("http://u%3As3cret:%40@h/", f"http://{REDACTED}@h/"),
        ("http://@h/", f"http://{REDACTED}@h/"),
        ("http://u:s3cret@[::1/", f"http://{REDACTED}@[::1/"),
        ("http://u:s3cret@h\u2100st/", f"http://{REDACTED}@h\u2100st/"),
        ("http://h/a@b", "http://h/a@b"),
        ("http://h/?mail=a@b", "http://h/?mail=a@b"),
        ("http://h/#a@b", "http://h/#a@b"),
        ("http://h/", "http://h/"),
    ],
)
def test_a_url_loses_its_user_information_and_nothing_else(url: str, expected: str) -> None:
    assert expected == Redactor.url(url)


@given(userinfo=st.text(min_size=1), host=st.sampled_from(["h", "h:80", "[::1]", "[::1]:80"]), rest=st.text())
def test_no_url_that_the_api_takes_keeps_its_user_information(userinfo: str, host: str, rest: str) -> None:
    url = f"http://{userinfo}:{SECRET}@{host}/{rest}"
    try:
        taken = Url().deserialize(url)
        netloc = urlsplit(taken).netloc
    except Exception:  # noqa: BLE001  (whatever it is, the API does not take it)
        return
    if SECRET in netloc:
        assert SECRET not in Redactor.url(taken).split("/")[2]


@given(url=st.text())
def test_no_text_makes_it_raise(url: str) -> None:
    Redactor.url(url)
    Redactor.url(f"http://{url}@{url}")


def scrubbed(detail: str, url: str = "http://h/", *headers: tuple[str, str]) -> str:
    failure = Failure(FailureKind.TLS, detail, Party.TARGET)
    found = Redactor().failure(failure, url, headers)
    assert (FailureKind.TLS, Party.TARGET) == (found.kind, found.attributed_to)
    return found.detail


@pytest.mark.parametrize(
    "detail",
    [
        "the URL http://user:s3cret@h/ is bad",
        "netloc 'user:s3cret@h\u2100' contains invalid characters under NFKC normalization",
        "bad password s3cret",
        "redirected to https://other:pass@elsewhere/",
    ],
)
def test_a_reason_loses_the_user_information_of_urls(detail: str) -> None:
    found = scrubbed(detail, f"http://user:{SECRET}@h/")
    assert SECRET not in found
    assert "other:pass" not in found
    assert REDACTED in found


def test_a_reason_loses_user_information_in_its_encoded_and_decoded_form() -> None:
    secret = "p@ss wörd/1"
    url = f"http://user:{quote(secret, safe='')}@h/"
    assert f"a {REDACTED} b {REDACTED}" == scrubbed(f"a {quote(secret, safe='')} b {secret}", url)


def test_a_reason_loses_the_values_of_secret_headers_whole_and_without_their_scheme() -> None:
    headers = (("Authorization", "Bearer t0ken-1"), ("Cookie", "a=c00kie"))
    found = scrubbed("sent Bearer t0ken-1, then t0ken-1, then a=c00kie", "http://h/", *headers)
    assert f"sent {REDACTED}, then {REDACTED}, then {REDACTED}" == found


def test_a_reason_without_secrets_stays_as_it_is() -> None:
    detail = "connecting to [2001:db8::1]:443 from 2001:db8::2 failed: Connection refused (ECONNREFUSED)"
    assert detail == scrubbed(detail, "http://u:p@h/?x=a:b@c", ("Authorization", "x"), ("Accept", "refused"))


@pytest.mark.parametrize("userinfo", ["by", "by:", ":by", "t:ion", ""])
def test_what_is_too_short_for_a_secret_is_no_word_of_a_reason(userinfo: str) -> None:
    detail = "the connection was refused by its peer"
    assert detail == scrubbed(detail, f"http://{userinfo}@h/", ("Cookie", "its"), ("Authorization", ""))


def test_each_request_has_its_own_secrets_whichever_failed_before_it() -> None:
    redactor, failure = Redactor(), Failure.of(FailureKind.TLS, "of s3cret-1, s3cret-2 and s3cret-3")
    urls = [f"http://u:s3cret-{number}@h/" for number in (1, 2)]
    lines = [(("Cookie", f"s3cret-{number}"),) for number in (2, 3)]
    for before, (url, headers) in itertools.product(itertools.product(urls, lines), repeat=2):
        redactor.failure(failure, *before)
        found = redactor.failure(failure, url, headers).detail
        for secret in ("s3cret-1", "s3cret-2", "s3cret-3"):
            assert (secret not in found) == (secret in url or secret == headers[0][1])


def test_the_longest_reason_is_searched_in_a_moment() -> None:
    started = time.process_time()
    detail = "@ " + "a" * 4094
    assert detail == scrubbed(detail)
    assert time.process_time() - started < 0.02


@pytest.mark.parametrize(
    ("body", "body_base64", "expected"),
    [("secret", None, "[redacted]"), (None, "c2VjcmV0", "[redacted]"), (None, None, None), ("", None, "")],
)
def test_a_configuration_is_shown_without_secrets_and_without_its_body(
    body: str | None, body_base64: str | None, expected: str | None
) -> None:
    headers = [["Authorization", "Bearer x"], ["Accept", "*/*"]]
    stored = {
        "url": "http://a:b@c.test/",
        "headers": headers,
        "body": body,
        "body_base64": body_base64,
        "timeout": 30.0,
    }
    shown = Redactor().configuration(stored)
    assert ("http://[redacted]@c.test/", expected, None, 30.0) == (
        shown["url"],
        shown["body"],
        shown["body_base64"],
        shown["timeout"],
    )
    assert (("Authorization", "[redacted]"), ("Accept", "*/*")) == shown["headers"]
    assert body == stored["body"]


def test_what_a_record_shows_of_a_request_is_made_once_for_the_same_request_and_anew_for_another() -> None:
    redactor = Redactor()
    first = RequestSpec("http://me:s3cret@a.test/", headers=(("Authorization", "Bearer s3cret"), ("X-A", "1")))
    shown = redactor.request(first)
    assert {
        "method": "GET",
        "url": f"http://{REDACTED}@a.test/",
        "headers": [["Authorization", REDACTED], ["X-A", "1"]],
    } == shown
    assert shown is redactor.request(first)
    assert "POST" == redactor.request(RequestSpec("http://b.test/", method="POST"))["method"]
    assert shown == redactor.request(first)
