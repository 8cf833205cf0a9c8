"""Options as libcurl takes them; what they do on the wire is in test_curl."""

from __future__ import annotations

import pycurl

from dispatcher.agent.transfers import curl_options
from dispatcher.agent.transfers.hop import first_hop
from tests.support.executing import execution


def test_an_older_libcurl_gets_the_bare_address_which_keeps_sources_apart() -> None:
    assert "2001:db8::1" == curl_options.interface("2001:db8::1", 0x081600)
    assert "host!2001:db8::1" == curl_options.interface("2001:db8::1", 0x081700)
    assert "host!2001:db8::1" == curl_options.interface("2001:db8::1", 0x090000)


def test_the_connections_of_sources_are_kept_apart_by_numbers_that_no_interface_has() -> None:
    numbers = {curl_options.pool(f"2001:db8::{number:x}") for number in range(1, 10_001)}
    assert 9_990 <= len(numbers), "sources that share a number make libcurl look longer"
    assert 0x4000_0000 <= min(numbers)
    assert max(numbers) < 0x8000_0000, "a long of 32 bits holds it"


def test_an_older_libcurl_does_not_wait_for_a_resolver_that_hangs() -> None:
    (option,) = curl_options.for_libcurl(0x081600)
    assert () == curl_options.for_libcurl(0x081700)
    pycurl.Curl().setopt(*option)  # it knows what it is


def test_an_empty_header_is_written_so_that_libcurl_sends_it() -> None:
    hop = first_hop(execution("http://a.test/", headers=(("A", ""), ("B", " \t"), ("C", "c"))))
    assert [b"A;", b"B;", b"C: c"] == curl_options.header_lines(hop)[:3]


def test_what_libcurl_would_make_up_is_taken_back_unless_it_is_given() -> None:
    hop = first_hop(execution("http://a.test/"))
    assert [b"Expect:", b"Content-Type:"] == curl_options.header_lines(hop)
    given = first_hop(execution("http://a.test/", headers=(("expect", "e"), ("CONTENT-TYPE", "t"))))
    assert [b"expect: e", b"CONTENT-TYPE: t"] == curl_options.header_lines(given)


def test_a_libcurl_without_http_2_is_not_asked_for_it() -> None:
    features = pycurl.version_info()[4]
    assert pycurl.CURL_HTTP_VERSION_2TLS == curl_options.automatic(features)
    assert pycurl.CURL_HTTP_VERSION_1_1 == curl_options.automatic(features & ~pycurl.VERSION_HTTP2)
