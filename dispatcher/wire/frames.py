"""A WebSocket's bytes, cut into frames and made of them (RFC 6455, 5): between steps 4 and 5 of a request's way, and
back. Sans-I/O; pure. What a frame says is for Tornado's protocol to deal with, see `websocket.py`.

What would surprise: that this is not Tornado's. Its own reads a frame in up to four awaited pieces, which costs several
times what is done here. It is as strict, and stricter in who has to mask (a client always, and a server never), in how
a length is written, and in what a close may say.
"""

from __future__ import annotations

from dispatcher.wire.masking import quick_mask

BINARY = 0x2
_CONTINUED = 0x0
_CLOSE = 0x8
_CONTROL = frozenset((_CLOSE, 0x9, 0xA))
_KNOWN = _CONTROL | {_CONTINUED, 0x1, BINARY}

_FINAL = 0x80
_RESERVED = 0x70
_MASKED = 0x80
_WHOLE = _FINAL | BINARY
"""How nearly every frame of a link begins."""

_LONG, _LONGEST = 126, 127
"""What stands for a length of 2 bytes, and of 8."""

_KEY_BYTES = 4

_CLOSE_CODES = frozenset((*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)))
"""What a close may give as its code (RFC 6455, 7.4, and what was registered since)."""


class BrokenFrameError(Exception):
    """What came is no frame that this side takes; nothing behind it can be trusted."""


class TooLongError(Exception):
    """A message is longer than this side takes."""


def write(content: bytes, key: bytes = b"") -> bytes:
    """Make a frame of a whole binary message, masked by `key`: 4 bytes that nobody can foresee, or none."""
    size = len(content)
    masked = _MASKED if key else 0
    if size < _LONG:
        head = bytes((_WHOLE, masked | size))
    elif size < 1 << 16:
        head = bytes((_WHOLE, masked | _LONG, size >> 8, size & 0xFF))
    else:
        head = bytes((_WHOLE, masked | _LONGEST)) + size.to_bytes(8, "big")
    return head + key + quick_mask(key, content) if key else head + content


class FrameReader:
    """Cuts what arrives into messages and control frames.

    It keeps what has not come as a whole: a message of `most_bytes`, and what was added last.
    """

    def __init__(self, most_bytes: int, *, are_masked: bool) -> None:
        """Take messages of `most_bytes` at most, of frames that all `are_masked`, or none."""
        self._most_bytes = self._room = most_bytes
        self._masked = _MASKED if are_masked else 0
        self._key_bytes = _KEY_BYTES if are_masked else 0
        self._arrived: bytes | bytearray = b""
        self._at = 0
        self._parts: bytearray | None = None
        self._parts_opcode = 0

    def take(self, most_bytes: int) -> None:
        """Take messages of `most_bytes` at most from now on."""
        self._room += most_bytes - self._most_bytes
        self._most_bytes = most_bytes

    def add(self, came: bytes) -> None:
        """Put what came behind what is there."""
        if self._at == len(self._arrived):
            self._arrived = came
        else:
            # Only of a part is a copy made, and of one that grows not each time.
            left = self._arrived if isinstance(self._arrived, bytearray) else bytearray(self._arrived)
            del left[: self._at]
            left += came
            self._arrived = left
        self._at = 0

    def next(self) -> tuple[int, bytes] | None:
        """Return the opcode and the content of the next message or control frame that is there as a whole.

        Raises:
            BrokenFrameError: what is there is against the protocol.
            TooLongError: so is its length.
        """
        while self._at < len(self._arrived) and (frame := self._next_frame()) is not None:
            first, content = frame
            if first == _WHOLE:
                return BINARY, content  # in the midst of another it was refused
            opcode, is_final = first & 0xF, first & _FINAL
            if opcode == _CLOSE:
                _demand_parting(content)
            if opcode in _CONTROL or (is_final and self._parts is None):
                return opcode, content
            if self._parts is None:
                self._parts, self._parts_opcode = bytearray(), opcode
            self._parts += content
            self._room = self._most_bytes - len(self._parts)
            if is_final:
                whole = bytes(self._parts)
                self._parts, self._room = None, self._most_bytes
                return self._parts_opcode, whole
        return None

    def _next_frame(self) -> tuple[int, bytes] | None:
        """Return the first byte and the content of the next frame, if all of it is there."""
        arrived, at = self._arrived, self._at
        start = at + 2
        if len(arrived) < start:
            return None
        first, size = arrived[at], arrived[at + 1] ^ self._masked
        if first != _WHOLE or self._parts is not None or size & _MASKED:
            self._demand_order(first, size)
        if size >= _LONG:
            start += 2 if size == _LONG else 8
            if len(arrived) < start:
                return None
            least = _LONG if size == _LONG else 1 << 16
            size = int.from_bytes(arrived[at + 2 : start], "big")
            if size < least:
                raise BrokenFrameError("a length in more bytes than it takes")
        if size > self._room:
            raise TooLongError(f"a message of more than {self._most_bytes} bytes")
        key_at, start = start, start + self._key_bytes
        end = start + size
        if len(arrived) < end:
            return None
        self._at = end
        if isinstance(arrived, bytes):
            key, content = arrived[key_at:start], arrived[start:end]
        else:
            key, content = bytes(arrived[key_at:start]), bytes(arrived[start:end])
        return first, quick_mask(key, content) if key else content

    def _demand_order(self, first: int, size: int) -> None:
        """Refuse a frame that may not come here, whatever it holds; `size` has the bit of a mask that is not right."""
        opcode = first & 0xF
        if size & _MASKED:
            raise BrokenFrameError("a frame of a server that is masked, or of a client that is not")
        if first & _RESERVED or opcode not in _KNOWN:
            raise BrokenFrameError("a frame of an extension that nobody agreed on")
        if opcode in _CONTROL:
            if not first & _FINAL or size >= _LONG:
                raise BrokenFrameError("a control frame in parts, or with more than 125 bytes")
        elif (opcode == _CONTINUED) is (self._parts is None):
            raise BrokenFrameError("a part of no message, or a message within another")


def _demand_parting(content: bytes) -> None:
    """Refuse what no close may say: a code that is none, or a reason that is no text."""
    if content and (len(content) == 1 or int.from_bytes(content[:2], "big") not in _CLOSE_CODES):
        raise BrokenFrameError("a close with a code that may not be sent")
    try:
        content[2:].decode()
    except UnicodeDecodeError:
        raise BrokenFrameError("a close whose reason is not UTF-8") from None
