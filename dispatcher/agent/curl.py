"""libcurl on the event loop, each transfer bound to its source address: step 7 of a request's way.

A subclass of Tornado's curl client, which drives libcurl from the loop; what a request is, and what becomes of it, is
ours. One `CurlMulti` serves all sources: libcurl never reuses a connection for another INTERFACE, so thousands of
sources cost nothing while they are idle, and one bound holds for all kept connections together.

What would surprise: Tornado's `fetch` is refused, since a request without a source address must not leave.
"""

from __future__ import annotations

import asyncio
import functools
import os
from typing import TYPE_CHECKING, Any, NoReturn

import pycurl
from tornado.curl_httpclient import CurlAsyncHTTPClient
from tornado.ioloop import IOLoop

from dispatcher.agent import curl_info, curl_options
from dispatcher.agent.guard import TargetGuard
from dispatcher.agent.sockets import OpenedSocket, SourceSockets, free_to_bind
from dispatcher.agent.target import ExecutionError
from dispatcher.agent.transfer import Ending, Transfer
from dispatcher.errors import FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.agent.hop import Hop

MAX_CONNECTIONS = 256
"""Connections kept in all, busy ones counted; over it the one idle for longest is closed."""

MAX_IDLE_SECONDS = 30
"""How long an idle connection may be used again."""

_INTEREST = {
    pycurl.POLL_NONE: IOLoop.NONE,
    pycurl.POLL_IN: IOLoop.READ,
    pycurl.POLL_OUT: IOLoop.WRITE,
    pycurl.POLL_INOUT: IOLoop.READ | IOLoop.WRITE,
}


