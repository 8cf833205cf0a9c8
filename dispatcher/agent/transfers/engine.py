"""Transfers of libcurl, each bound to its source address: step 7 of a request's way, on the event loop.

What a request is, how libcurl is driven and what becomes of a transfer is all decided here and in the modules beside
it, on the `CurlMulti` of `curl.py`. It serves all sources: libcurl never reuses a connection for another INTERFACE, so
thousands of sources cost nothing while they are idle, and one bound holds for all kept connections together.

What would surprise: this is no part of Tornado's client but a class without a base beside it, so that an execution
gets here by one call, and the class may be compiled.
"""

from __future__ import annotations

import asyncio
import functools
import math
import os
import time
from typing import TYPE_CHECKING, Any

import pycurl

from dispatcher.agent.addresses.binding import lacks_route
from dispatcher.agent.targets.guard import TargetGuard
from dispatcher.agent.targets.target import ExecutionError
from dispatcher.agent.transfers import curl_errors, curl_info, curl_options
from dispatcher.agent.transfers.driver import Driver
from dispatcher.agent.transfers.lanes import Lane, Lanes
from dispatcher.agent.transfers.sockets import OpenedSocket, SourceSockets, free_to_bind
from dispatcher.agent.transfers.speed import MIN_SPEED, MIN_SPEED_SECONDS, SpeedWatch
from dispatcher.agent.transfers.transfer import Ending, Transfer
from dispatcher.errors import FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.agent.transfers.hop import Hop
    from dispatcher.agent.transfers.transfer import OnEnd

MAX_IDLE_SECONDS = 30
"""How long an idle connection may be used again."""


