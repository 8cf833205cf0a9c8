"""The header lines of a response as libcurl hands them over, made into status, reason and headers. Pure.

Step 7 of a request's way, back. What would surprise: libcurl hands over the lines of 1xx responses before those of the
final one, and of trailers after; only the final response's own headers are kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dispatcher.wire import limits

_STATUS_LINE = re.compile(r"HTTP/\d(?:\.\d)? +(\d{3})(?: (.*))?")


class MalformedResponseError(Exception):
    """The header lines are no HTTP response; the text says why."""


class UnfinishedResponseError(MalformedResponseError):
    """The connection ended within the header lines, which libcurl does not call a failure."""


@dataclass(frozen=True, slots=True)
class Response:
    """The head of a final response. Text is latin-1; `headers` are in order, duplicates kept."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str | None:
        """The first header of this name, given in lower case."""
        return next((value for known, value in self.headers if known.lower() == name), None)


def parse_response(lines: list[bytes]) -> Response:
    """Read the final response from header lines with their ends.

    Raises:
        MalformedResponseError: no status line, or more than `limits.MAX_HEADERS` headers.
        UnfinishedResponseError: no empty line after the headers.
    """
    start = 0
    while True:
        status, reason = _status_line(lines, start)
        end = _end_of_head(lines, start)
        if status == 101 or status >= 200:
            return Response(status, reason, _headers(lines[start + 1 : end]))
        start = end + 1


def _status_line(lines: list[bytes], start: int) -> tuple[int, str]:
    if start >= len(lines):
        raise UnfinishedResponseError("it has no status line")
    text = lines[start].decode("latin-1").rstrip("\r\n")
    match = _STATUS_LINE.fullmatch(text)
    if match is None or int(match[1]) < 100:
        raise MalformedResponseError(f"its status line is {text[:64]!r}")
    return int(match[1]), (match[2] or "").strip()[: limits.MAX_TEXT_CHARS]


def _end_of_head(lines: list[bytes], start: int) -> int:
    for index in range(start, len(lines)):
        if not lines[index].rstrip(b"\r\n"):
            return index
    raise UnfinishedResponseError("its headers have no end")


def _headers(lines: list[bytes]) -> tuple[tuple[str, str], ...]:
    if len(lines) > limits.MAX_HEADERS:
        raise MalformedResponseError(f"it has {len(lines)} headers, more than {limits.MAX_HEADERS}")
    headers: list[tuple[str, str]] = []
    for line in lines:
        text = line.decode("latin-1").rstrip("\r\n")
        if text[:1] in (" ", "\t") and headers:
            name, value = headers.pop()
            headers.append((name, f"{value} {text.strip()}"))
            continue
        name, _, value = text.partition(":")
        headers.append((name.strip(), value.strip(" \t")))
    return tuple(headers)