class SourceBoundClient(CurlAsyncHTTPClient):
    """Starts and stops transfers. Make it with `force_instance=True`, on the loop that it shall run on.

    Kept connections: at most `max_connections`; none is used after `max_idle_seconds`. Idle ones are closed
    `max_idle_seconds` after the last transfer; under traffic libcurl closes them itself, within two minutes.
    `is_routed` says of a source (canonical text) whether only a local route makes it this machine's; just such a one
    is bound with IPV6_FREEBIND, since with it a source that has left would bind too, and its requests would hang.
    `guard` says which targets may be asked; None refuses what it refuses by default.
    """

    def initialize(  # type: ignore[override]  # the options are ours; Tornado's do not apply
        self,
        *,
        ca_file: str | None = None,
        max_connections: int = MAX_CONNECTIONS,
        max_idle_seconds: int = MAX_IDLE_SECONDS,
        is_routed: Callable[[str], bool] | None = None,
        guard: TargetGuard | None = None,
    ) -> None:
        """Make the client without any handle: each is made when one more is needed than before."""
        self._guard = guard or TargetGuard()
        self._ca_file = ca_file
        self._max_idle_seconds = max_idle_seconds
        self._is_routed = is_routed
        self._loop = asyncio.get_running_loop()
        self._active: dict[pycurl.Curl, Transfer] = {}
        self._sockets = SourceSockets()
        self._drain_due = False
        self._idle_timer: asyncio.TimerHandle | None = None
        super().initialize(max_clients=0)
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_connections)
        # One transfer a connection, HTTP/2 and 3 too: what shares a connection fails with it, and a target that ends
        # one with requests under way (nginx does after its keepalive_requests) would need them to be sent again.
        self._multi.setopt(pycurl.M_PIPELINING, 0)

    def fetch_impl(self, request: object, callback: object) -> NoReturn:
        """Refuse: see the module's docstring."""
        raise TypeError("a request here needs a source address: use start()")

    def start(self, hop: Hop, *, seconds: float) -> Transfer:
        """Begin a hop that has `seconds` left; they are not enforced here. Its `done` gets the `Ending`.

        Raises:
            ExecutionError: libcurl does not take the request as it is (`internal`).
        """
        transfer = Transfer(hop, self._loop.create_future())
        handle = self._free_list.pop() if self._free_list else self._new_handle()
        try:
            self._prepare(handle, transfer, seconds)
        except (pycurl.error, UnicodeError) as error:
            self._release(handle)
            detail = f"libcurl does not take the request: {error}"
            raise ExecutionError.of(FailureKind.INTERNAL, detail) from error
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._active[handle] = transfer
        transfer.handle = handle
        self._multi.add_handle(handle)
        return transfer

    def stop(self, transfer: Transfer) -> Ending:
        """End a transfer, and say how far it came; one that has ended already keeps its ending."""
        if transfer.handle is None:
            assert transfer.ending is not None, "a transfer without a handle has ended"
            return transfer.ending
        return self._end(transfer.handle, None, "")

    def drop_source(self, source: str) -> None:
        """End the kept connections of a source (canonical text) at once, and make those in use fail."""
        self._sockets.shut(source)

    def open_connections(self, source: str) -> int:
        """How many connections of a source (canonical text) are open."""
        return self._sockets.count(source)

    def close(self) -> None:
        """End all transfers (their `done` is cancelled) and all connections.

        libcurl waits here for a resolver that hangs, for as long as the system's resolver does.
        """
        for transfer in list(self._active.values()):
            self.stop(transfer)
            transfer.done.cancel()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        super().close()

    def _new_handle(self) -> pycurl.Curl:
        handle = pycurl.Curl()
        self._curls.append(handle)
        return handle

    def _prepare(self, handle: pycurl.Curl, transfer: Transfer, seconds: float) -> None:
        hop = transfer.hop
        curl_options.configure(
            handle, hop, seconds=seconds, ca_file=self._ca_file, max_idle_seconds=self._max_idle_seconds
        )
        # The guard judges for the host of this very hop. So where a handle stays configured for the next one, this
        # callback has to find the next hop's transfer; a hop that is judged by another's host is a hole.
        handle.setopt(pycurl.OPENSOCKETFUNCTION, functools.partial(self._open_socket, transfer))
        handle.setopt(pycurl.SOCKOPTFUNCTION, functools.partial(self._socket_opened, transfer))
        handle.setopt(pycurl.PREREQFUNCTION, functools.partial(self._before_request, transfer))
        handle.setopt(pycurl.HEADERFUNCTION, transfer.header_lines.append)
        handle.setopt(pycurl.WRITEFUNCTION, transfer.write)

    def _open_socket(self, transfer: Transfer, _purpose: int, address: Any) -> OpenedSocket | int:
        """OPENSOCKETFUNCTION: libcurl is about to connect to this address, of which a host may have several."""
        refusal = self._guard.refusal(transfer.hop.target.host, address.addr[0])
        if refusal is not None:
            transfer.blocked = transfer.blocked or refusal
            return int(pycurl.SOCKET_BAD)
        try:
            return OpenedSocket(address.family, address.socktype, address.protocol)
        except OSError as error:
            transfer.open_errno = error.errno or 0
            return int(pycurl.SOCKET_BAD)

    def _socket_opened(self, transfer: Transfer, fd: int, _purpose: int) -> int:
        source = transfer.hop.source
        self._sockets.opened(fd, source)
        if self._is_routed is not None and self._is_routed(source):
            free_to_bind(fd)
        os.set_inheritable(fd, False)  # the copy that was made of ours has lost that
        transfer.fds.append(fd)
        return int(pycurl.SOCKOPT_OK)

    def _before_request(
        self, transfer: Transfer, remote_ip: str, local_ip: str, _remote_port: int, local_port: int
    ) -> int:
        # A kept connection opens no socket. libcurl keeps them apart by host; the guard does not count on it.
        refusal = self._guard.kept_refusal(transfer.hop.target.host, remote_ip.partition("%")[0])
        if refusal is not None:
            transfer.blocked = refusal
            transfer.fds.clear()
            return int(pycurl.PREREQFUNC_ABORT)
        is_new = self._sockets.connected(transfer.fds, local_ip, local_port)
        is_dead = not is_new and self._sockets.is_dead(local_ip, local_port)
        return transfer.before_request(local_ip, kept_is_dead=is_dead)

    def _finish(self, curl: pycurl.Curl, curl_error: int | None = None, curl_message: str | None = None) -> None:
        transfer = self._active[curl]
        if transfer.stale:
            self._begin_anew(curl, transfer)
            return
        ending = self._end(curl, curl_error or 0, curl_message or "")
        if not transfer.done.done():
            transfer.done.set_result(ending)

    def _begin_anew(self, handle: pycurl.Curl, transfer: Transfer) -> None:
        """The kept connection was dead and nothing has left: take a new one."""
        transfer.stale = False
        self._multi.remove_handle(handle)
        handle.setopt(pycurl.FRESH_CONNECT, 1)
        self._multi.add_handle(handle)

    def _end(self, handle: pycurl.Curl, errno: int | None, message: str) -> Ending:
        transfer = self._active.pop(handle)
        ending = curl_info.read(handle, transfer, errno, message)
        transfer.handle, transfer.ending = None, ending
        self._multi.remove_handle(handle)
        self._release(handle)
        if not self._active:
            self._idle_timer = self._loop.call_later(self._max_idle_seconds, self._sockets.shut_all)
        return ending

    def _release(self, handle: pycurl.Curl) -> None:
        handle.reset()
        self._free_list.append(handle)

    # How libcurl is driven: Tornado's way, with less work for each event.

    def _handle_socket(self, event: int, fd: int, multi: pycurl.CurlMulti, data: Any) -> None:
        if event == pycurl.POLL_REMOVE:
            super()._handle_socket(event, fd, multi, data)
            return
        interest, known = _INTEREST[event], self._fds.get(fd)
        self._fds[fd] = interest
        if known is None:
            self.io_loop.add_handler(fd, self._handle_events, interest)
        elif known != interest:
            self.io_loop.update_handler(fd, interest)

    def _set_timeout(self, msecs: int) -> None:
        if self._timeout is not None:
            self.io_loop.remove_timeout(self._timeout)
            self._timeout = None
        if msecs >= 0:
            self._timeout = self._loop.call_later(msecs / 1000, self._handle_timeout)

    def _finish_pending_requests(self) -> None:
        if not self._drain_due:
            self._drain_due = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._drain_due = False
        if self._multi is not None:
            super()._finish_pending_requests()
