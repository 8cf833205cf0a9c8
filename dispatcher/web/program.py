"""`/dispatcher.pyz`: the coordinator's own file, so that a new gateway needs one `curl` and one `python3`.

Beside a request's way, on the event loop; the disk is read on threads. The file is opened once an answer, so an answer
is whole although the file was replaced meanwhile, and its tag is its SHA-256.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING

from dispatcher import bootstrap
from dispatcher.auth.roles import Permission
from dispatcher.web.base import BaseHandler
from dispatcher.web.operations import Operation
from dispatcher.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Hashable
    from io import BufferedReader

MEDIA_TYPE = "application/octet-stream"
_CHUNK_BYTES = 256 * 1024

_digests: dict[Hashable, bytes] = {}
"""The SHA-256 of the file that was asked for last, by what tells it from another."""


class ProgramHandler(BaseHandler):
    """`GET /dispatcher.pyz`."""

    operations = {
        "GET": Operation(
            "Give out the coordinator's own file, for a new gateway; the tag is its SHA-256",
            {200: None, 304: None},
            problems=(404,),
            media_type=MEDIA_TYPE,
            needs=Permission.FETCH,
        )
    }

    async def get(self) -> None:
        """Answer with the file, or with 304 where the caller has it."""
        with await asyncio.to_thread(_open) as file:
            digest = await asyncio.to_thread(_digest, file)
            self.set_header("ETag", f'"{digest.hex()}"')
            self.set_header("Cache-Control", "no-cache")
            if self.check_etag_header():
                self.set_status(304)
                return
            self.set_header("Repr-Digest", f"sha-256=:{b64encode(digest).decode()}:")
            self.set_header("Content-Type", MEDIA_TYPE)
            self.set_header("Content-Disposition", 'attachment; filename="dispatcher.pyz"')
            self.set_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
                self.write(chunk)
                await self.flush_in_turns()


def _open() -> BufferedReader:
    if bootstrap.ARCHIVE is None:
        raise Problem(404, "not_found", "this coordinator runs from a checkout and has no file to give out")
    try:
        return Path(bootstrap.ARCHIVE).open("rb")
    except OSError as error:
        raise Problem(404, "not_found", f"the coordinator's file is gone: {error.strerror}") from error


def _digest(file: BufferedReader) -> bytes:
    """Return the SHA-256 of `file`, from its beginning and left there; computed once while the file stays the same."""
    status = os.fstat(file.fileno())
    known = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    if known not in _digests:
        digest = hashlib.file_digest(file, "sha256").digest()
        file.seek(0)
        _digests.clear()
        _digests[known] = digest
    return _digests[known]
