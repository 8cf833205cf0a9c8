"""One SQLite file of the state directory: opened, locked, brought to the current version, written in transactions.

Step 9 of a request's way ends here. Runs on the thread of the actor that owns it, but is opened by whoever starts
that actor, so that `start()` itself raises what is wrong. What would surprise: `synchronous` is NORMAL. A commit is
then in the kernel's hands, which a `kill -9` of this process cannot undo; a power cut may lose the commits since the
last checkpoint (about 4 MB of them), but never tears one and never harms older ones.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
from typing import TYPE_CHECKING, Any

from dispatcher.actors.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_log = logging.getLogger(__name__)

BUSY_TIMEOUT_SECONDS = 5.0
"""How long a statement waits for another process (a backup, a shell) that holds the file."""

JOURNAL_LIMIT_BYTES = 64 * 1024 * 1024
"""How large the write-ahead log may grow before it is emptied by force: readers without a pause keep it growing."""

TRIM_WAIT_SECONDS = 0.25
"""How long emptying it waits for readers: longer than a page of 500 records of 64 KiB takes (30 ms)."""

Migration = tuple[str, ...]
"""The statements that lead from one version of a file to the next."""


class Database:
    """The one connection that writes a file, and the lock that keeps every other coordinator out."""

    def __init__(self, state_dir: Path, name: str, migrations: Sequence[Migration]) -> None:
        """Open `name`.sqlite3 in `state_dir`, made if missing (0700, the file 0600); its version is `len(migrations)`.

        Raises:
            StoreError: not writable, in use by another process, no database, or written by a newer program.
        """
        self.path = database_path(state_dir, name)
        with contextlib.ExitStack() as opened, _Told(f"cannot open {self.path}"):
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = opened.enter_context(contextlib.closing(_Lock(state_dir, name)))
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._name = str(self.path)
            self._file = _identity(self._name)
            self._journal = self.path.with_name(f"{self.path.name}-wal")
            self._journal_file: tuple[int, int] | None = None
            self.connection = opened.enter_context(contextlib.closing(_connect(self.path)))
            self._migrate(migrations)
            self._trim_at = JOURNAL_LIMIT_BYTES
            self._opened = opened.pop_all()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what the block did, or nothing of it.

        Raises:
            StoreError: nothing was written; the next transaction may work again.
        """
        with _Told(f"cannot write {self.path}"):
            self._demand_file()
            self._demand_journal()
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:  # SQLite itself has rolled back after some errors
                    self.connection.execute("ROLLBACK")
                raise

    def write_at_once(self, statement: str, values: Sequence[Any]) -> int:
        """Commit one statement by itself, and return how many rows it changed; looks less far than a transaction does.

        Raises:
            StoreError: as a transaction does.
        """
        try:
            self._demand_file()
            return self.connection.execute(statement, values).rowcount
        except (sqlite3.Error, OSError) as error:
            raise _told(f"cannot write {self.path}", error) from error

    def rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """Yield what a query finds that a commit needs; it is not asked before the first is taken.

        Raises:
            StoreError: as a transaction does.
        """
        try:
            yield from self.connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise _told(f"cannot write {self.path}", error) from error

    def trim(self) -> None:
        """Empty the write-ahead log if it has grown over its limit; where a reader stays in it, try again later.

        SQLite moves it into the file by itself, but starts it afresh only in a moment without readers.
        """
        try:
            size = self._journal.stat().st_size
        except FileNotFoundError:
            return
        if size <= self._trim_at:
            return
        self.connection.execute(f"PRAGMA busy_timeout = {TRIM_WAIT_SECONDS * 1000:.0f}")
        try:
            (is_busy, _, _) = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:  # such as a full disk; everything committed stays in the log
            _log.warning("cannot empty %s: %s", self._journal, error)
            is_busy = True
        self.connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000:.0f}")
        self._trim_at = size + JOURNAL_LIMIT_BYTES if is_busy else JOURNAL_LIMIT_BYTES

    @contextlib.contextmanager
    def first_reading(self) -> Iterator[None]:
        """Close the file again where the block, which reads it for the first time, fails.

        Raises:
            StoreError: the file is damaged.
        """
        try:
            with reading(self.path):
                yield
        except BaseException:
            with contextlib.suppress(StoreError):  # a damaged file may not close well either; the first error counts
                self.close()
            raise

    def close(self) -> None:
        """Move the write-ahead log into the file, close it, and let others in."""
        with _Told(f"cannot close {self.path}"), self._opened:
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _demand_file(self) -> None:
        """Refuse to write where nobody will ever read: SQLite goes on in a file that was removed or replaced."""
        if _identity(self._name) != self._file:
            raise StoreError(f"{self.path} was replaced while it was in use: restart the coordinator")

    def _demand_journal(self) -> None:
        """Refuse to write to a log that was removed: it ends with this process, so what it has goes into the file."""
        try:
            found = _identity(f"{self._name}-wal")
        except FileNotFoundError:
            found = None
        if self._journal_file is None:  # SQLite makes it when it first needs it
            self._journal_file = found
        elif found != self._journal_file:
            self.connection.execute("PRAGMA wal_checkpoint")
            raise StoreError(f"{self._journal} was removed while it was in use: restart the coordinator")

    def _migrate(self, migrations: Sequence[Migration]) -> None:
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        if version > len(migrations):
            raise StoreError(
                f"{self.path} has version {version}, but this program knows versions up to {len(migrations)}: "
                "start a newer program, or choose another state directory"
            )
        _set_up(self.connection)
        if version < len(migrations):
            with self.transaction() as connection:
                for statement in (one for migration in migrations[version:] for one in migration):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {len(migrations)}")


