"""How many values a JSON body has, counted while it comes: step 1 of a request's way, on the event loop.

Reading JSON costs by the value and not by the byte: sixteen megabytes of `[[],[],…` would hold the event loop for
seconds, one string of that size for milliseconds. What is counted is a comma or an opening bracket outside of strings.
"""

from __future__ import annotations

MAX_VALUES = 5000
"""The largest body that is allowed has 1024 headers as pairs: 3 each. About 25 ms where every one is wrong."""


class JsonWeight:
    """Counts until it is over `MAX_VALUES`; then it looks at nothing more."""

    def __init__(self) -> None:
        """Start before the first byte."""
        self._values = 0
        self._in_string = False
        self._carried = b""

    @property
    def is_over(self) -> bool:
        """Whether the body has too many values to be read at once."""
        return self._values > MAX_VALUES

    def add(self, chunk: bytes) -> None:
        """Count what the next bytes of the body have."""
        if self.is_over:
            return
        plain = (self._carried + chunk).replace(b"\\\\", b"")
        self._carried = b"\\" if plain.endswith(b"\\") else b""
        for piece in plain.replace(b'\\"', b"").split(b'"'):
            if not self._in_string:
                self._values += piece.count(b",") + piece.count(b"[") + piece.count(b"{")
            self._in_string = not self._in_string
        # There is one piece more than there are quotes.
        self._in_string = not self._in_string
