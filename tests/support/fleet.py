"""Many light agents in one process: the product's own connector, link and wire, without curl and without addresses.

`python -m tests.support.fleet URL COUNT EXITS` runs COUNT agents of EXITS addresses each until a signal ends it. It
says on stdout how long it took whenever all of them are connected, and how many were refused.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
import time
from collections.abc import Collection

from dispatcher import logs
from dispatcher.access import Access
from dispatcher.agent.connector import Connector
from dispatcher.agent.identity import Identity
from dispatcher.agent.link import Link
from dispatcher.errors import RefusedError
from dispatcher.lifecycle import Stop
from dispatcher.wire.messages import AddressesChanged, AddressReport, AddressState, Execute

RECONNECT_MAX = 30.0
"""The product's default."""


class Fleet:
    """Counts the links of its agents and says when all are up."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._links: set[Link] = set()
        self._since = time.monotonic()

    def up(self, link: Link) -> None:
        """One more agent is connected."""
        self._links.add(link)
        if len(self._links) == self._count:
            print(f"all {self._count} connected after {time.monotonic() - self._since:.1f} s", flush=True)  # noqa: T201 - what this program is for

    def down(self, link: Link) -> None:
        """An agent lost its link."""
        if len(self._links) == self._count:
            self._since = time.monotonic()
        self._links.discard(link)


class Member:
    """One agent's `LinkUser`: tells its addresses, and is given nothing to do."""

    def __init__(self, fleet: Fleet, addresses: list[str]) -> None:
        self._fleet = fleet
        self._told = AddressesChanged(tuple(AddressReport(each, AddressState.PREFERRED) for each in addresses))

    def on_welcome(self, link: Link) -> None:
        link.send(self._told)
        self._fleet.up(link)

    def on_lost(self, link: Link) -> None:
        self._fleet.down(link)

    def on_execute(self, link: Link, execute: Execute) -> None:
        raise AssertionError("nobody executes here")

    def on_heard(self) -> None: ...

    def on_cancel(self, execution_id: str) -> None: ...

    def on_delivered(self, execution_ids: Collection[str]) -> None: ...

    def on_draining(self) -> None: ...


async def run(url: str, count: int, exits: int) -> None:
    """Run the agents until a signal comes."""
    stop, fleet, access = Stop(), Fleet(count), Access(url)
    tasks = []
    for number in range(count):
        member = Member(fleet, [f"2001:db8:{number:x}::{exit_:x}" for exit_ in range(1, exits + 1)])
        identity = Identity(f"simulated-{number}", secrets.token_urlsafe(32))
        connector = Connector(access, identity, member, reconnect_max=RECONNECT_MAX)
        tasks.append(asyncio.create_task(connector.run()))
    await stop.wait()
    refused = 0
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        refused += isinstance(ended, RefusedError)
    print(f"{refused} refused", flush=True)  # noqa: T201 - what this program is for


if __name__ == "__main__":
    logs.set_up("ERROR")
    logging.getLogger("dispatcher").setLevel(logging.ERROR)
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
