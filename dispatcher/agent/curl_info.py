"""What libcurl knows of a transfer at its end, read before its handle is reset: step 7 of a request's way, back.

libcurl's times are moments since the start of the transfer; a phase is the time between two of them. What is left after
the last moment that was reached belongs to the phase in which the transfer ended.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pycurl

from dispatcher.agent.transfer import Ending

if TYPE_CHECKING:
    from dispatcher.agent.transfer import Transfer

_HTTP_VERSIONS = {
    pycurl.CURL_HTTP_VERSION_1_0: "1.0",
    pycurl.CURL_HTTP_VERSION_1_1: "1.1",
    pycurl.CURL_HTTP_VERSION_2_0: "2",
    pycurl.CURL_HTTP_VERSION_3: "3",
}


def read(handle: Any, transfer: Transfer, errno: int | None, message: str) -> Ending:
    """Read the ending of `transfer`; `errno` as in `Ending`."""
    marks = _marks(handle)
    phase = "receive" if errno == 0 else _phase(transfer, marks)
    return Ending(
        errno=errno,
        message=message,
        os_errno=(handle.getinfo(pycurl.OS_ERRNO) or transfer.open_errno) if errno else 0,
        http_version=_HTTP_VERSIONS.get(handle.getinfo(pycurl.INFO_HTTP_VERSION), ""),
        remote_ip=handle.getinfo(pycurl.PRIMARY_IP) or "",
        local_ip=handle.getinfo(pycurl.LOCAL_IP) or "",
        phase=phase,
        phases=_phases(marks, phase, (time.monotonic() - transfer.started) * 1000),
    )


def _marks(handle: Any) -> dict[str, float]:
    """The moments at which phases ended, in milliseconds; 0 for one that was not reached."""
    return {
        "dns": handle.getinfo(pycurl.NAMELOOKUP_TIME) * 1000,
        "connect": handle.getinfo(pycurl.CONNECT_TIME) * 1000,
        "tls": handle.getinfo(pycurl.APPCONNECT_TIME) * 1000,
        "send": handle.getinfo(pycurl.POSTTRANSFER_TIME_T) / 1000,
        "wait": handle.getinfo(pycurl.STARTTRANSFER_TIME) * 1000,
    }


def _phase(transfer: Transfer, marks: dict[str, float]) -> str:
    if transfer.seen_source is not None:
        if transfer.header_lines:
            return "receive"
        return "wait" if marks["send"] else "send"
    if not marks["dns"]:
        return "dns"
    is_tls = transfer.hop.target.scheme == "https"
    return "tls" if is_tls and marks["connect"] else "connect"


def _phases(marks: dict[str, float], phase: str, total: float) -> dict[str, float]:
    phases = dict.fromkeys((*marks, "receive"), 0.0)
    reached = 0.0
    for name, mark in marks.items():
        if name == phase:
            break  # where a transfer fails, libcurl marks later moments too
        phases[name] = max(0.0, mark - reached)
        reached = max(reached, mark)
    phases[phase] += max(0.0, total - reached)
    return phases
