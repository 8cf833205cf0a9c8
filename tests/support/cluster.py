"""A coordinator and its agents as processes, and a target in a thread of the test. Ended and judged at the end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from typing import TYPE_CHECKING, TypeVar

from tests.support import netns, stalls
from tests.support.client import Client
from tests.support.executing import TEST_TARGETS
from tests.support.processes import Process, dispatcher_command, eventually

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from tests.support.targets import Refusing, Target

T = TypeVar("T", bound="Target | Refusing")

_STALL_OPTION = ("--stall-warning", "0.05")


class Cluster:
    """Processes that end together. `client` talks to the coordinator that was started last.

    They warn of stalls, which `close` judges, unless they are to run as users start them.
    """

    def __init__(self, folder: Path, command: Sequence[str] | None = None, *, warns_of_stalls: bool = True) -> None:
        self.state_dir = folder / "state"
        self.agent_state_dir = folder / "agents"
        self.processes: list[Process] = []
        self.url = ""
        self._command = command or dispatcher_command()
        self._stall_option = _STALL_OPTION if warns_of_stalls else ()
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """A user of the coordinator."""
        assert self._client is not None, "no coordinator has been started"
        return self._client

    def start(self, name: str, *arguments: str, machine: netns.Machine = netns.THIS) -> Process:
        """Start the program."""
        process = Process(name, [*self._command, *arguments], machine=machine)
        self.processes.append(process)
        return process

    def coordinator(self, *options: str, host: str = "127.0.0.1", port: int = 0) -> Process:
        """Start a coordinator, wait until it is ready, and let `client` talk to it.

        One that others reach makes tokens at its first start; `client` and the agents show those.
        """
        place = ("--host", host, "--port", str(port), "--state-dir", str(self.state_dir))
        process = self.start("coordinator", "coordinator", *place, *self._stall_option, *options)
        self.url = process.wait_for_line("coordinator ready on ").rpartition(" ")[2]
        if self._client is not None:
            self._client.close()
        self._client = Client(self.url)
        process.expect("first start: a token of each kind was made")
        admin = self.state_dir / "admin.token"
        if admin.exists():
            self._client.headers = {"Authorization": f"Bearer {admin.read_text(encoding='utf-8').strip()}"}
        return process

    @property
    def port(self) -> int:
        """Where the coordinator listens."""
        return int(self.url.rpartition(":")[2])

    def agent(
        self,
        agent_id: str,
        addresses: Iterable[str] = (),
        *options: str,
        machine: netns.Machine = netns.THIS,
        url: str | None = None,
    ) -> Process:
        """Start an agent and wait until it is connected, to the coordinator itself or by another `url`."""
        process = self.begin_agent(agent_id, addresses, *options, machine=machine, url=url)
        process.wait_for_line("connected to ")
        return process

    def begin_agent(
        self,
        agent_id: str,
        addresses: Iterable[str] = (),
        *options: str,
        machine: netns.Machine = netns.THIS,
        url: str | None = None,
    ) -> Process:
        """Start an agent."""
        named = [word for address in addresses for word in ("--address", address)]
        token = self.state_dir / "agent.token"
        shown = ("--token-file", str(token)) if token.exists() and "--token-file" not in options else ()
        place = ("--coordinator-url", url or self.url, "--agent-id", agent_id, *shown)
        common = (*place, "--state-dir", str(self.agent_state_dir), *self._stall_option)
        allowed = [word for target in TEST_TARGETS for word in ("--allow-target", target)]
        return self.start(agent_id, "agent", *common, *named, *allowed, *options, machine=machine)

    def close(self) -> None:
        """End all processes, agents first; each must end well and must have been silent."""
        ordered = sorted(self.processes, key=lambda process: process.name == "coordinator")
        statuses = [(process.name, process.end()) for process in ordered if process.is_running]
        if self._client is not None:
            self._client.close()
        for process in self.processes:
            print(process.everything())  # noqa: T201 - pytest shows it where a test fails
        assert [] == [(name, status) for name, status in statuses if status != 0]
        alarms = [f"[{process.name}] {line}" for process in self.processes for line in process.alarms()]
        assert [] == alarms, "\n".join(alarms)
        for process in self.processes:
            stalls.judge(process.stalls(), process.name, process.stall_limit)


@contextlib.contextmanager
def running_cluster(
    folder: Path, command: Sequence[str] | None = None, *, warns_of_stalls: bool = True
) -> Iterator[Cluster]:
    """A cluster for the length of a block; after a failure its processes end without being judged."""
    cluster = Cluster(folder, command, warns_of_stalls=warns_of_stalls)
    try:
        yield cluster
    except BaseException:
        for process in reversed(cluster.processes):
            process.signal(signal.SIGKILL)
            process.wait()
            print(process.everything())  # noqa: T201 - pytest shows it where a test fails
        raise
    cluster.close()


@contextlib.contextmanager
def serving(target: T) -> Iterator[T]:
    """Run a target on an event loop in a thread of its own; what it has seen may be read from the test."""
    up, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with target:
            up.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="target")
    thread.start()
    try:
        assert up.wait(10), "the target does not listen"
        yield target
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(10)


def wait_for_requests(target: Target, count: int) -> None:
    """Wait until the target has read so many requests in all."""
    eventually(lambda: len(target.requests) >= count, f"{count} requests at the target")
