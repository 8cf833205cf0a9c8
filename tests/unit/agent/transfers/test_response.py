"""Header lines as libcurl hands them over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.agent.transfers.response import MalformedResponseError, UnfinishedResponseError, parse_response
from dispatcher.wire import limits

TOKENS = st.text("abcXYZ-", min_size=1, max_size=8)
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f\x85\xa0"), max_size=12)


def lines(text: str) -> list[bytes]:
    return [f"{line}\r\n".encode("latin-1") for line in text.split("\n")]


def test_the_headers_of_the_final_response_are_kept_in_order_with_duplicates() -> None:
    response = parse_response(lines("HTTP/1.1 200 Fine by me\nb: 2\nA: 1\nb:3\n"))
    assert (200, "Fine by me") == (response.status, response.reason)
    assert (("b", "2"), ("A", "1"), ("b", "3")) == response.headers
    assert "1" == response.header("a")
    assert response.header("c") is None


def test_what_comes_before_and_after_the_final_head_is_left_out() -> None:
    text = "HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early\nLink: x\n\nHTTP/1.1 204\nX: y\n\nX-Trailer: t\n"
    response = parse_response(lines(text))
    assert (204, "", (("X", "y"),)) == (response.status, response.reason, response.headers)


@pytest.mark.parametrize("version", ["1.0", "1.1", "2", "3"])
def test_the_version_is_the_final_responses(version: str) -> None:
    assert version == parse_response(lines(f"HTTP/1.1 103 Early\n\nHTTP/{version} 200 OK\n")).http_version


def test_a_header_that_looks_like_a_status_line_is_a_header() -> None:
    response = parse_response(lines("HTTP/2 200 \nHTTP/1.1 500 x: y\n"))
    assert (200, "", (("HTTP/1.1 500 x", "y"),)) == (response.status, response.reason, response.headers)


def test_a_folded_header_is_one_header() -> None:
    assert (("A", "1 2"),) == parse_response(lines("HTTP/1.1 200 OK\nA: 1\n\t2\n")).headers


def test_the_same_line_folded_or_not_and_short_or_long_is_read_alike() -> None:
    for length in (10, 200, 300):
        value = "v" * length
        head = lines(f"HTTP/1.1 200 OK\nA: {value}\n \t{value}\nB: {value}\n")
        for _ in range(2):
            assert (("A", f"{value} {value}"), ("B", value)) == parse_response(head).headers


def test_a_carriage_return_within_a_line_ends_none() -> None:
    head = [b"HTTP/1.1 200 OK\r\n", b"A: 1\rB: 2\r\n", b"\r\n"]
    assert (("A", "1\rB: 2"),) == parse_response(head).headers


def test_lines_may_end_without_a_carriage_return() -> None:
    head = [b"HTTP/1.1 100 Continue\n", b"\n", b"HTTP/1.1 200 OK\n", b"A: 1\n", b"\n", b"Trailer: t\r\n", b"\r\n"]
    assert (200, (("A", "1"),)) == (parse_response(head).status, parse_response(head).headers)


@pytest.mark.parametrize(
    "text",
    ["HTTP/1.1 200 OK", "HTTP/1.1 200 OK\nA: b", "HTTP/1.1 100 Continue\n", "HTTP/1.1 100 Continue\n\nHTTP/1.1 200"],
)
def test_a_head_without_an_end_is_unfinished(text: str) -> None:
    given_lines = lines(text) if not text.endswith("\n") else [*lines(text[:-1]), b"\r\n"]
    with pytest.raises(UnfinishedResponseError):
        parse_response(given_lines)


@pytest.mark.parametrize("line", ["ICY 200 OK", "HTTP/1.1 20 OK", "HTTP/1.1 099 x", "HTTP/1.1", ""])
def test_a_status_line_that_is_none_is_malformed(line: str) -> None:
    with pytest.raises(MalformedResponseError):
        parse_response(lines(f"{line}\n"))


def test_headers_are_bounded_in_number() -> None:
    head = [b"HTTP/1.1 200 OK\r\n"]
    assert limits.MAX_HEADERS == len(parse_response(head + [b"a: b\r\n"] * limits.MAX_HEADERS + [b"\r\n"]).headers)
    with pytest.raises(MalformedResponseError, match="1025 headers, more than 1024"):
        parse_response(head + [b"a: b\r\n"] * (limits.MAX_HEADERS + 1) + [b"\r\n"])


def test_a_long_reason_is_cut() -> None:
    assert limits.MAX_TEXT_CHARS == len(parse_response(lines(f"HTTP/1.1 200 {'r' * 5000}\n")).reason)


@given(st.lists(st.tuples(TOKENS, VALUES), max_size=20))
def test_headers_come_back_as_they_were_sent(headers: list[tuple[str, str]]) -> None:
    text = "".join(f"{name}: {value}\n" for name, value in headers)
    assert tuple(headers) == parse_response(lines(f"HTTP/1.1 200 OK\n{text}")).headers


def test_a_head_is_read_the_same_when_it_comes_again_and_one_that_is_too_long_to_remember_too() -> None:
    short = lines("HTTP/1.1 200 OK\nA: 1\nA: 2\n")
    long = lines(f"HTTP/1.1 200 OK\nA: {'x' * 4096}\n")
    assert parse_response(short) is parse_response(list(short))
    assert (("A", "1"), ("A", "2")) == parse_response(short).headers
    assert parse_response(long) is not parse_response(list(long))
    assert (("A", "x" * 4096),) == parse_response(long).headers
    assert (("A", "1"), ("A", "3")) == parse_response([*short[:2], b"A: 3\r\n", short[-1]]).headers


def test_lines_that_are_the_same_text_but_other_lines_are_another_head() -> None:
    whole = [b"HTTP/1.1 200 OK\r\n", b"A: 1\r\nB: 2\r\n", b"\r\n"]
    apart = [b"HTTP/1.1 200 OK\r\n", b"A: 1\r\n", b"B: 2\r\n", b"\r\n"]
    assert 2 == len(parse_response(apart).headers)
    assert 1 == len(parse_response(whole).headers)
