"""Where records and events leave a command: stdout, all of it or an error. Blocks; for commands that only write.

What would surprise: nothing of it goes through Python's buffer. Unbuffered (PYTHONUNBUFFERED, as images of containers
have it) Python does not write on where a signal cut a write short, and buffered it tries again at its exit what failed.
"""

from __future__ import annotations

import os
import select
import sys


def write(text: str) -> None:
    """Write `text` in UTF-8, waiting for as long as stdout takes nothing; what has no UTF-8 form is escaped.

    Raises:
        BrokenPipeError: whoever read it has gone.
        OSError: it takes no more for another reason, a full disk for example.
    """
    number = sys.stdout.fileno()
    left = memoryview(text.encode("utf-8", "backslashreplace"))
    while left:
        try:
            left = left[os.write(number, left) :]
        except BlockingIOError:  # whoever opened it shares it and does not want to wait on it
            room = select.poll()
            room.register(number, select.POLLOUT)
            room.poll()
