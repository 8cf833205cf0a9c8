"""What a command needs that no pure Python can give. Asked before the command's own imports, on the main thread."""

from __future__ import annotations

from dispatcher.bootstrap import target_tag
from dispatcher.errors import DispatcherError

PACKAGES = "apk add py3-pycurl (Alpine), apt-get install python3-pycurl (Debian), dnf install python3-pycurl (Fedora)"


def need_pycurl() -> None:
    """Raise a `DispatcherError` that says what to install where `pycurl` is missing or does not load."""
    try:
        import pycurl  # noqa: F401, PLC0415  only whether it loads is asked
    except ImportError as error:
        raise DispatcherError(
            f"pycurl, which makes the requests, does not load ({error}), and this file brings none for {target_tag()};"
            f" install the system's: {PACKAGES}"
        ) from error
