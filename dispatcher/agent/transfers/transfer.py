"""One hop under way in libcurl, and how it ended: step 7 of a request's way, on the event loop.

libcurl calls into this from the middle of its own work, so nothing here may raise or wait. The surprising part: libcurl
sends a request again by itself when a kept connection turns out to be closed. A target may have acted on the first one,
so the second is stopped before it leaves (`before_request`); there, too, the source is checked before a byte is sent.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import pycurl

from dispatcher.agent.transfers.hop import REDIRECTS
from dispatcher.agent.transfers.response import MalformedResponseError, parse_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.agent.transfers.hop import Hop
    from dispatcher.agent.transfers.lanes import Lane

    OnEnd = Callable[["Transfer", "Ending"], None]

_WAIT = int(pycurl.WRITEFUNC_PAUSE)
_GO, _STOP = int(pycurl.PREREQFUNC_OK), int(pycurl.PREREQFUNC_ABORT)
REDIRECT_BODY_BYTES = 64 * 1024
"""How much of the body of a redirect that is followed is read, so that its connection can be kept; what it says is not
kept."""

GATHERED_BYTES = 1024 * 1024
"""A body's pieces are put together whenever so much has come: 256 MiB of them at its end held the loop for 110 ms."""

UNPAUSED_BYTES = 10 * 1024 * 1024
"""How much is kept of a body that cannot wait, and so is inflated in one call of libcurl: 26 ms of brotli."""

_CODED = ("content-encoding", "transfer-encoding")
_MILD = ("gzip", "x-gzip", "deflate", "identity", "chunked")
"""Codings that make at most a thousand bytes of one."""


@dataclass(slots=True)  # not frozen, which would cost as much as reading it all
class Ending:
    """What libcurl said at the end of a transfer.

    `errno` is a `pycurl.E_` number, 0 for success, None where we ended it; `os_errno` is 0 where no system call
    failed; `phases` are microseconds from dns to receive, and `phase` is the one in which it ended.
    """

    errno: int | None
    message: str
    os_errno: int
    local_ip: str
    phase: str
    phases: tuple[int, ...]


class Transfer:
    """The callbacks of one hop and what they collect. `on_end` gets it and its `Ending`, unless it is stopped."""

    __slots__ = (
        "_gathered",
        "_pieces",
        "_room",
        "asked",
        "blocked",
        "cut",
        "ended",
        "fds",
        "has_no_route",
        "header_lines",
        "hop",
        "lane",
        "on_end",
        "open_errno",
        "pace",
        "remote_ip",
        "resent",
        "seen_source",
        "size",
        "source",
        "stale",
        "started",
        "too_slow",
    )

    def __init__(self, hop: Hop, source: str, on_end: OnEnd, now: float) -> None:
        self.hop = hop
        self.source = source
        self.on_end = on_end
        self.started = now
        self.ended = 0.0
        self.lane: Lane | None = None
        self.header_lines: list[bytes] = []
        self.size = 0
        self.cut = False
        self.blocked: str | None = None
        self.open_errno = 0
        self.asked = ""
        self.has_no_route = False
        self.pace: tuple[float, int] | None = None
        self.too_slow = False
        self.resent = False
        self.stale = False
        self.seen_source: str | None = None
        self.remote_ip = ""
        self.fds: tuple[int, ...] = ()
        """The sockets that were opened for it; none where it left by a kept connection."""
        self._pieces: list[bytes] = []
        self._gathered: BytesIO | None = None
        # How large the body may become without another look: where redirects are followed it has to be seen what it is,
        # and a large one is gathered.
        self._room = -1 if hop.follow_redirects else min(hop.max_body_bytes, GATHERED_BYTES)

    @property
    def body(self) -> bytes:
        """What was kept of the decoded body."""
        pieces = self._pieces
        if self._gathered is None:
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._gather()
        return self._gathered.getvalue()  # not a copy, as long as nothing more is written

    @property
    def refusal(self) -> str | None:
        """Why the guard kept this hop from its target; None where another of its addresses was tried."""
        return None if self.fds else self.blocked

    @property
    def has_wrong_source(self) -> bool:
        """Whether the connection was bound to another address than its source."""
        return self.seen_source is not None and not same_address(self.seen_source, self.source)

    def before_request(self, local_ip: str, remote_ip: str, *, kept_is_dead: bool) -> int:
        """Say whether the request may leave by a connection that stands.

        Called for every connection that libcurl would use; `kept_is_dead` says that the peer has closed it already.
        """
        if self.seen_source is not None:
            self.resent = True
        elif kept_is_dead:
            self.stale = True
        else:
            self.seen_source, self.remote_ip = local_ip, remote_ip
            if local_ip == self.source or not self.has_wrong_source:
                return _GO
        return _STOP

    def write(self, chunk: bytes) -> int | None:
        """WRITEFUNCTION: a decoded piece of the body. A short count ends the transfer."""
        self.size = size = self.size + len(chunk)
        if size > self._room:
            return self._write_bounded(chunk)
        self._pieces.append(chunk)
        return None

    def _write_bounded(self, chunk: bytes) -> int | None:
        """Take the first piece, which comes when all headers are there, or one that is past what may come unseen."""
        if self._is_followed():
            return self._cut_past(REDIRECT_BODY_BYTES)
        limit, can_wait = self.hop.max_body_bytes, False
        if self.size > GATHERED_BYTES:
            can_wait = self._can_wait()
            limit = limit if can_wait else min(limit, UNPAUSED_BYTES)
        if can_wait and self.size <= limit and self.lane is not None and self.lane.pauses():
            self.size -= len(chunk)  # libcurl hands it over again
            return _WAIT
        kept = chunk[: max(0, limit - self.size + len(chunk))]
        if kept:
            self._pieces.append(kept)
        if self.size > GATHERED_BYTES:
            self._gather()
        self._room = min(limit, self.size + GATHERED_BYTES)
        return self._cut_past(limit)

    def _can_wait(self) -> bool:
        """Say whether libcurl keeps little where it has to wait: of 4 KiB of gzip 4 MB, but of brotli without bound."""
        try:
            headers = parse_response(self.header_lines).headers
        except MalformedResponseError:
            return False
        coded = [value.strip().lower() for name, value in headers if name.lower() in _CODED]
        return all(value in _MILD for value in coded) and len(coded) - coded.count("chunked") <= 1

    def _gather(self) -> None:
        if self._gathered is None:
            self._gathered = BytesIO()
        self._gathered.writelines(self._pieces)
        self._pieces.clear()

    def _cut_past(self, limit: int) -> int | None:
        if self.size <= limit:
            return None
        self.cut = True
        return 0

    def _is_followed(self) -> bool:
        if not self.hop.follow_redirects:
            return False
        try:
            response = parse_response(self.header_lines)
        except MalformedResponseError:
            return False
        return response.status in REDIRECTS and bool(response.header("location"))


def same_address(one: str, other: str) -> bool:
    """Whether two texts name the same address."""
    if one == other:
        return True
    try:
        return ipaddress.ip_address(one.partition("%")[0]) == ipaddress.ip_address(other)
    except ValueError:
        return False
