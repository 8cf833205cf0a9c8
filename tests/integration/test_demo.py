"""The demo as users start it: it shows that all is well, leaves nothing behind, and works with few rights too."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import Process, dispatcher_command, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

AS_ORDINARY_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
WITHOUT_NAMESPACES = (
    *("unshare", "--user", "--map-root-user", "--"),
    *("sh", "-c", 'echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"', "sh"),
)
ROW = re.compile(r" *(\d+)  (agent-0\d) +(\S+) +200 +[\d.]+ +ms +the same")


class Demo(Process):
    """A demo whose temporary files are in a folder of its own, which also marks its processes."""

    def __init__(self, folder: Path, wrap: Sequence[str] = ()) -> None:
        self.folder = folder
        super().__init__("demo", [*wrap, *dispatcher_command(), "demo"], environment={"TMPDIR": str(folder)})

    def family(self) -> list[int]:
        """The processes that the demo started, and itself."""
        mark = f"TMPDIR={self.folder}\0".encode()
        return [int(entry.name) for entry in Path("/proc").iterdir() if mark in _environment_of(entry)]

    def rows(self) -> list[tuple[int, str, str]]:
        """The executions: number, agent and source address."""
        return [(int(row[1]), row[2], row[3]) for line in self.out if (row := ROW.fullmatch(line))]


def _environment_of(entry: Path) -> bytes:
    try:
        return (entry / "environ").read_bytes() if entry.name.isdigit() else b""
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, which must be empty again at the end."""
    made = tmp_path / "temporary"
    made.mkdir()
    yield made
    assert [] == list(made.iterdir())


SOURCES = [f"2001:db8:1::{number}" for number in range(1, 7)]


@pytest.mark.parametrize("wrap", [(), AS_ORDINARY_USER], ids=["root", "ordinary user"])
def test_the_demo_shows_twelve_executions_from_six_addresses_and_leaves_nothing(
    folder: Path, wrap: Sequence[str]
) -> None:
    demo = Demo(folder, wrap)
    assert 0 == demo.wait(60), demo.everything()
    agents = ["agent-01"] * 3 + ["agent-02"] * 3
    assert [*zip(range(1, 13), agents * 2, SOURCES * 2, strict=True)] == demo.rows()
    said = "\n".join(demo.out)
    assert "a network namespace of its own with 6 source addresses; nothing outside is touched" in said
    assert "pool   6 of 6 exits available; next 2001:db8:1::1" in said
    assert 6 == said.count("used 2 times")
    assert "stats  12 executions: 12 completed, 0 failed, 0 unknown" in said
    assert "all 12 executions left from the address that their record names" == demo.out[-1]
    assert [] == demo.lines
    assert [] == demo.family()


def test_the_demo_makes_do_with_the_loopback_address_where_namespaces_are_refused(folder: Path) -> None:
    demo = Demo(folder, WITHOUT_NAMESPACES)
    assert 0 == demo.wait(60), demo.everything()
    assert "this machine gives no network namespace (No space left on device), so both agents share ::1" in demo.out[0]
    assert ["::1"] * 12 == [address for _, _, address in demo.rows()]
    assert ["agent-01", "agent-02"] * 6 == [agent for _, agent, _ in demo.rows()]
    assert [] == demo.lines
    assert [] == demo.family()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["network ", "coordinator ", "agent-01 ", " 1  agent-01"])
def test_a_demo_that_is_interrupted_leaves_nothing(folder: Path, moment: str, number: signal.Signals) -> None:
    demo = Demo(folder)
    demo.wait_for_line(moment)
    demo.signal(number)
    assert 0 == demo.wait(60), demo.everything()
    eventually(lambda: demo.family() == [], "the end of all processes")
    assert [] == demo.lines
