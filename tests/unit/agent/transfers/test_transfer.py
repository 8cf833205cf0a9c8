"""What a transfer keeps, and which request it lets leave."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, cast

import pycurl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.agent.transfers import transfer as module
from dispatcher.agent.transfers.hop import first_hop
from dispatcher.agent.transfers.transfer import (
    GATHERED_BYTES,
    REDIRECT_BODY_BYTES,
    UNPAUSED_BYTES,
    Transfer,
    same_address,
)
from tests.support.executing import execution

if TYPE_CHECKING:
    from dispatcher.agent.transfers.lanes import Lane

GO, STOP = pycurl.PREREQFUNC_OK, pycurl.PREREQFUNC_ABORT


def make(**rest: Any) -> Transfer:
    return Transfer(first_hop(execution("http://a.test/", **rest)), "2001:db8::1", lambda *_: None, 0.0)


def test_a_transfer_has_no_dictionary_which_would_cost_each_of_them_more_than_all_it_holds() -> None:
    assert not hasattr(make(), "__dict__")


def test_a_body_is_kept_up_to_its_limit_and_counted_beyond() -> None:
    transfer = make(max_body_bytes=5)
    assert transfer.write(b"abc") is None
    assert transfer.write(b"de") is None
    assert not transfer.cut
    assert 0 == transfer.write(b"fgh")
    assert (b"abcde", 8, True) == (transfer.body, transfer.size, transfer.cut)


@given(st.lists(st.binary(min_size=1, max_size=9)), st.integers(0, 60), st.booleans())
def test_a_body_is_the_same_however_it_comes_and_is_gathered(pieces: list[bytes], limit: int, follow: bool) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "GATHERED_BYTES", 8)
        transfer = make(max_body_bytes=limit, follow_redirects=follow)
        transfer.header_lines += [b"HTTP/1.1 200 OK\r\n", b"\r\n"]
        taken = list(itertools.takewhile(lambda piece: transfer.write(piece) is None, pieces))
        assert b"".join(pieces)[:limit] == transfer.body
        assert (len(taken) < len(pieces)) == transfer.cut == (len(b"".join(pieces)) > limit)


def test_a_large_body_is_not_put_together_again_at_its_end() -> None:
    transfer = make(max_body_bytes=4 * GATHERED_BYTES)
    for number in range(4 * 16):
        assert transfer.write(bytes([number]) * (GATHERED_BYTES // 16)) is None
    assert len(transfer._pieces) <= 16
    assert transfer.body is transfer.body
    assert b"".join(bytes([number]) * (GATHERED_BYTES // 16) for number in range(64)) == transfer.body


class Full:
    """A lane whose turn has no time left."""

    def pauses(self) -> bool:
        return True


GZIP, BROTLI = b"Content-Encoding: GZip\r\n", b"content-encoding: br\r\n"
CHUNKED, PACKED = b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n"


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ([], True),
        ([GZIP], True),
        ([GZIP, CHUNKED], True),
        ([CHUNKED], True),
        ([BROTLI], False),
        ([GZIP, GZIP], False),
        ([GZIP, PACKED], False),
        ([b"Content-Encoding: gzip, gzip\r\n"], False),
    ],
)
def test_a_large_body_waits_for_the_next_turn_unless_libcurl_would_keep_much_of_it(
    headers: list[bytes], waits: bool
) -> None:
    transfer = make(max_body_bytes=4 * GATHERED_BYTES)
    transfer.lane = cast("Lane", Full())
    transfer.header_lines += [b"HTTP/1.1 200 OK\r\n", *headers, b"\r\n"]
    assert transfer.write(bytes(GATHERED_BYTES)) is None
    for _ in range(3):
        assert (pycurl.WRITEFUNC_PAUSE if waits else None) == transfer.write(b"x")
    transfer.lane = None
    assert transfer.write(b"y") is None
    assert (b"" if waits else b"xxx") + b"y" == transfer.body[GATHERED_BYTES:]
    assert len(transfer.body) == transfer.size


@pytest.mark.parametrize(("headers", "is_cut"), [([BROTLI], True), ([GZIP, GZIP], True), ([GZIP], False), ([], False)])
def test_a_large_body_that_cannot_wait_is_cut(headers: list[bytes], is_cut: bool) -> None:
    transfer = make(max_body_bytes=2 * UNPAUSED_BYTES)
    transfer.header_lines += [b"HTTP/1.1 200 OK\r\n", *headers, b"\r\n"]
    for _ in range(UNPAUSED_BYTES // GATHERED_BYTES):
        assert transfer.write(bytes(GATHERED_BYTES)) is None
    assert (0 if is_cut else None) == transfer.write(b"x")
    assert UNPAUSED_BYTES + (not is_cut) == len(transfer.body)
    assert is_cut == transfer.cut


def test_a_body_that_is_cut_does_not_wait_for_that() -> None:
    transfer = make(max_body_bytes=GATHERED_BYTES)
    transfer.lane = cast("Lane", Full())
    transfer.header_lines += [b"HTTP/1.1 200 OK\r\n", b"\r\n"]
    assert transfer.write(bytes(GATHERED_BYTES)) is None
    assert 0 == transfer.write(b"x")
    assert transfer.cut


def test_the_body_of_a_followed_redirect_is_read_up_to_a_bound_and_not_kept() -> None:
    transfer = make(max_body_bytes=5, follow_redirects=True)
    transfer.header_lines += [b"HTTP/1.1 302 Found\r\n", b"Location: /x\r\n", b"\r\n"]
    assert transfer.write(b"x" * REDIRECT_BODY_BYTES) is None
    assert 0 == transfer.write(b"x")
    assert b"" == transfer.body


@pytest.mark.parametrize(
    "head",
    [
        [b"HTTP/1.1 302 Found\r\n", b"\r\n"],
        [b"HTTP/1.1 302 Found\r\n", b"Location:\r\n", b"\r\n"],
        [b"HTTP/1.1 200 OK\r\n", b"Location: /x\r\n", b"\r\n"],
    ],
)
def test_the_body_of_a_final_response_is_kept_where_redirects_are_followed(head: list[bytes]) -> None:
    transfer = make(follow_redirects=True)
    transfer.header_lines += head
    assert transfer.write(b"body") is None
    assert b"body" == transfer.body


def test_a_request_leaves_once() -> None:
    transfer = make()
    assert GO == transfer.before_request("2001:db8::1", "2001:db8::f", kept_is_dead=False)
    assert STOP == transfer.before_request("2001:db8::1", "2001:db8::f", kept_is_dead=False)
    assert transfer.resent


def test_a_request_does_not_leave_from_another_address() -> None:
    transfer = make()
    assert STOP == transfer.before_request("2001:db8::2", "2001:db8::f", kept_is_dead=False)
    assert transfer.has_wrong_source


def test_a_dead_kept_connection_does_not_count_as_sent() -> None:
    transfer = make()
    assert STOP == transfer.before_request("2001:db8::1", "2001:db8::f", kept_is_dead=True)
    transfer.stale = False  # as the client does when it takes a new connection
    assert GO == transfer.before_request("2001:db8::1", "2001:db8::f", kept_is_dead=False)
    assert not transfer.resent


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::1", True),
        ("2001:DB8:0::1", "2001:db8::1", True),
        ("fe80::1%lo", "fe80::1", True),
        ("2001:db8::2", "2001:db8::1", False),
        ("", "2001:db8::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", False),
    ],
)
def test_addresses_are_compared_by_what_they_name(one: str, other: str, same: bool) -> None:
    assert same == same_address(one, other)
