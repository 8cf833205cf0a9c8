"""The mask of a WebSocket's frames without C: beside steps 4 and 5 of a request's way, and back. Pure; event loop.

A client has to mask what it sends (RFC 6455, 5.3). Tornado does that by C where its wheel could be installed, and byte
by byte where there is none, such as on musl: 120 ms for 256 KiB. What would surprise: one XOR of large integers, taken
4 KiB at a time, takes less than a hundredth of that; integers of a whole frame leave the processor's caches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado import util, websocket

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK_BYTES = 4096
"""Masked in one step; a multiple of 4. From 1 to 16 KiB cost about the same, 1 MiB at once three times as much."""

_TORNADOS = "_websocket_mask"
"""The function that Tornado's WebSocket calls for each frame, either way."""


def mask(key: bytes, content: bytes) -> bytes:
    """Return `content` with each byte XORed by that of `key` (4 bytes) at its place modulo 4; twice gives it back."""
    size = len(content)
    if size <= CHUNK_BYTES:
        return _xor(content, int.from_bytes((key * (size // 4 + 1))[:size], "little"))
    pattern = int.from_bytes(key * (CHUNK_BYTES // 4), "little")
    whole = size - size % CHUNK_BYTES
    chunks = [_xor(content[at : at + CHUNK_BYTES], pattern) for at in range(0, whole, CHUNK_BYTES)]
    return b"".join([*chunks, mask(key, content[whole:])])


quick_mask: Callable[[bytes, bytes], bytes] = (
    mask if util._websocket_mask is util._websocket_mask_python else util._websocket_mask  # noqa: SLF001  nothing else tells
)
"""Masks as `mask` does, by C where there is some."""


def have_tornado_mask_quickly() -> None:
    """Have all WebSockets of this process masked by `mask` where they would be byte by byte; else do nothing."""
    if getattr(websocket, _TORNADOS) is util._websocket_mask_python:  # noqa: SLF001  nothing else says that it is slow
        setattr(websocket, _TORNADOS, mask)


def _xor(content: bytes, pattern: int) -> bytes:
    return (int.from_bytes(content, "little") ^ pattern).to_bytes(len(content), "little")
