"""The TLS context in use, made anew when one of its files has changed: certificates live shorter than processes.

`refresh` blocks and runs in a thread; whoever opens a connection reads `context`. What would surprise: a new context
and not a changed one, so that no session ticket given under the old certificates opens a connection under the new.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from dispatcher.errors import SettingsError

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from dispatcher.tls.contexts import ClientFiles, ServerFiles

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""Between two looks at the files: three calls of stat(2)."""

_Stamp = tuple[tuple[int, int, int] | None, ...]


class Certificates:
    """The files of one end, and the context made of them."""

    def __init__(self, files: ServerFiles | ClientFiles) -> None:
        """Read the files.

        Raises:
            SettingsError: one line that names the option and the file.
        """
        self._files = files
        self._seen = self._stamp()
        self.context: ssl.SSLContext = files.context()

    @property
    def names(self) -> str:
        """The files, for a log."""
        return ", ".join(str(path) for _, path in self._files.named)

    def refresh(self, *, even_unchanged: bool = False) -> bool:
        """Read the files again if they have changed; return whether that was done.

        Raises:
            SettingsError: they are broken now. The old context goes on, and this is not told again until they change.
        """
        stamp = self._stamp()
        if stamp == self._seen and not even_unchanged:
            return False
        self._seen = stamp  # taken before the files are read, so a change meanwhile is seen next time
        self.context = self._files.context()
        return True

    def _stamp(self) -> _Stamp:
        return tuple(_stamp_of(path) for _, path in self._files.named)


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()  # of what a link leads to: renewals often turn a link around
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


async def refresh(certificates: Certificates, *, even_unchanged: bool = False) -> None:
    """Refresh without holding the loop, and log how it went."""
    try:
        if await asyncio.to_thread(certificates.refresh, even_unchanged=even_unchanged):
            logger.info("read the TLS files again (%s); new connections use them", certificates.names)
    except SettingsError as error:
        faults = "; ".join(str(error).splitlines())
        logger.warning("the new TLS files cannot be used, the old certificates go on: %s", faults)


async def watch(certificates: Certificates) -> None:
    """Refresh whenever the files have changed, and on SIGHUP at once; runs until it is cancelled."""
    hung_up = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, hung_up.set)
    try:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(hung_up.wait(), LOOK_SECONDS)
            was_asked = hung_up.is_set()
            hung_up.clear()
            await refresh(certificates, even_unchanged=was_asked)
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
