"""Bytes from and to Tornado's streams: the first and the last step of a request's way, and both ends of a link.

Runs on the event loop. Tornado makes a future for each read and write, whose callback is one more turn of the loop, and
asks the socket again after each read. Here what has come is handed over in the socket's own event, and what the system
takes at once is written and forgotten. What would surprise: an `Arrivals` puts two methods of its own on the stream,
one of them private to Tornado, `_handle_read`, which is called when there is something to read. All else stays with
Tornado: TLS, what waits to be written, and how a stream ends. Tests fail if Tornado no longer calls what is put there.
"""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING

from tornado.ioloop import IOLoop
from tornado.iostream import StreamClosedError

from dispatcher.afterwards import Afterwards

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tornado.iostream import IOStream

logger = logging.getLogger(__name__)

LITTLE_BYTES = 4096
"""What is read first: most of what comes fits, and room for 64 KiB costs more than to read a small frame."""

READ_BYTES = 64 * 1024
"""What is read behind it where that was filled. More than any TLS record has (RFC 8446, 5.1: 16 KiB), so that OpenSSL
is never left with bytes of which no event would tell.
"""

_RESETS = (ConnectionError, TimeoutError, ssl.SSLEOFError)
"""Errors that only say that the other end is gone: no more than the end of the stream."""


def write(stream: IOStream, content: bytes) -> asyncio.Future[None] | None:
    """Write `content` behind all that was written before; None where the system has taken all of it by now.

    Else the future of Tornado's own `write`, done when the system has taken it.

    Raises:
        StreamClosedError: here or from the future; nobody is there to take it.
        StreamBufferFullError: it is more than the stream may buffer. Nothing of it was written.
    """
    most = stream.max_write_buffer_size
    if stream.closed() or stream.writing() or (most is not None and len(content) > most):
        return stream.write(content)
    try:
        taken = stream.socket.send(content)
    except (BlockingIOError, ssl.SSLWantWriteError):
        taken = 0
    except OSError as error:
        _close_after(stream, error)
        raise StreamClosedError(real_error=error) from error
    return None if taken == len(content) else stream.write(memoryview(content)[taken:])


class Arrivals:
    """Hands what comes over a stream to `on_arrival`, in the socket's own event: once a turn of the loop.

    That is `LITTLE_BYTES + READ_BYTES` at most. `on_end` is called once, in a turn of its own, when the stream is
    closed, by either side; `stream.error` has what was wrong with it, if anything. An error of `on_arrival` is
    logged and closes it.
    """

    def __init__(self, stream: IOStream, on_arrival: Callable[[bytes], object], on_end: Callable[[], object]) -> None:
        """Prepare; `listen` begins."""
        self._stream = stream
        self._afterwards = Afterwards.here()
        self._on_arrival = on_arrival
        self._on_end = on_end

    def listen(self) -> bytes:
        """Take the stream over, and return what Tornado has read of it already: that has arrived too.

        The stream has to be connected, its handshake done, and nobody may be reading from it.
        """
        stream = self._stream
        stream._handle_read = self._read  # type: ignore[method-assign]  # noqa: SLF001 (see the first lines)
        stream.reading = _is_reading  # type: ignore[method-assign]  # Tornado goes by it when it asks for events
        waiting = self.take()
        if stream.closed():
            stream.io_loop.add_callback(self._end)
        stream._add_io_state(IOLoop.READ)  # noqa: SLF001 (as Tornado's own reads begin)
        return waiting

    def take(self) -> bytes:
        """Return what Tornado has read already, as `listen` does, but leave to the system what comes from now on.

        Of the end `on_end` is told then too, but only once something is written or read.
        """
        stream = self._stream
        stream.set_close_callback(self._end)
        waiting = bytes(stream._read_buffer)  # noqa: SLF001 (its own reads take that and what has come since)
        stream._read_buffer.clear()  # noqa: SLF001 (as above)
        stream._read_buffer_size = 0  # noqa: SLF001 (as above)
        return waiting

    def release(self, unread: bytes | bytearray = b"") -> None:
        """Give the stream back to Tornado, whose next read begins with `unread`, until `listen` is called again.

        Where nobody reads, that is a pause: Tornado takes up to a chunk more, and then leaves it to the system.
        """
        self._let_go()
        self._stream._read_buffer[:0] = unread  # noqa: SLF001 (there is no other way to give something back)
        self._stream._read_buffer_size += len(unread)  # noqa: SLF001 (as above)

    def _let_go(self) -> None:
        for name in ("_handle_read", "reading"):
            self._stream.__dict__.pop(name, None)

    def _read(self) -> None:
        """Read once, and hand it over. Tornado calls this when something has come, or the end."""
        came = self._receive(LITTLE_BYTES)
        if came:
            if len(came) == LITTLE_BYTES:
                came += self._receive(READ_BYTES) or b""  # an end is there in the next turn too
            try:
                with self._afterwards:
                    self._on_arrival(came)
            except Exception as error:
                # Here, because Tornado would log it and the loop once more.
                logger.exception("a connection failed over what came")
                self._stream.close(exc_info=error)
        elif came is not None:
            self._stream.close()

    def _receive(self, size: int) -> bytes | None:
        """Take what has come; None where nothing has, and b"" at the end."""
        try:
            return self._stream.socket.recv(size)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError as error:
            _close_after(self._stream, error)
            return None

    def _end(self) -> None:
        """Tell of the end, and let go of all that was given: no cycle of references is to outlive a connection."""
        self._let_go()
        on_end, self._on_end = self._on_end, _nothing
        self._on_arrival = _nothing
        on_end()


def _nothing(_came: bytes = b"") -> None:
    """Do what is to be done once the end was told."""


def _is_reading() -> bool:
    """Have Tornado listen for what comes: it asks a stream so."""
    return True


def _close_after(stream: IOStream, error: OSError) -> None:
    if not isinstance(error, _RESETS):
        logger.warning("a connection broke: %s", error)
    stream.close(exc_info=error)
