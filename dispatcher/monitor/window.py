"""Curtsies' full-screen window with two things of our own: a frame is one write, and wide characters end a row well.

Runs on the main thread. The stock window writes and flushes row by row, and clears to the end of a row by its number of
characters, which wipes out the last cell of a full row that has a wide character in it.
"""

from __future__ import annotations

import os
from typing import TextIO

from curtsies.formatstringarray import FSArray
from curtsies.window import FullscreenWindow

from dispatcher.monitor.palette import Palette, painted


class _Frame:
    """Collects what is written until it is sent at once; the stream that curtsies and blessed write to."""

    def __init__(self, stream: TextIO) -> None:
        self.encoding = stream.encoding
        self._file = stream.fileno()
        self._parts: list[str] = []

    def fileno(self) -> int:
        return self._file

    def isatty(self) -> bool:
        return os.isatty(self._file)

    def write(self, text: str) -> int:
        self._parts.append(text)
        return len(text)

    def flush(self) -> None:
        """Nothing leaves before `send`."""

    def send(self) -> None:
        left = memoryview("".join(self._parts).encode(self.encoding, "replace"))
        self._parts.clear()
        while left:
            left = left[os.write(self._file, left) :]


class Window(FullscreenWindow):
    """The whole terminal; leaves no trace when its context ends."""

    def __init__(self, stream: TextIO | None) -> None:
        """Draw on `stream`."""
        assert stream is not None, "a process without stdout has no terminal"
        self._frame = _Frame(stream)
        super().__init__(out_stream=self._frame, hide_cursor=True)  # type: ignore[arg-type]  # all that it uses of IO
        self._drawn: list[str] = []

    @property
    def colours(self) -> int:
        """How many colours terminfo knows of."""
        return int(self.t.number_of_colors)

    def __enter__(self) -> Window:
        """Take the whole terminal; also again, after it was given back for a while."""
        self.fullscreen_ctx = self.t.fullscreen()  # The stock one can be entered once.
        super().__enter__()
        self._frame.send()
        self.forget()
        return self

    def __exit__(self, *_: object) -> None:
        """Show what was there before."""
        super().__exit__()
        self._frame.send()

    def forget(self) -> None:
        """Draw all of the next frame: what the terminal shows is not known any more."""
        self._drawn = []

    def send(self, sequence: str) -> None:
        """Send a control sequence at once."""
        self._frame.write(sequence)
        self._frame.send()

    def draw(self, frame: FSArray, palette: Palette) -> None:
        """Draw the rows that differ from those before, in one write. Every row fills the window's width."""
        rows = [painted(str(row), palette) for row in frame]
        if len(rows) != len(self._drawn):
            self._frame.write(self.t.normal + self.t.clear)
            self._drawn = [""] * len(rows)
        for number, (row, before) in enumerate(zip(rows, self._drawn, strict=True)):
            if row != before:
                self._frame.write(self.t.move_yx(number, 0) + row)
        self._drawn = rows
        self._frame.send()
