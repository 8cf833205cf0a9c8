"""`plain.py` and `main.py`: lines of JSON and one snapshot, from the real program."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from dispatcher.monitor import plain
from dispatcher.monitor.plain import is_heartbeat, snapshot_text
from tests.support import altered
from tests.support.coordinator import Running, coordinator_running
from tests.support.processes import dispatcher_command
from tests.support.scripted_agent import post_json, scripted_agent
from tests.unit.monitor.examples import NOW, URL, snapshot

WAIT = 30.0


async def monitor(
    *options: str, url: str, program: Sequence[str] = (), **environment: str
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(program or dispatcher_command()),
        "monitor",
        "--coordinator-url",
        url,
        *options,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "LANG": "C.UTF-8", **environment},
        limit=2**24,
    )


def with_coordinator(folder: Path, test: Callable[[Running], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(90), coordinator_running(folder) as running:
            await test(running)

    asyncio.run(run())


async def line_of(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    content: dict[str, Any] = json.loads(await asyncio.wait_for(process.stdout.readline(), WAIT))
    return content


def test_where_stdout_is_no_terminal_there_is_a_line_of_json_for_every_change(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        process = await monitor(url=running.url)
        assert "snapshot" == (await line_of(process))["type"]
        async with scripted_agent(running.url):
            record = await post_json(f"{running.url}/api/execute", {"url": "http://x.test/"})
            while "executions" not in (change := await line_of(process)):
                assert not is_heartbeat(change)
            assert record["id"] == change["executions"][0]["id"]
        process.send_signal(signal.SIGTERM)
        out, err = await process.communicate()
        assert (0, b"") == (process.returncode, err)
        assert all(json.loads(line)["type"] == "change" for line in out.splitlines())

    with_coordinator(tmp_path, test)


def test_once_prints_one_snapshot_as_text_and_ends(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        async with scripted_agent(running.url, ("2001:db8::1",), agent_id="gateway-7"):
            process = await monitor("--once", url=running.url, COLUMNS="90")
            out, err = await process.communicate()
        text = out.decode()
        assert (0, b"") == (process.returncode, err)
        assert "● gateway-7" in text
        assert "2001:db8::1" in text
        assert {90} >= {len(line) for line in text.splitlines()[1:]}
        assert "\x1b" not in text

    with_coordinator(tmp_path, test)


def test_once_with_json_prints_the_snapshot_as_json(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        process = await monitor("--once", "--json", url=running.url)
        out, _ = await process.communicate()
        assert (0, "snapshot", 1) == (process.returncode, json.loads(out)["type"], len(out.splitlines()))

    with_coordinator(tmp_path, test)


def test_once_does_not_wait_for_a_coordinator_and_ends_with_3() -> None:
    async def run() -> None:
        process = await monitor("--once", url="http://127.0.0.1:1")
        out, err = await asyncio.wait_for(process.communicate(), WAIT)
        assert (3, b"") == (process.returncode, out)
        assert b"http://127.0.0.1:1 does not answer: connection refused" in err
        assert 1 == len(err.splitlines())

    asyncio.run(run())


def test_lines_keep_trying_and_say_why_once() -> None:
    async def run() -> None:
        process = await monitor("--json", url="http://127.0.0.1:1")
        assert process.stderr is not None
        line = await asyncio.wait_for(process.stderr.readline(), WAIT)
        assert b"http://127.0.0.1:1 does not answer: connection refused; trying again\n" == line
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), WAIT)
        assert (0, b"", b"") == (process.returncode, out, err)

    asyncio.run(run())


def test_a_reader_that_has_enough_ends_the_lines(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        process = await monitor(url=running.url)
        await line_of(process)
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]  # asyncio has no other way
        async with scripted_agent(running.url):
            _, err = await asyncio.wait_for(asyncio.gather(process.wait(), process.stderr.read()), WAIT)  # type: ignore[union-attr]  # a pipe
        assert b"" == err

    with_coordinator(tmp_path, test)


@pytest.mark.parametrize(
    ("message", "is_one"),
    [
        ({"type": "change", "rate": [0]}, True),
        ({"type": "change", "rate": [0, 3]}, False),
        ({"type": "change", "rate": [0], "stats": {}}, False),
    ],
)
def test_a_second_without_anything_is_no_line(message: dict[str, Any], is_one: bool) -> None:
    assert is_one is is_heartbeat(message)


def test_a_snapshot_as_text_has_all_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    text = snapshot_text(URL, snapshot(), NOW)
    for name in ("Agents 2/3", "Pool 47/48", "Stats up", "Request revision 3", "History newest 99 of 1234"):
        assert name in text


def test_the_lines_need_no_curtsies() -> None:
    async def run() -> None:
        code = (
            "import sys, dispatcher.monitor.main, dispatcher.monitor.plain; "
            "print([name for name in sys.modules if name in ('curtsies', 'blessed', 'cwcwidth', 'pycurl')])"
        )
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        assert b"[]\n" == out

    asyncio.run(run())


IMPATIENT = altered.command("dispatcher.monitor.plain:SNAPSHOT_SECONDS=0.5")


def test_a_snapshot_is_waited_for_no_longer_than_10_seconds() -> None:
    assert plain.SNAPSHOT_SECONDS <= 10


def test_once_ends_with_3_where_a_coordinator_takes_the_call_and_says_nothing() -> None:
    async def test() -> None:
        async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await held.wait()
            writer.close()

        held = asyncio.Event()
        server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        process = await monitor("--once", url=f"http://127.0.0.1:{port}", program=IMPATIENT)
        _, said = await asyncio.wait_for(process.communicate(), WAIT)
        held.set()
        server.close()
        assert 3 == process.returncode
        (line,) = said.decode().splitlines()
        assert line.endswith(f"http://127.0.0.1:{port} gave no snapshot within 0.5 s")

    asyncio.run(test())


def test_a_reader_that_leaves_an_idle_pool_ends_the_lines(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        process = await monitor("--json", url=running.url)
        await line_of(process)
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]  # what `head -1` does
        assert process.stderr is not None
        assert b"" == await asyncio.wait_for(process.stderr.read(), WAIT)
        assert 1 == await asyncio.wait_for(process.wait(), WAIT)

    with_coordinator(tmp_path, test)


def test_a_full_disk_is_told_in_a_line(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        command = [*dispatcher_command(), "monitor", "--coordinator-url", running.url, "--once"]
        full = os.open("/dev/full", os.O_WRONLY)
        process = await asyncio.create_subprocess_exec(*command, stdout=full, stderr=asyncio.subprocess.PIPE)
        os.close(full)
        _, said = await asyncio.wait_for(process.communicate(), WAIT)
        assert 1 == process.returncode
        assert ["dispatcher.pyz: cannot write to stdout: No space left on device"] == said.decode().splitlines()

    with_coordinator(tmp_path, test)


def test_a_snapshot_where_the_locale_is_not_utf_8_is_ascii_through_and_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    message = snapshot()
    message["request"]["url"] = "http://t.test/\u6f22\u5b57/\u2713"
    assert snapshot_text(URL, message, NOW).isascii()
