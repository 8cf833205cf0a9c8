"""Stands in for the package `cwcwidth` where it has no wheel; packed under that name.

curtsies, on the monitor's way to the screen, asks it how many cells a text takes. Like the C functions behind the
real one, and unlike wcwidth's own `wcswidth`, it adds up the widths of single characters: curtsies cuts texts there.
"""

from wcwidth import wcwidth

__all__ = ("wcswidth", "wcwidth")


def wcswidth(pwcs: str, n: int | None = None) -> int:
    """Return the cells that the first `n` characters (None: all) take; -1 where one cannot be printed."""
    widths = [wcwidth(character) for character in pwcs[:n]]
    return -1 if -1 in widths else sum(widths)
