"""The bounds fit together: none of them can be met while another one is broken by it."""

from __future__ import annotations

from dispatcher import request
from dispatcher.wire import limits, messages


def test_a_chunk_fits_the_window_and_the_window_is_whole_chunks() -> None:
    assert limits.BULK_WINDOW_BYTES > limits.CHUNK_BYTES
    assert limits.BULK_WINDOW_BYTES % limits.CHUNK_BYTES == 0


def test_a_chunk_beside_a_full_shared_frame_fits_a_frame() -> None:
    assert limits.SHARED_FRAME_BYTES + limits.CHUNK_BYTES < limits.MAX_FRAME_BYTES


def test_the_largest_body_fits_what_one_link_may_hold() -> None:
    assert limits.MAX_BODY_BYTES <= limits.MAX_QUEUED_BYTES


def test_the_defaults_of_a_request_are_within_the_bounds() -> None:
    assert request.DEFAULT_MAX_BODY_BYTES <= limits.MAX_BODY_BYTES
    assert request.DEFAULT_TIMEOUT_SECONDS <= limits.MAX_TIMEOUT_SECONDS


def test_a_uuid_fits_an_identifier() -> None:
    assert messages.IDENTIFIER_CHARS >= 36
