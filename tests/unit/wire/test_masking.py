"""The mask without C: what RFC 6455 defines, and what links use where Tornado's own is in Python."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado import websocket
from tornado.speedups import websocket_mask

from dispatcher.wire import masking

KEYS = st.binary(min_size=4, max_size=4)
LENGTHS = [*range(9), *(size + odd for size in (4096, 8192, 256 * 1024) for odd in range(-5, 6))]

PROGRAM = """
from tornado import util, websocket
from dispatcher.wire import masking
from tests.unit.wire import test_websocket
assert websocket._websocket_mask is util._websocket_mask_python
test_websocket.test_both_ends_hear_each_other_and_of_the_end()
assert websocket._websocket_mask is masking.mask
"""


def defined(key: bytes, content: bytes) -> bytes:
    """Mask as section 5.3 defines it, byte by byte."""
    return bytes(byte ^ key[place % 4] for place, byte in enumerate(content))


@given(KEYS, st.binary(max_size=300))
def test_each_byte_is_masked_by_that_of_the_key_at_its_place_modulo_4(key: bytes, content: bytes) -> None:
    assert defined(key, content) == masking.mask(key, content)
    assert content == masking.mask(key, masking.mask(key, content))


@pytest.mark.parametrize("size", LENGTHS)
def test_so_it_is_where_a_chunk_or_a_key_ends(size: int) -> None:
    content = os.urandom(size)
    for key in (b"\x00\x00\x00\x00", b"\xff\x00\x00\x01", os.urandom(4)):
        assert websocket_mask(key, content) == masking.mask(key, content)


def test_the_mask_in_c_stays_where_there_is_one() -> None:
    masking.have_tornado_mask_quickly()
    assert websocket._websocket_mask is websocket_mask


def test_both_ends_of_a_link_mask_by_it_where_there_is_none_in_c() -> None:
    without_c = os.environ | {"TORNADO_EXTENSION": "0"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], env=without_c, capture_output=True, text=True, check=False
    )
    assert ("", 0) == (done.stderr, done.returncode)
