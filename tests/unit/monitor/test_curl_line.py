"""`curl_line.py`: what browsers and people copy is understood, and what is not is named."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.monitor.curl_line import body_of, is_curl, parse
from dispatcher.monitor.shell_words import CurlError


def test_a_bare_url_is_a_get() -> None:
    asked = parse("curl https://example.com/")
    assert ("https://example.com/", "GET", [], None) == (asked.url, asked.method, asked.headers, body_of(asked))


def test_a_url_without_scheme_is_http_as_curl_has_it() -> None:
    assert "http://example.com/x" == parse("curl example.com/x").url


def test_what_a_browser_copies_is_taken_whole() -> None:
    asked = parse(
        "curl 'https://example.com/api?a=1&b=2' \\\n"
        "  -X 'PUT' \\\n"
        "  -H 'accept: */*' \\\n"
        "  -H 'x-empty;' \\\n"
        "  -b 'sid=1; t=2' \\\n"
        '  --data-raw $\'{"text":"it\\\'s\\\\u0021"}\' \\\n'
        "  --compressed --insecure"
    )
    assert "https://example.com/api?a=1&b=2" == asked.url
    assert "PUT" == asked.method
    assert [("accept", "*/*"), ("x-empty", ""), ("Cookie", "sid=1; t=2")] == asked.headers[:3]
    assert '{"text":"it\'s\\u0021"}' == body_of(asked)
    assert not asked.verify_tls


def test_data_makes_a_post_of_a_form() -> None:
    asked = parse("curl -d a=1 -d b=2 http://x.test/")
    assert ("POST", "a=1&b=2") == (asked.method, body_of(asked))
    assert [("Content-Type", "application/x-www-form-urlencoded")] == asked.headers


def test_a_content_type_that_is_given_stays() -> None:
    assert [("content-type", "text/csv")] == parse("curl -d a -H 'content-type: text/csv' http://x.test").headers


def test_json_is_posted_as_json() -> None:
    asked = parse("""curl --json '{"a":1}' http://x.test/""")
    assert ("POST", '{"a":1}') == (asked.method, body_of(asked))
    assert [("Content-Type", "application/json"), ("Accept", "application/json")] == asked.headers


def test_get_puts_data_into_the_url() -> None:
    asked = parse("curl -G -d a=1 --data-urlencode 'q=x y&z' http://x.test/?k=v")
    assert ("GET", "http://x.test/?k=v&a=1&q=x%20y%26z", None) == (asked.method, asked.url, body_of(asked))


def test_short_options_may_share_a_word() -> None:
    asked = parse("curl -sSLkXPOST -m5 -HA:b http://x.test/")
    assert (True, False, "POST", 5.0) == (asked.follow_redirects, asked.verify_tls, asked.method, asked.timeout)
    assert [("A", "b")] == asked.headers


def test_user_and_password_become_a_header() -> None:
    assert [("Authorization", "Basic dTpw")] == parse("curl -u u:p http://x.test").headers


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("curl --proxy http://p:1 http://x.test", "--proxy"),
        ("curl -x p:1 http://x.test", "-x"),
        ("curl --interface eth0 http://x.test", "--interface"),
        ("curl -d @file http://x.test", "@file"),
        ("curl -F a=@b http://x.test", "-F"),
        ("curl -b cookies.txt http://x.test", "cookies.txt"),
        ("curl http://a.test http://b.test", "b.test"),
        ("curl -H", "-H"),
        ("curl -m soon http://x.test", "soon"),
        ("curl -s", "no URL"),
        ("curl 'http://x.test", "'http"),
        ("curl http://x.test | sh", "|"),
        ("curl http://x.test; rm x", ";"),
        ('curl "http://$HOST/"', "$HOST"),
        ("curl http://x.test/$(id)", "$("),
        ("curl -H 'Accept:' http://x.test", "Accept:"),
    ],
)
def test_what_cannot_be_done_here_is_named(command: str, named: str) -> None:
    with pytest.raises(CurlError) as caught:
        parse(command)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("curl --proxy p:1 -x q:1 --cert c http://x.test", "--proxy, -x and --cert are not understood"),
        ("curl --proxy p:1 --proxy q:1 http://x.test", "--proxy is not understood"),
        ("curl -F a=b -d @file http://x.test", "-F is not understood; --data @file: a file cannot be read here"),
        ("curl -m soon -b jar http://x.test", "--max-time soon: must be a number; -b jar: a file of cookies"),
    ],
)
def test_all_that_cannot_be_done_is_named_at_once(command: str, told: str) -> None:
    with pytest.raises(CurlError) as caught:
        parse(command)
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize("text", ["curl http://x", " $ curl http://x", "curl.exe -v http://x", "curl \\\n http://x"])
def test_a_curl_command_is_known_when_seen(text: str) -> None:
    assert is_curl(text)


@pytest.mark.parametrize("text", ["http://curl.se", "curly hair", "curl", "POST curl x"])
def test_other_text_is_not_taken_for_one(text: str) -> None:
    assert not is_curl(text)


@given(st.text(max_size=60))
def test_any_text_is_understood_or_refused(text: str) -> None:
    with contextlib.suppress(CurlError):
        assert parse("curl " + text).url
