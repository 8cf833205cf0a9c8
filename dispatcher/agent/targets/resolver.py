"""Why a name gave no IPv6 address: asked only after libcurl said so, which does not say what its resolver had said.

Beside step 7 of a request's way. The resolver blocks, so each question has a daemon thread of its own; a resolver that
hangs holds at most `MAX_THREADS` of them, and then the question is not asked. What would surprise: the system is asked
for IPv6 once more, because "there is none" and "I cannot tell" are the same to libcurl; and only where there is none
does it mean something that the name has IPv4.
"""

from __future__ import annotations

import asyncio
import socket
import threading

from dispatcher.errors import Failure, FailureKind

MAX_THREADS = 16
_free = threading.BoundedSemaphore(MAX_THREADS)
_CANNOT_TELL = {
    number: name
    for name in ("EAI_AGAIN", "EAI_FAIL", "EAI_MEMORY")
    if (number := getattr(socket, name, None)) is not None
}
"""What a resolver says that knows neither that there are addresses nor that there are none."""


def why_no_ipv6(host: str, otherwise: Failure) -> asyncio.Future[Failure]:
    """Return a future that says why `host` gave no IPv6 address.

    It is `otherwise` where the resolver knows no such name, and where it cannot be asked now.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Failure] = loop.create_future()
    if not _free.acquire(blocking=False):
        answer.set_result(otherwise)
        return answer
    threading.Thread(target=_look_up, args=(host, otherwise, loop, answer), name="resolver", daemon=True).start()
    return answer


def _look_up(host: str, otherwise: Failure, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Failure]) -> None:
    try:
        found = _judge(host) or otherwise
    finally:
        _free.release()
    try:
        loop.call_soon_threadsafe(_tell, answer, found)
    except RuntimeError:
        # The loop has ended meanwhile: nobody waits.
        return


def _judge(host: str) -> Failure | None:
    """Ask the system's resolver; None where it knows no address of the name."""
    try:
        if _has_address(host, socket.AF_INET6):
            return Failure.of(FailureKind.DNS, f"the name {host} did not resolve; asked again right after, it did")
        if _has_address(host, socket.AF_INET):
            return Failure.of(FailureKind.TARGET_HAS_NO_IPV6, f"the name {host} has IPv4 addresses only")
    except OSError as error:
        said = f"{error.strerror} ({_CANNOT_TELL.get(error.errno or 0, error.errno)})"
        return Failure.of(FailureKind.DNS, f"the resolver could not tell the addresses of {host}: {said}")
    return None


def _has_address(host: str, family: int) -> bool:
    """Say whether the name has an address of this family.

    Raises:
        OSError: the resolver cannot tell.
    """
    try:
        return bool(socket.getaddrinfo(host, None, family, socket.SOCK_STREAM))
    except UnicodeError:
        return False  # no name that a resolver could know
    except socket.gaierror as error:
        if error.errno in _CANNOT_TELL:
            raise
        return False


def _tell(answer: asyncio.Future[Failure], found: Failure) -> None:
    if not answer.done():
        answer.set_result(found)
