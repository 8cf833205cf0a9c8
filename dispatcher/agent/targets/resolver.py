"""Why a name gave no IPv6 address: asked only after libcurl said so, to tell an IPv4-only target from no target.

Beside step 7 of a request's way. The resolver blocks, so each question has a daemon thread of its own; a resolver that
hangs holds at most `MAX_THREADS` of them, and then the question is not asked.
"""

from __future__ import annotations

import asyncio
import socket
import threading

MAX_THREADS = 16
_free = threading.BoundedSemaphore(MAX_THREADS)


def ask_for_ipv4(host: str) -> asyncio.Future[bool]:
    """Return a future that says whether `host` has an IPv4 address; False, too, where it cannot be asked now."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bool] = loop.create_future()
    if not _free.acquire(blocking=False):
        answer.set_result(False)
        return answer
    threading.Thread(target=_look_up, args=(host, loop, answer), name="resolver", daemon=True).start()
    return answer


def _look_up(host: str, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[bool]) -> None:
    try:
        found = bool(socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM))
    except (OSError, UnicodeError):
        found = False
    finally:
        _free.release()
    try:
        loop.call_soon_threadsafe(_tell, answer, found)
    except RuntimeError:
        # The loop has ended meanwhile: nobody waits.
        return


def _tell(answer: asyncio.Future[bool], found: bool) -> None:
    if not answer.done():
        answer.set_result(found)