class Engine:
    """Starts and stops transfers of `multi`. Make it on the loop that it shall run on.

    Connections: none is used after `max_idle_seconds`. Idle ones are closed `max_idle_seconds` after the last transfer;
    under traffic libcurl closes them itself, within two minutes.
    `is_routed` says of a source (canonical text) whether only a local route makes it this machine's; just such a one
    is bound with IPV6_FREEBIND, since with it a source that has left would bind too, and its requests would hang.
    `guard` says which targets may be asked; None refuses what it refuses by default. A transfer that moves fewer than
    `min_speed` bytes a second over `min_speed_seconds` ends, see `SpeedWatch`.
    """

    def __init__(  # noqa: PLR0913 - each has a name and its default
        self,
        multi: pycurl.CurlMulti,
        *,
        ca_file: str | None = None,
        max_idle_seconds: int = MAX_IDLE_SECONDS,
        is_routed: Callable[[str], bool] | None = None,
        guard: TargetGuard | None = None,
        min_speed: int = MIN_SPEED,
        min_speed_seconds: float = MIN_SPEED_SECONDS,
    ) -> None:
        """Begin without any handle: each is made when one more is needed than before."""
        self._multi = multi
        self._guard = guard or TargetGuard()
        self._ca_file = ca_file
        self._max_idle_seconds = max_idle_seconds
        self._is_routed = is_routed
        self._loop = asyncio.get_running_loop()
        self._active: dict[pycurl.Curl, Lane] = {}
        self._sockets = SourceSockets()
        self._speed = SpeedWatch(min_speed, min_speed_seconds, self._transfers, self._end_slow)
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_since = 0.0
        self._driver = Driver(multi, self._ended)
        self._lanes = Lanes(self._driver.pauses)

    def begin(self) -> None:
        """Have what was started leave now: to be called once for all that starts together. See `Driver.begin`."""
        self._driver.begin()

    def turn_soon(self) -> None:
        """Have what was started leave with the next turn of the loop. See `Driver.turn_soon`."""
        self._driver.turn_soon()

    def start(self, hop: Hop, source: str, on_end: OnEnd, *, now: float, seconds: float) -> Transfer:
        """Take up a hop from `source` (canonical text) that has `seconds`, more than 0; tell `on_end` of its end.

        It leaves with `begin` or `turn_soon`; one that is started by an `on_end` leaves by itself. `now` is the time
        (`time.monotonic()`), which the caller has just looked at.

        Raises:
            ExecutionError: libcurl does not take the request as it is (`internal`).
        """
        transfer = Transfer(hop, source, on_end, now)
        lane = self._lanes.take(hop, source)
        handle = lane.handle
        try:
            if lane.hop is not hop:
                self._set_up(lane, hop)
            milliseconds = math.ceil(seconds * 1000)
            if lane.milliseconds != milliseconds:
                curl_options.limit(handle, milliseconds)
                lane.milliseconds = milliseconds
            if lane.source != source:
                for option, value in curl_options.bindings[source]:
                    lane.setopt(option, value)
                lane.source = source
        except (pycurl.error, UnicodeError) as error:
            lane.clear()
            self._lanes.give(lane)
            detail = f"libcurl does not take the request: {error}"
            raise ExecutionError.of(FailureKind.INTERNAL, detail) from error
        if not self._active:
            self._speed.wake()
        lane.use(transfer)
        self._active[handle] = lane
        self._driver.add(handle)
        return transfer

    def stop(self, transfer: Transfer) -> Ending:
        """End a transfer that is under way, and say how far it came; nobody else is told."""
        assert transfer.lane is not None, "one that has ended is not stopped"
        self._driver.disregard(transfer.lane.handle)
        return self._end(transfer.lane, transfer, None, "")

    def drop_source(self, source: str) -> None:
        """End the kept connections of a source (canonical text) at once, and make those in use fail."""
        self._sockets.shut(source)

    def open_connections(self, source: str) -> int:
        """How many connections of a source (canonical text) are open."""
        return self._sockets.count(source)

    def close(self) -> None:
        """End all transfers, of which nobody is told; to be called before the `CurlMulti` is closed."""
        for transfer in self._transfers():
            self.stop(transfer)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._speed.close()
        self._driver.close()
        self._lanes.close()

    def _set_up(self, lane: Lane, hop: Hop) -> None:
        handle = lane.handle
        lane.hop = hop
        curl_options.configure(handle, hop, ca_file=self._ca_file, max_idle_seconds=self._max_idle_seconds)
        handle.setopt(pycurl.HEADERFUNCTION, lane.header_lines.append)
        handle.setopt(pycurl.WRITEFUNCTION, lane.write)
        # The guard judges for the host of the hop that the lane is set up for, whichever transfer uses it.
        handle.setopt(pycurl.OPENSOCKETFUNCTION, functools.partial(self._open_socket, lane))
        handle.setopt(pycurl.SOCKOPTFUNCTION, functools.partial(self._socket_opened, lane))
        handle.setopt(pycurl.PREREQFUNCTION, functools.partial(self._before_request, lane))

    def _open_socket(self, lane: Lane, _purpose: int, address: Any) -> OpenedSocket | int:
        """OPENSOCKETFUNCTION: libcurl is about to connect to this address, of which a host may have several."""
        transfer = _transfer_of(lane)
        transfer.asked = address.addr[0]
        refusal = self._guard.refusal(transfer.hop.target.host, address.addr[0])
        if refusal is not None:
            transfer.blocked = transfer.blocked or refusal
            return int(pycurl.SOCKET_BAD)
        try:
            return OpenedSocket(address.family, address.socktype, address.protocol)
        except OSError as error:
            transfer.open_errno = error.errno or 0
            return int(pycurl.SOCKET_BAD)

    def _socket_opened(self, lane: Lane, fd: int, _purpose: int) -> int:
        transfer = _transfer_of(lane)
        self._driver.opened(fd)
        self._sockets.opened(fd, transfer.source)
        if self._is_free(transfer.source):
            free_to_bind(fd)
        os.set_inheritable(fd, False)  # the copy that was made of ours has lost that
        transfer.fds += (fd,)
        return int(pycurl.SOCKOPT_OK)

    def _before_request(self, lane: Lane, remote_ip: str, local_ip: str, remote_port: int, local_port: int) -> int:
        transfer = lane.transfer
        assert transfer is not None, "libcurl calls for lanes in use only"
        # A kept connection opens no socket. libcurl keeps them apart by host; the guard does not count on it.
        refusal = self._guard.kept_refusals[transfer.hop.target.host, remote_ip]
        if refusal is not None:
            transfer.blocked = refusal
            transfer.fds = ()
            return int(pycurl.PREREQFUNC_ABORT)
        ends = (local_ip, local_port, remote_ip, remote_port)
        kept = None
        if not (transfer.fds and self._sockets.connected(transfer.fds, ends)):
            kept = self._sockets.find(ends)
        is_dead = kept is not None and (kept.was_shut or not self._driver.is_quiet(kept.fd)) and kept.is_dead()
        return transfer.before_request(local_ip, remote_ip, kept_is_dead=is_dead)

    def _ended(self, handle: pycurl.Curl, errno: int, message: str) -> None:
        """Take in what the driver says of a transfer."""
        lane = self._active[handle]
        transfer = _transfer_of(lane)
        if transfer.stale:
            self._begin_anew(lane, transfer)
            return
        ending = self._end(lane, transfer, errno, message)
        if errno and ending.os_errno in curl_errors.ROUTE_ERRORS and transfer.asked:
            transfer.has_no_route = lacks_route(transfer.source, transfer.asked, self._is_free(transfer.source))
        transfer.on_end(transfer, ending)

    def _is_free(self, source: str) -> bool:
        return self._is_routed is not None and self._is_routed(source)

    def _transfers(self) -> list[Transfer]:
        return [_transfer_of(lane) for lane in self._active.values()]

    def _end_slow(self, transfer: Transfer) -> None:
        transfer.too_slow = True
        transfer.on_end(transfer, self.stop(transfer))

    def _begin_anew(self, lane: Lane, transfer: Transfer) -> None:
        """The kept connection was dead and nothing has left: take a new one."""
        transfer.stale = False
        lane.is_spoiled = True
        self._multi.remove_handle(lane.handle)
        lane.handle.setopt(pycurl.FRESH_CONNECT, 1)
        spent = math.ceil((time.monotonic() - transfer.started) * 1000)
        curl_options.limit(lane.handle, max(1, lane.milliseconds - spent))
        self._driver.add(lane.handle)

    def _end(self, lane: Lane, transfer: Transfer, errno: int | None, message: str) -> Ending:
        del self._active[lane.handle]
        ending = curl_info.read(lane.getinfo, transfer, errno, message)
        self._multi.remove_handle(lane.handle)
        lane.end_use(transfer)
        self._lanes.give(lane)
        if not self._active:
            self._idle_since = transfer.ended
            if self._idle_timer is None:
                self._rest_at(transfer.ended + self._max_idle_seconds)
        return ending

    def _rest_at(self, due: float) -> None:
        self._idle_timer = self._loop.call_at(due, self._rest)

    def _rest(self) -> None:
        """Keep neither connections nor what requests were made of where nothing was asked for in a while.

        One timer for all pauses, which would cost each transfer that is alone a timer that is set and cancelled.
        """
        self._idle_timer = None
        if self._active:
            return  # the last to end sets it anew
        due = self._idle_since + self._max_idle_seconds
        if due > self._loop.time():
            self._rest_at(due)
            return
        self._sockets.shut_all()
        self._lanes.clear()


def _transfer_of(lane: Lane) -> Transfer:
    assert lane.transfer is not None, "libcurl calls for lanes in use only"
    return lane.transfer
