"""The demo: twelve executions through two agents, each compared with what the target saw. Real processes, real HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from dispatcher import logs
from dispatcher.bootstrap import self_command
from dispatcher.demo import network
from dispatcher.demo.processes import Processes
from dispatcher.demo.target import Target
from dispatcher.errors import DispatcherError, ExitStatus

if TYPE_CHECKING:
    from dispatcher.demo.network import DemoNetwork
    from dispatcher.settings import DemoSettings

EXECUTIONS = 12
_POOL_SECONDS = 10.0
_BEAT_SECONDS = 0.4
"""Between executions while a monitor looks."""


def run(settings: DemoSettings) -> int:
    """Run the demo and return the exit status: 0 where every execution left from the address that its record names."""
    logs.set_up(settings.log_level)
    # So that what was started ends with the demo by either signal.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        prepared = network.prepare()
    except OSError as error:
        raise DispatcherError(f"this machine has no IPv6: {error.strerror}") from error
    with tempfile.TemporaryDirectory(prefix="dispatcher-demo-") as state_dir, Processes() as processes:
        return asyncio.run(_run(prepared, state_dir, processes, with_monitor=settings.monitor))


def say(line: str = "") -> None:
    """Print a line of the demo at once, also into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _run(prepared: DemoNetwork, state_dir: str, processes: Processes, *, with_monitor: bool) -> int:
    target = Target(prepared.target)
    say(f"network      {prepared.note}")
    coordinator = ["coordinator", "--host", "127.0.0.1", "--port", "0", "--state-dir", state_dir]
    url = await asyncio.to_thread(processes.start, coordinator, "coordinator ready on ")
    say(f"coordinator  {url}")
    for agent_id, addresses in prepared.agents.items():
        arguments = ["agent", "--coordinator-url", url, "--agent-id", agent_id, "--state-dir", state_dir]
        arguments += ["--allow-target", prepared.target]
        for address in addresses:
            arguments += ["--address", address]
        await asyncio.to_thread(processes.start, arguments, "connected to ")
        say(f"{agent_id}     {' '.join(addresses)}")
    client = Client(url)
    await client.wait_for_exits(sum(map(len, prepared.agents.values())))
    await client.call("POST", "/api/config/request", {"url": target.url})
    say(f"request      GET {target.url}\n")
    try:
        wrong = await _execute(client, target)
        await _summarize(client)
        status = _judge(wrong)
        return await _show_monitor(client, url) if with_monitor and status is ExitStatus.DONE else status
    finally:
        client.close()
        await target.stop()


async def _execute(client: Client, target: Target) -> int:
    say(f"{'#':>2}  {'agent':<10}{'source address':<18}{'status':<8}{'time':<10}target saw")
    wrong = 0
    for number in range(1, EXECUTIONS + 1):
        record = await client.call("GET", "/api/execute")
        seen = target.seen[-1] if len(target.seen) == number else "nothing"
        is_right = seen == record["source_ip"]
        wrong += not is_right
        took = f"{record['timings']['total']:.1f} ms"
        say(
            f"{number:>2}  {record['agent_id']:<10}{record['source_ip']:<18}{record['response']['status']:<8}"
            f"{took:<10}{'the same' if is_right else seen}"
        )
    return wrong


async def _summarize(client: Client) -> None:
    pool = await client.call("GET", "/api/pool/status")
    say(f"\npool   {pool['available']} of {pool['size']} exits available; next {pool['next']['address']}")
    for known in pool["exits"]:
        say(f"       {known['agent_id']:<10}{known['address']:<18}{known['state']:<11}used {known['leased']} times")
    stats = await client.call("GET", "/api/stats")
    counts, latency = stats["executions"], stats["latency_ms"]
    say(
        f"stats  {counts['total']} executions: {counts['completed']} completed, {counts['failed']} failed, "
        f"{counts['unknown']} unknown; p50 {latency['p50']:.1f} ms, max {latency['max']:.1f} ms\n"
    )


def _judge(wrong: int) -> ExitStatus:
    if wrong:
        say(f"{wrong} of {EXECUTIONS} executions did not leave from the address that their record names")
        return ExitStatus.FAILED
    say(f"all {EXECUTIONS} executions left from the address that their record names")
    return ExitStatus.DONE


async def _show_monitor(client: Client, url: str) -> int:
    """Open the monitor, and go on executing so that it has something to show, until it is left."""
    beat = asyncio.create_task(_keep_executing(client))
    command = [*self_command(), "monitor", "--coordinator-url", url]
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_THE_MONITOR}
    monitor = await asyncio.to_thread(subprocess.run, command, env=environment, check=False)
    beat.cancel()
    with suppress(asyncio.CancelledError):
        await beat
    return monitor.returncode


async def _keep_executing(client: Client) -> None:
    while True:
        with suppress(DispatcherError):
            await client.call("GET", "/api/execute")
        await asyncio.sleep(_BEAT_SECONDS)


_NOT_FOR_THE_MONITOR = ("DISPATCHER_MODE", "DISPATCHER_TOKEN", "DISPATCHER_TOKEN_FILE")
"""Variables that choose another command, or show a token that is another coordinator's."""


class Client:
    """The demo's own use of the REST API."""

    def __init__(self, url: str) -> None:
        """Talk to the coordinator at `url`."""
        self._url = url
        self._client: AsyncHTTPClient = SimpleAsyncHTTPClient(force_instance=True)

    async def call(self, method: str, path: str, content: Any = None) -> Any:
        """Call an endpoint and return the JSON of its answer.

        Raises:
            DispatcherError: the answer is no success.
        """
        body = None if content is None else json.dumps(content)
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            answer = await self._client.fetch(HTTPRequest(self._url + path, method=method, headers=headers, body=body))
        except HTTPClientError as error:
            said = error.response.body.decode(errors="replace") if error.response is not None else str(error)
            raise DispatcherError(f"{method} {path} failed: {said}") from error
        return json.loads(answer.body)

    async def wait_for_exits(self, count: int) -> None:
        """Wait until the pool has `count` exits to lease."""
        deadline = time.monotonic() + _POOL_SECONDS
        while (pool := await self.call("GET", "/api/pool/status"))["available"] < count:
            if time.monotonic() > deadline:
                raise DispatcherError(f"the pool has {pool['available']} exits, not {count}: {pool['exits']}")
            await asyncio.sleep(0.05)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()
