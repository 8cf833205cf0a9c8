"""Keeps an agent connected: registers, opens a link, and does so again when it is lost. Stands before step 5.

A lost link is opened again with the session that it had, so the same agent comes back; only when the coordinator does
not know that session any more (it was restarted) does the agent register anew, under the same id.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import socket
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from dispatcher import __version__, logs, sd_notify
from dispatcher.access import problem_detail
from dispatcher.agent.link import CONNECT_SECONDS, Link, LinkLostError, LinkRefusedError, LinkUser
from dispatcher.auth import credentials
from dispatcher.errors import RefusedError
from dispatcher.tls import words
from dispatcher.wire.limits import DEFAULT_MAX_CONCURRENCY
from dispatcher.wire.messages import RefusalCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dispatcher.agent.targets.guard import Address

    OnLocated = Callable[[Iterable[str], Iterable[Address]], None]

    from dispatcher.access import Access
    from dispatcher.agent.identity import Identity

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 1.0
"""The bound of the first pause between attempts; it doubles with each failure up to `--reconnect-max`."""

_FINAL = (RefusalCode.VERSION, RefusalCode.REMOVED, RefusalCode.REPLACED)


@dataclass(frozen=True, slots=True)
class Registration:
    """What registering gave: this agent's id, and how it opens its link."""

    agent_id: str
    session: str
    websocket_url: str


class Backoff:
    """Pauses with full jitter: each is drawn evenly from zero to a bound that doubles."""

    def __init__(self, max_seconds: float, draw: Callable[[float, float], float] = random.uniform) -> None:
        """Never pause longer than `max_seconds`."""
        self._max_seconds = max_seconds
        self._draw = draw
        self._failures = 0

    def reset(self) -> None:
        """Begin again: an attempt succeeded."""
        self._failures = 0

    def next_pause(self) -> float:
        """Return the seconds to wait before the next attempt."""
        bound = min(self._max_seconds, FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 30))
        self._failures += 1
        return self._draw(0.0, bound)


class Connector:
    """Opens one link after the other until it is cancelled or refused for good."""

    def __init__(  # noqa: PLR0913 (what a link needs, and how often to try)
        self,
        access: Access,
        identity: Identity,
        user: LinkUser,
        *,
        reconnect_max: float,
        max_concurrency: int = DEFAULT_MAX_CONCURRENCY,
        on_located: OnLocated | None = None,
    ) -> None:
        """Connect `user` to a coordinator, as `identity`, which learns the id that it is given.

        The coordinator is told how many transfers this agent makes at once.

        `on_located` is told, before each link, by which names and addresses the coordinator is reached.
        """
        self._access = access
        self._on_located = on_located
        self._url = access.url
        self._identity = identity
        self._user = user
        self._max_concurrency = max_concurrency
        self._backoff = Backoff(reconnect_max)
        self._hostname = socket.gethostname()[:255]
        self._registration: Registration | None = None

    async def run(self) -> None:
        """Keep connected.

        Raises:
            RefusedError: the coordinator does not take this agent, and would not next time.
        """
        while True:
            try:
                await self._serve_one_link()
            except LinkRefusedError as error:
                self._consider(error)
            except LinkLostError as error:
                logger.warning("%s", error)
            sd_notify.tell(f"connecting to {self._url} again")
            pause = self._backoff.next_pause()
            logger.info("connecting again in %.1f s", pause)
            await asyncio.sleep(pause)

    async def _serve_one_link(self) -> None:
        if self._registration is None:
            self._registration = await self._register()
            self._identity.take(self._registration.agent_id)
        if self._on_located is not None:
            names = [_host(self._url), _host(self._registration.websocket_url)]
            self._on_located(names, await _addresses(names))
        link = Link(_Greeter(self, self._user), self._hostname, self._access, max_concurrency=self._max_concurrency)
        await link.run(self._access.socket_url(self._registration.websocket_url), self._registration.session)

    def connected(self) -> None:
        """A link is up."""
        self._backoff.reset()
        logs.announce(f"agent {self._identity.agent_id} connected to {self._url}")
        sd_notify.tell(f"connected to {self._url} as {self._identity.agent_id}")

    def _consider(self, error: LinkRefusedError) -> None:
        if error.refusal.code in _FINAL:
            raise RefusedError(f"the coordinator refused this agent: {error.refusal.detail}") from error
        logger.warning("the coordinator ended the link: %s", error)
        if error.refusal.code is RefusalCode.SESSION:
            self._registration = None

    async def _register(self) -> Registration:
        content = {"hostname": self._hostname, "version": __version__}
        if self._identity.agent_id is not None:
            content["agent_id"] = self._identity.agent_id
        if self._identity.key is not None:
            content["key"] = self._identity.key
        request = HTTPRequest(
            f"{self._url}/api/agents/register",
            method="POST",
            headers={"Content-Type": "application/json"},
            body=json.dumps(content),
            connect_timeout=CONNECT_SECONDS,
            request_timeout=CONNECT_SECONDS,
            follow_redirects=False,
        )
        client: AsyncHTTPClient = SimpleAsyncHTTPClient(force_instance=True)
        try:
            answer = json.loads((await client.fetch(await self._access.prepare(request))).body)
            return Registration(answer["agent_id"], answer["session"], answer["websocket_url"])
        except HTTPClientError as error:
            raise self._refusal(error) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = words.of_coordinator(error) or error or type(error).__name__
            raise LinkLostError(f"cannot register with {self._url}: {why}") from error
        finally:
            client.close()

    def _refusal(self, error: HTTPClientError) -> Exception:
        """Tell a refusal from a failure that may pass."""
        detail = problem_detail(error) or str(error)
        if error.code in credentials.REFUSED:
            return RefusedError(f"the coordinator refused this agent: {credentials.refusal(error.code, detail)}")
        if error.code == 409:
            return RefusedError(f"the coordinator refused this agent: {detail}")
        if error.code == 422:
            return RefusedError(f"the coordinator refused what this agent says of itself: {detail}")
        return LinkLostError(f"cannot register with {self._url}: {detail}")


class _Greeter:
    """Lets the connector know of a welcome before its user does."""

    def __init__(self, connector: Connector, user: LinkUser) -> None:
        self._connector = connector
        self._user = user
        self.on_execute = user.on_execute
        self.on_heard = user.on_heard
        self.on_cancel = user.on_cancel
        self.on_draining = user.on_draining
        self.on_delivered = user.on_delivered
        self.on_lost = user.on_lost

    def on_welcome(self, link: Link) -> None:
        self._connector.connected()
        self._user.on_welcome(link)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


async def _addresses(names: Iterable[str]) -> set[Address]:
    """Return what the names resolve to; one that does not resolve will not be connected to either."""
    found: set[Address] = set()
    for name in set(names):
        with suppress(OSError, UnicodeError, TimeoutError):
            async with asyncio.timeout(CONNECT_SECONDS):
                answers = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
            found |= {ip_address(str(answer[4][0]).partition("%")[0]) for answer in answers}
    return found
