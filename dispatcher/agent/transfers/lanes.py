"""libcurl's handles, each kept as it was set up for one request: step 7 of a request's way, on the event loop.

Setting some thirty options costs more than all that libcurl does for a small answer, and most executions ask for what
the one before asked for. So a handle keeps the options of its hop, and its source until it is bound to another; in a
batch each source comes again when a lane of its own is free. What would surprise: a lane serves the very same `Hop`
object again or is reset whole; no option is ever taken back one by one, so none can reach another request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pycurl

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.agent.transfers.hop import Hop
    from dispatcher.agent.transfers.transfer import Transfer

    Pauses = Callable[[pycurl.Curl], bool]


class Lane:
    """A handle, the hop that it is set up for (None: for none), its source (empty: none), and who uses it.

    The callbacks of header lines and of the body are the lane's, since setting them anew costs each transfer more than
    handing on what comes: `header_lines` are those of the transfer under way.
    """

    __slots__ = (
        "_pauses",
        "getinfo",
        "handle",
        "header_lines",
        "hop",
        "is_spoiled",
        "milliseconds",
        "setopt",
        "source",
        "transfer",
    )

    def __init__(self, pauses: Pauses) -> None:
        self._pauses = pauses
        self.handle = pycurl.Curl()
        # Looked up once: a handle looks for a method among what was set on it first.
        self.setopt, self.getinfo = self.handle.setopt, self.handle.getinfo
        self.header_lines: list[bytes] = []
        self.hop: Hop | None = None
        self.source = ""
        self.milliseconds = 0
        """The time limit that is set."""
        self.is_spoiled = False
        """Whether it was set up for this transfer alone."""
        self.transfer: Transfer | None = None

    def write(self, chunk: bytes) -> int | None:
        """WRITEFUNCTION: a decoded piece of the body."""
        assert self.transfer is not None, "libcurl calls for lanes in use only"
        return self.transfer.write(chunk)

    def pauses(self) -> bool:
        """Say whether the rest of the body has to wait; libcurl is then to be told so, see `Driver.pauses`."""
        return self._pauses(self.handle)

    def use(self, transfer: Transfer) -> None:
        """Have what comes belong to `transfer`."""
        self.transfer = transfer
        transfer.lane = self
        transfer.header_lines = self.header_lines

    def end_use(self, transfer: Transfer) -> None:
        """Leave to `transfer` what came for it, and nothing to the next."""
        self.transfer = transfer.lane = None
        transfer.header_lines = self.header_lines[:]
        self.header_lines.clear()

    def clear(self) -> None:
        """Forget every option and callback."""
        self.handle.reset()
        self.hop = None
        self.source = ""
        self.milliseconds = 0
        self.is_spoiled = False


class Lanes:
    """The lanes that are not in use, by hop and source. There are as many in all as were ever in use at a time."""

    def __init__(self, pauses: Pauses) -> None:
        """Make none yet; `pauses` says whether what comes for a handle has to wait."""
        self._pauses = pauses
        self._idle: dict[Hop | None, dict[str, list[Lane]]] = {}
        self._all: list[Lane] = []

    def take(self, hop: Hop, source: str) -> Lane:
        """Return a lane that is set up for `hop`, best with this source, or one that is set up for nothing."""
        same = self._idle.get(hop)
        return _one_of(same, source) if same else self._other()

    def give(self, lane: Lane) -> None:
        """Take a lane back; it stays set up only for a hop that others may ask for."""
        hop = lane.hop
        if hop is not None and (lane.is_spoiled or not hop.is_shared):
            lane.clear()
            hop = None
        same = self._idle.get(hop)
        if same is None:
            self._idle[hop] = {lane.source: [lane]}
        elif lane.source in same:
            same[lane.source].append(lane)
        else:
            same[lane.source] = [lane]

    def clear(self) -> None:
        """Forget what the unused lanes were set up for."""
        idle = [lane for same in self._idle.values() for lanes in same.values() for lane in lanes]
        for lane in idle:
            lane.clear()
        self._idle = {None: {"": idle}} if idle else {}

    def close(self) -> None:
        """Close every handle."""
        for lane in self._all:
            lane.handle.close()
        self._all.clear()
        self._idle.clear()

    def _other(self) -> Lane:
        # Hops without a lane go here, and not in `take`: the next execution most likely asks for the same.
        self._idle = {hop: same for hop, same in self._idle.items() if same}
        if not self._idle:
            lane = Lane(self._pauses)
            self._all.append(lane)
            return lane
        lane = _one_of(self._idle[None if None in self._idle else next(iter(self._idle))], "")
        if lane.hop is not None:
            lane.clear()
        return lane


def _one_of(same: dict[str, list[Lane]], source: str) -> Lane:
    """Take one of these out, of which there is one at least."""
    lanes = same.get(source)
    if lanes is None:
        source, lanes = next(reversed(same.items()))
    lane = lanes.pop()
    if not lanes:
        del same[source]
    return lane
