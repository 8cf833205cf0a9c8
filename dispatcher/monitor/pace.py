"""When the next frame may be drawn: seven a second, and one more that was saved up while nothing happened. Pure.

What would surprise: it is no fixed pause between two frames. The feed's changes come a little less often than frames
may, so that none of them waits, and the frame saved is for a key in between, which would else hold up all that follow.
"""

from __future__ import annotations

FRAME_SECONDS = 1.0 / 7.0
"""Between two frames in the long run. With the one that is saved, there are eight in a second at most."""


class Pace:
    """Times are seconds of one clock that only grows."""

    def __init__(self) -> None:
        """Start with a frame saved."""
        self._paid_until = 0.0
        """The end of the time that the frames drawn so far take at the usual pace."""

    def wait(self, now: float) -> float:
        """Return how long a frame has to wait; 0 where it may be drawn now."""
        return max(0.0, self._paid_until - FRAME_SECONDS - now)

    def drawn(self, now: float) -> None:
        """A frame was drawn."""
        self._paid_until = max(now, self._paid_until) + FRAME_SECONDS
