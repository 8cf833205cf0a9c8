"""The header lines of a response as libcurl hands them over, made into status, reason and headers. Pure.

Step 7 of a request's way, back. What would surprise: libcurl hands over the lines of 1xx responses before those of the
final one, and of trailers after; only the final response's own headers are kept.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

from dispatcher.memo import Memo
from dispatcher.wire import codec, fields, limits
from dispatcher.wire.messages import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

_STATUS_LINE = re.compile(r"HTTP/(\d(?:\.\d)?) +(\d{3})(?: (.*))?")
_FOLDS = (b" ", b"\t")
_FIRST_OF_NAMES = b"!"
"""No header begins with anything smaller."""

_MOST_REMEMBERED = 256
"""Bytes of a line whose reading is remembered: a target's answers are alike in most of theirs."""

_MOST_REMEMBERED_HEAD = 2048
"""Bytes of a whole head whose reading is remembered: most heads of a target differ by their Date alone."""


class MalformedResponseError(Exception):
    """The header lines are no HTTP response; the text says why."""


class UnfinishedResponseError(MalformedResponseError):
    """The connection ended within the header lines, which libcurl does not call a failure."""


@dataclass(frozen=True, slots=True)
class Response:
    """The head of a final response. Text is latin-1; `headers` are in order, duplicates kept.

    `http_version` is what stands in the status line, where libcurl takes it from too.
    """

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    http_version: str = "1.1"
    header_chars: int = field(init=False, compare=False)
    written: bytes = field(init=False, compare=False)
    """Its members as they stand in a `Result` of the wire: once for all answers with this head."""

    def __post_init__(self) -> None:
        """Work out what answers need of it again and again."""
        result = Result("", self.status, self.reason, self.http_version, headers=self.headers)
        object.__setattr__(self, "header_chars", result.header_chars)
        object.__setattr__(self, "written", _members(result))

    def header(self, name: str) -> str | None:
        """The first header of this name, given in lower case."""
        return next((value for known, value in self.headers if known.lower() == name), None)


def _members(result: Result) -> bytes:
    """Write status, reason, version and headers as an object's members, without its brackets."""
    said = fields.as_json(result)
    names = ("status", "reason", "http_version", "headers")
    return b",".join([b'"%b":%b' % (name.encode(), codec.value_json(said[name])) for name in names])


class _Last:
    """The head that was read last, which most answers of a second have again: its bytes, lines and reading."""

    def __init__(self) -> None:
        self.head = b""
        self.lines = -1
        self.response: Response


_last = _Last()


def parse_response(lines: list[bytes]) -> Response:
    """Read the final response from header lines with their ends.

    Raises:
        MalformedResponseError: no status line, or more than `limits.MAX_HEADERS` headers.
        UnfinishedResponseError: no empty line after the headers.
    """
    head = b"".join(lines)
    if head == _last.head and len(lines) == _last.lines:
        return _last.response
    # A line that holds a line feed is no two lines: HTTP/2 could have one.
    if len(head) > _MOST_REMEMBERED_HEAD or head.count(b"\n") != len(lines):
        return _parse(lines)
    _last.response = _known_heads[head]
    _last.head, _last.lines = head, len(lines)
    return _last.response


def _parse_head(head: bytes) -> Response:
    return _parse(BytesIO(head).readlines())


def _parse(lines: Sequence[bytes]) -> Response:
    start = 0
    while True:
        version, status, reason = _status_line(lines, start)
        end = _end_of_head(lines, start)
        if status == 101 or status >= 200:
            return Response(status, reason, _headers(lines[start + 1 : end]), version)
        start = end + 1


def _status_line(lines: Sequence[bytes], start: int) -> tuple[str, int, str]:
    if start >= len(lines):
        raise UnfinishedResponseError("it has no status line")
    line = lines[start]
    return _known_statuses[line] if len(line) <= _MOST_REMEMBERED else _status(line)


def _status(line: bytes) -> tuple[str, int, str]:
    text = line.decode("latin-1").rstrip("\r\n")
    match = _STATUS_LINE.fullmatch(text)
    if match is None or int(match[2]) < 100:
        raise MalformedResponseError(f"its status line is {text[:64]!r}")
    return match[1], int(match[2]), (match[3] or "").strip()[: limits.MAX_TEXT_CHARS]


def _end_of_head(lines: Sequence[bytes], start: int) -> int:
    with suppress(ValueError):
        if b"\n" not in lines:
            return lines.index(b"\r\n", start)
    for index in range(start, len(lines)):
        if not lines[index].rstrip(b"\r\n"):
            return index
    raise UnfinishedResponseError("its headers have no end")


def _headers(lines: Sequence[bytes]) -> tuple[tuple[str, str], ...]:
    if len(lines) > limits.MAX_HEADERS:
        raise MalformedResponseError(f"it has {len(lines)} headers, more than {limits.MAX_HEADERS}")
    if lines and min(lines) < _FIRST_OF_NAMES:
        lines = _unfolded(lines)
    known = _known_headers
    return tuple([known[line] if len(line) <= _MOST_REMEMBERED else _header(line) for line in lines])


def _unfolded(lines: Sequence[bytes]) -> list[bytes]:
    """Put lines that begin with a space behind the ones before them."""
    unfolded: list[bytes] = []
    for line in lines:
        if line[:1] in _FOLDS and unfolded:
            unfolded[-1] = b"%b %b" % (unfolded[-1].rstrip(b"\r\n \t"), line.strip())
        else:
            unfolded.append(line)
    return unfolded


def _header(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("latin-1").rstrip("\r\n").partition(":")
    return name.strip(), value.strip(" \t")


_known_heads = Memo(_parse_head, 128)
_known_statuses = Memo(_status, 64)
_known_headers = Memo(_header, 2048)
