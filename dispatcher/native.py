"""What a command needs that no pure Python can give. Asked before the command's own imports, on the main thread."""

from __future__ import annotations

from dispatcher.bootstrap import target_tag
from dispatcher.errors import DispatcherError

OLDEST = "7.45.7"
"""The first pycurl that calls back before a request is sent, which is what tells "failed" from "unknown"."""

OLDEST_LIBCURL = "8.10"
"""The first libcurl that tells when a request was sent, which is what tells "it sends" from "the target thinks"."""

_OLDEST_LIBCURL_NUMBER = 0x080A00

_HOW = (
    f"apk add py3-pycurl (Alpine), apt-get install python3-pycurl (Debian), or pip install 'pycurl>={OLDEST}' into a "
    "virtual environment where those are older"
)


def need_pycurl() -> None:
    """Raise a `DispatcherError` that says what to install where `pycurl` or its libcurl is missing or too old."""
    try:
        import pycurl  # noqa: PLC0415  whether it loads is the question
    except ImportError as error:
        raise DispatcherError(
            f"pycurl, which makes the requests, does not load ({error}), and this file brings none for {target_tag()}; "
            f"install {OLDEST} or newer: {_HOW}"
        ) from error
    if not hasattr(pycurl, "PREREQFUNCTION"):
        found = pycurl.version.split()[0].partition("/")[2]
        raise DispatcherError(
            f"pycurl {found} of {pycurl.__file__} is too old; an agent needs {OLDEST} or newer: {_HOW}"
        )
    if not hasattr(pycurl, "POSTTRANSFER_TIME_T") or pycurl.version_info()[2] < _OLDEST_LIBCURL_NUMBER:
        raise DispatcherError(
            f"libcurl {pycurl.version_info()[1]}, which {pycurl.__file__} was built for or loads, is too old; an agent "
            f"needs {OLDEST_LIBCURL} or newer, which newer versions of this system have"
        )
