"""A real terminal for tests: a tmux server of its own with one shell in one window, ended with its context.

The terminal that programs see is `TERM` of tmux's own kind, whatever the one is that the tests run in.
"""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Self

from tests.support.processes import eventually

BINARY = shutil.which("tmux")

PROMPT = "ready>"
_SECONDS = 20.0
_numbers = itertools.count(1)


class Tmux:
    """A window of so many columns and rows with a shell in it; `environment` is that of the shell."""

    def __init__(self, width: int = 80, height: int = 24, **environment: str) -> None:
        # A name of its own: a server that was told to end is there for a while.
        self._socket = f"dispatcher-test-{os.getpid()}-{next(_numbers)}"
        self._size = (str(width), str(height))
        unwanted = ("LC_", "LANG", "TMUX", "COLORTERM", "NO_COLOR", "COLUMNS", "LINES")
        plain = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
        self._environment = {**plain, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PS1": PROMPT, **environment}

    def __enter__(self) -> Self:
        width, height = self._size
        shell = "exec env " + " ".join(shlex.quote(f"{name}={self._environment[name]}") for name in self._named())
        self._run("-f", "/dev/null", "new-session", "-d", "-x", width, "-y", height, f"{shell} sh -i")
        self._run("set", "-g", "escape-time", "0")
        self.wait_for(PROMPT)
        return self

    def _named(self) -> list[str]:
        """What tmux would set by itself, or take away."""
        return [name for name in ("LC_ALL", "PS1", "NO_COLOR", "TERM", "LANG") if name in self._environment]

    def __exit__(self, *_: object) -> None:
        self._run("kill-server")

    def _run(self, *arguments: str, content: str | None = None) -> str:
        assert BINARY is not None, "tmux is not installed"
        command = [BINARY, "-u", "-L", self._socket, *arguments]
        done = subprocess.run(
            command, env=self._environment, input=content, capture_output=True, text=True, timeout=_SECONDS, check=True
        )
        return done.stdout

    def keys(self, *names: str) -> None:
        """Press keys, named as tmux names them."""
        self._run("send-keys", *names)

    def type(self, text: str) -> None:
        """Type text as it is."""
        self._run("send-keys", "-l", text)

    def paste(self, text: str) -> None:
        """Paste text, in brackets where the program asked for them."""
        self._run("load-buffer", "-", content=text)
        self._run("paste-buffer", "-p")

    def resize(self, width: int, height: int) -> None:
        """Give the window another size."""
        self._run("resize-window", "-x", str(width), "-y", str(height))

    def screen(self, *, with_escapes: bool = False) -> str:
        """Return what the window shows."""
        return self._run("capture-pane", "-p", *(["-e"] if with_escapes else []))

    def told(self, name: str) -> str:
        """Return what tmux knows of the window, such as ``alternate_on`` or ``pane_title``."""
        return self._run("display", "-p", f"#{{{name}}}").strip()

    def wait_for(self, *texts: str) -> str:
        """Wait until all of the texts are on the screen, and return it."""
        try:
            eventually(lambda: all(text in self.screen() for text in texts), str(texts), seconds=_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen()}") from error
        return self.screen()

    def wait_without(self, text: str) -> str:
        """Wait until a text is not on the screen any more, and return it."""
        eventually(lambda: text not in self.screen(), f"no {text} on\n{self.screen()}", seconds=_SECONDS)
        return self.screen()

    def children(self) -> list[int]:
        """Return the ids of the processes that the shell has started."""
        shell = self.told("pane_pid")
        return [int(word) for word in Path(f"/proc/{shell}/task/{shell}/children").read_text().split()]
