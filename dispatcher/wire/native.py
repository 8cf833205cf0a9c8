"""msgspec where it can be loaded, and None where it cannot: the one place that asks. Beside every way, imported first.

It writes and reads JSON by C, for the link (`wire/structs.py`) and for records (`record_structs.py`), and each does the
same without it, slower: there are machines that it has no wheel for. No other module imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["describe", "encode", "msgspec"]

try:
    import msgspec
except ImportError:
    msgspec = None  # type: ignore[assignment]  # whoever imports it asks

encode: Callable[[Any], bytes] | None = None if msgspec is None else msgspec.json.Encoder().encode
"""Writes JSON as UTF-8 without spaces. It knows no lone surrogate (`UnicodeEncodeError`) and no class of ours."""


def describe() -> str:
    """Say what reads and writes JSON, for people."""
    return "Python's json, slower" if msgspec is None else f"msgspec {msgspec.__version__}"
