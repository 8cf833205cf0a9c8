"""What libcurl knows of a transfer at its end, read before its handle is used again: step 7 of a request's way, back.

libcurl's times are moments since the start of the transfer; a phase is the time between two of them. What is left after
the last moment that was reached belongs to the phase in which the transfer ended. A kept connection had nothing to look
up and nobody to connect to, so what libcurl says of that is left out.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pycurl

from dispatcher.agent.transfers.transfer import Ending

if TYPE_CHECKING:
    from dispatcher.agent.transfers.transfer import Transfer

Marks = tuple[int, int, int, int, int]
"""The moments at which all phases but the last ended, in microseconds; 0 for one that was not reached."""

HOP_PHASES = ("dns", "connect", "tls", "send", "wait", "receive")
"""What `Ending.phases` are."""

_RECEIVE = len(HOP_PHASES) - 1


def read(getinfo: Any, transfer: Transfer, errno: int | None, message: str) -> Ending:
    """Read the ending of `transfer`, which is now, by the `getinfo` of its handle; `errno` as in `Ending`."""
    transfer.ended = time.monotonic()
    total = int((transfer.ended - transfer.started) * 1_000_000)
    if errno == 0 and not transfer.fds:
        return _of_kept(getinfo, transfer.seen_source, total)
    marks = _marks(getinfo)
    phase = _RECEIVE if errno == 0 else _phase(transfer, marks)
    return Ending(
        errno,
        message,
        (getinfo(pycurl.OS_ERRNO) or transfer.open_errno) if errno else 0,
        getinfo(pycurl.LOCAL_IP) or "",
        HOP_PHASES[phase],
        _phases(marks, phase, total),
    )


def _of_kept(getinfo: Any, local_ip: str | None, total: int) -> Ending:
    """Read the good ending of a transfer by a kept connection: what most are, so nothing is read that says nothing."""
    sent, begun = getinfo(pycurl.POSTTRANSFER_TIME_T), getinfo(pycurl.STARTTRANSFER_TIME_T)
    phases = (0, 0, 0, sent, begun - sent, total - begun) if sent <= begun <= total else None
    return Ending(
        0,
        "",
        0,
        local_ip or "",
        "receive",
        phases or _phases((0, 0, 0, sent, begun), _RECEIVE, total),
    )


def moved_bytes(transfer: Transfer) -> int | None:
    """Return how many bytes have gone either way so far; None while neither a request nor an answer is on its way."""
    if transfer.lane is None or transfer.seen_source is None:
        return None
    getinfo = transfer.lane.getinfo
    if not transfer.header_lines and getinfo(pycurl.POSTTRANSFER_TIME_T):
        return None  # all is sent, and the target thinks
    return int(getinfo(pycurl.SIZE_DOWNLOAD_T) + getinfo(pycurl.HEADER_SIZE) + getinfo(pycurl.SIZE_UPLOAD_T))


def _marks(getinfo: Any) -> Marks:
    return (
        getinfo(pycurl.NAMELOOKUP_TIME_T),
        getinfo(pycurl.CONNECT_TIME_T),
        getinfo(pycurl.APPCONNECT_TIME_T),
        getinfo(pycurl.POSTTRANSFER_TIME_T),
        getinfo(pycurl.STARTTRANSFER_TIME_T),
    )


def _phase(transfer: Transfer, marks: Marks) -> int:
    """In which phase, by its place in `HOP_PHASES`, a transfer ended that failed."""
    dns, connect, _, send, _ = marks
    if transfer.seen_source is not None:
        if transfer.header_lines:
            return _RECEIVE
        return 4 if send else 3
    if not dns:
        return 0
    is_tls = transfer.hop.target.scheme == "https"
    return 2 if is_tls and connect else 1


def _phases(marks: Marks, phase: int, total: int) -> tuple[int, ...]:
    phases = [0, 0, 0, 0, 0, 0]
    reached = 0
    # Where a transfer fails, libcurl marks later moments too.
    for place in range(phase):
        mark = marks[place]
        if mark > reached:
            phases[place] = mark - reached
            reached = mark
    phases[phase] += max(0, total - reached)
    return tuple(phases)
