"""Writing to stdout: all of it, through signals, where nobody reads and where it must not be waited on."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios

import pytest

from dispatcher import stdout
from tests.support.processes import eventually

ROOM = 4096
WRITTEN = "".join(f"{number:07}\n" for number in range(4 * ROOM // 8))
WRITER = f"""
import signal, sys
from dispatcher import stdout
signal.signal(signal.SIGUSR1, lambda *_: sys.stderr.write("heard\\n"))
stdout.write("".join(f"{{number:07}}\\n" for number in range({len(WRITTEN) // 8})))
"""


def waiting(pipe: int) -> int:
    """Count the bytes that wait in a pipe."""
    told: int = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]
    return told


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("is_blocking", [True, False])
def test_all_of_it_is_written_whatever_interrupts_it(unbuffered: str, is_blocking: bool) -> None:
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, ROOM)
    os.set_blocking(write, is_blocking)
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-c", WRITER]
    with (
        subprocess.Popen(command, stdout=write, stderr=subprocess.PIPE, env=environment, text=True) as process,
        os.fdopen(read, "rb", buffering=0) as taken,
    ):
        os.close(write)
        assert process.stderr is not None
        eventually(lambda: waiting(read) == ROOM, "a pipe that is full")
        process.send_signal(signal.SIGUSR1)
        assert "heard\n" == process.stderr.readline()
        assert WRITTEN.encode() == taken.readall()
        assert (0, "") == (process.wait(60), process.stderr.read())


def test_what_has_no_utf_8_form_is_escaped(capfd: pytest.CaptureFixture[str]) -> None:
    stdout.write("é\udc80\n")
    assert ("é\\udc80\n", "") == capfd.readouterr()
