from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from dispatcher.errors import SettingsError
from dispatcher.tls import reload
from dispatcher.tls.contexts import ServerFiles
from dispatcher.tls.reload import Certificates
from tests.support import log_state
from tests.support.certificates import Authority, Pair, handshake
from tests.unit.loops import on_loop


class Renewed:
    """A coordinator's certificates, and an authority that signs new ones."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.pair = self.authority.pair("coordinator")
        self.certificates = Certificates(ServerFiles(self.pair.cert, self.pair.key))
        self._count = 0

    def next(self) -> Pair:
        """Sign another pair."""
        self._count += 1
        return self.authority.pair(f"next-{self._count}")

    def renew(self) -> None:
        """Put another pair in place."""
        self.next().put_in_place_of(self.pair)

    def break_(self, text: str = "half a certi") -> None:
        """Put something in place of the certificate that is none."""
        self.pair.cert.write_text(text)

    def works(self) -> bool:
        """Whether connections can be made with what is in use."""
        return handshake(self.certificates.context, self.authority.client()) == (None, None, None)


@pytest.fixture
def renewed(tmp_path: Path) -> Renewed:
    return Renewed(tmp_path)


def test_files_that_did_not_change_are_not_read_again(renewed: Renewed) -> None:
    before = renewed.certificates.context
    assert renewed.certificates.refresh() is False
    assert before is renewed.certificates.context
    assert renewed.certificates.refresh(even_unchanged=True) is True
    assert before is not renewed.certificates.context


def test_files_that_changed_are_used_from_then_on(renewed: Renewed) -> None:
    before = renewed.certificates.context
    renewed.renew()
    assert renewed.certificates.refresh() is True
    assert before is not renewed.certificates.context
    assert renewed.works()
    assert renewed.certificates.refresh() is False


def test_a_link_that_is_turned_around_is_a_change(renewed: Renewed, tmp_path: Path) -> None:
    first, second = renewed.next(), renewed.next()
    live = Pair(tmp_path / "live.pem", tmp_path / "live.key")
    live.cert.symlink_to(first.cert)
    live.key.symlink_to(first.key)
    certificates = Certificates(ServerFiles(live.cert, live.key))
    for link, target in ((live.cert, second.cert), (live.key, second.key)):
        link.unlink()
        link.symlink_to(target)
    assert certificates.refresh() is True


def test_what_is_broken_is_told_once_and_changes_nothing(renewed: Renewed) -> None:
    before = renewed.certificates.context
    renewed.break_()
    with pytest.raises(SettingsError, match=r"--tls-cert: .* holds no certificate"):
        renewed.certificates.refresh()
    assert before is renewed.certificates.context
    assert renewed.works()
    assert renewed.certificates.refresh() is False
    renewed.break_("something else that is wrong")
    with pytest.raises(SettingsError):
        renewed.certificates.refresh()
    renewed.renew()
    assert renewed.certificates.refresh() is True
    assert renewed.works()


def test_a_file_that_is_gone_is_told_once_and_changes_nothing(renewed: Renewed) -> None:
    renewed.pair.key.unlink()
    with pytest.raises(SettingsError, match="--tls-key: cannot read"):
        renewed.certificates.refresh()
    assert renewed.certificates.refresh() is False
    assert renewed.works()


class Lines(logging.Handler):
    """What was logged, to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: asyncio.Queue[tuple[int, str]] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.put_nowait((record.levelno, record.getMessage()))

    async def next(self) -> tuple[int, str]:
        """Wait for the next line."""
        return await self._lines.get()


@asynccontextmanager
async def watching(certificates: Certificates) -> AsyncIterator[Lines]:
    lines = Lines()
    reload.logger.addHandler(lines)
    task = asyncio.create_task(reload.watch(certificates))
    await asyncio.sleep(0)
    try:
        yield lines
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        reload.logger.removeHandler(lines)


@pytest.fixture
def logged() -> Iterator[None]:
    with log_state.kept():
        reload.logger.setLevel(logging.INFO)
        yield


@pytest.mark.usefixtures("logged")
def test_changes_are_noticed_by_looking(renewed: Renewed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "LOOK_SECONDS", 0.01)

    async def test() -> None:
        async with watching(renewed.certificates) as lines:
            before = renewed.certificates.context
            # The whole pair at once: between its two files the watcher may look too.
            pair = renewed.next()
            renewed.certificates._files = ServerFiles(pair.cert, pair.key)
            level, said = await lines.next()
            assert (logging.INFO, True) == (
                level,
                said.startswith(f"read the TLS files again ({pair.cert}, {pair.key})"),
            )
            assert before is not renewed.certificates.context
            pair.cert.write_text("half a certi")
            level, said = await lines.next()
            assert logging.WARNING == level
            assert said.startswith("the new TLS files cannot be used, the old certificates go on: --tls-cert: ")
            assert renewed.works()

    on_loop(test)


@pytest.mark.usefixtures("logged")
def test_sighup_reads_the_files_at_once(renewed: Renewed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "LOOK_SECONDS", 3600.0)

    async def test() -> None:
        async with watching(renewed.certificates) as lines:
            for _ in range(2):  # the second time though nothing changed
                os.kill(os.getpid(), signal.SIGHUP)
                assert logging.INFO == (await lines.next())[0]
        assert signal.SIG_DFL is signal.getsignal(signal.SIGHUP)

    on_loop(test)