def _identity(path: str) -> tuple[int, int]:
    found = os.stat(path)  # noqa: PTH116  (a `Path` costs each commit twice as much)
    return found.st_dev, found.st_ino


def database_path(state_dir: Path, name: str) -> Path:
    """Return where the database `name` of a state directory lies."""
    return state_dir / f"{name}.sqlite3"


def connect_read_only(state_dir: Path, name: str) -> sqlite3.Connection:
    """Open a second connection that cannot write, to a file that a `Database` of this process has open.

    Raises:
        StoreError: there is no such file, or it cannot be read.
    """
    path = database_path(state_dir, name)
    with reading(path):
        connection = _connect(path, "?mode=ro")
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        return connection


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what SQLite raises in the block into a `StoreError` that names the file."""
    with _Told(f"cannot read {path}"):
        yield


def _connect(path: Path, options: str = "") -> sqlite3.Connection:
    return sqlite3.connect(
        path.absolute().as_uri() + options,
        uri=True,
        timeout=BUSY_TIMEOUT_SECONDS,
        isolation_level=None,  # transactions begin and end where the code says so
        check_same_thread=False,  # opened by the thread that starts the actor, used by the actor's
    )


def _set_up(connection: sqlite3.Connection) -> None:
    for pragma in (
        "journal_mode = WAL",
        "synchronous = NORMAL",
        f"journal_size_limit = {JOURNAL_LIMIT_BYTES}",
        "foreign_keys = ON",
        "secure_delete = FAST",  # some builds overwrite what is deleted, which doubles what retention writes
    ):
        connection.execute(f"PRAGMA {pragma}").fetchone()


class _Told:
    """Turns what SQLite or the system raises in the block into a `StoreError` that begins with `what`.

    No generator: as one it cost each commit 7,000 instructions.
    """

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Raise what is told instead."""
        if isinstance(error, (sqlite3.Error, OSError)):
            raise _told(self._what, error) from error


def _told(what: str, error: sqlite3.Error | OSError) -> StoreError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return StoreError(f"{what}: {reason}")


class _Lock:
    """A lock file of its own, because closing a second descriptor of the database would drop SQLite's locks."""

    def __init__(self, state_dir: Path, name: str) -> None:
        path = state_dir / f"{name}.lock"
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            self.close()
            raise StoreError(f"{state_dir} is in use by another coordinator (process {owner})") from None
        except OSError:
            self.close()
            raise
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode("ascii"), 0)

    def close(self) -> None:
        """Let others in; the end of the process does the same."""
        os.close(self._descriptor)
