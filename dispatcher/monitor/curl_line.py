"""Reads a pasted `curl` command line into a request: a small strict reader for what people copy from browsers. Pure.

What it does not understand it names, all of it at once, and changes nothing: a request that lost an option silently is
worse than none.
Nothing is expanded and no file is read.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from dispatcher.monitor.shell_words import CurlError, split


class UnknownOptionError(CurlError):
    """An option that is not known here; the text is the option."""


class SecondUrlError(CurlError):
    """One URL more than a request has."""


@dataclass(slots=True)
class CurlRequest:
    """What a command line asks for; None is what it does not say. `timeout` is seconds."""

    url: str = ""
    method: str | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    timeout: float | None = None
    follow_redirects: bool = False
    max_redirects: int | None = None
    verify_tls: bool = True
    http_version: str | None = None
    data_in_url: bool = False
    is_json: bool = False
    is_head: bool = False


_WITHOUT_MEANING = {
    "-s", "--silent", "-S", "--show-error", "-v", "--verbose", "-i", "--include", "-f", "--fail", "-N", "--no-buffer",
    "-g", "--globoff", "-6", "--ipv6", "--compressed", "-#", "--progress-bar", "--no-progress-meter", "-q", "--disable",
}  # fmt: skip
"""Options that say how curl prints, or what an agent does anyway."""

_SWITCHES = {
    "-L": "--location",
    "-k": "--insecure",
    "-I": "--head",
    "-G": "--get",
}

_VALUES = {
    "-X": "--request",
    "-H": "--header",
    "-d": "--data",
    "-A": "--user-agent",
    "-e": "--referer",
    "-b": "--cookie",
    "-u": "--user",
    "-m": "--max-time",
}

_LONG_SWITCHES = {"--location", "--insecure", "--head", "--get", "--http1.1", "--http2", "--http3"}
_LONG_VALUES = {
    *_VALUES.values(), "--url", "--data-raw", "--data-binary", "--data-ascii", "--data-urlencode", "--json",
    "--max-redirs", "--oauth2-bearer",
}  # fmt: skip


def is_curl(text: str) -> bool:
    """Say whether a text looks like a curl command line."""
    return re.match(r"\s*(\$\s+)?curl(\.exe)?\s", text) is not None


def parse(text: str) -> CurlRequest:
    """Read a command line.

    Raises:
        CurlError: what it does not understand.
    """
    request = CurlRequest()
    words = split(re.sub(r"^\s*\$\s+", "", text))
    options = iter(words[1:])
    problems: list[CurlError] = []
    for word in options:
        try:
            _take(request, word, options)
        except CurlError as error:
            problems.append(error)
    if problems:
        raise CurlError(_named(problems))
    return _finished(request)


def _take(request: CurlRequest, word: str, options: Iterator[str]) -> None:
    if not word.startswith("-") or word == "-":
        _set_url(request, word)
    elif word.startswith("--"):
        _long(request, word, options)
    else:
        _short(request, word, options)


def _named(problems: list[CurlError]) -> str:
    """Say all that is wrong. After an unknown option a second URL may have been its value, and is not spoken of."""
    unknown = list(dict.fromkeys(str(problem) for problem in problems if isinstance(problem, UnknownOptionError)))
    told = [str(problem) for problem in problems if not isinstance(problem, (UnknownOptionError, SecondUrlError))]
    if unknown:
        *first, last = unknown
        told.insert(0, f"{', '.join(first)} and {last} are not understood" if first else f"{last} is not understood")
    return "; ".join(told or [str(problems[0])])


def _long(request: CurlRequest, word: str, options: Iterator[str]) -> None:
    if word in _WITHOUT_MEANING:
        return
    if word in _LONG_SWITCHES:
        _switch(request, word)
    elif word in _LONG_VALUES:
        _value(request, word, _next(word, options))
    else:
        raise UnknownOptionError(word)


def _short(request: CurlRequest, word: str, options: Iterator[str]) -> None:
    """Take a word of short options, such as `-sSLd` with the value in the next word or `-XPOST` with it in this one."""
    for place, letter in enumerate(word[1:], start=1):
        option = f"-{letter}"
        if option in _VALUES:
            _value(request, _VALUES[option], word[place + 1 :] or _next(option, options))
            return
        if option in _SWITCHES:
            _switch(request, _SWITCHES[option])
        elif option not in _WITHOUT_MEANING:
            raise UnknownOptionError(option)


def _next(option: str, options: Iterator[str]) -> str:
    value = next(options, None)
    if value is None:
        raise CurlError(f"{option} needs a value")
    return value


def _switch(request: CurlRequest, option: str) -> None:
    match option:
        case "--location":
            request.follow_redirects = True
        case "--insecure":
            request.verify_tls = False
        case "--head":
            request.is_head = True
        case "--get":
            request.data_in_url = True
        case _:
            request.http_version = option.removeprefix("--http")


def _value(request: CurlRequest, option: str, value: str) -> None:
    if option in _AS_HEADERS:
        request.headers.append(_AS_HEADERS[option](value))
        return
    match option:
        case "--url":
            _set_url(request, value)
        case "--request":
            request.method = value
        case "--header":
            _add_header(request, value)
        case "--max-time":
            request.timeout = _number(option, value)
        case "--max-redirs":
            request.max_redirects = int(_number(option, value))
        case _:
            _add_data(request, option, value)


def _cookie(value: str) -> tuple[str, str]:
    if "=" not in value:
        raise CurlError(f"-b {value}: a file of cookies cannot be read here")
    return "Cookie", value


def _basic(value: str) -> tuple[str, str]:
    return "Authorization", f"Basic {base64.b64encode(value.encode('utf-8')).decode('ascii')}"


_AS_HEADERS: dict[str, Callable[[str], tuple[str, str]]] = {
    "--user-agent": lambda value: ("User-Agent", value),
    "--referer": lambda value: ("Referer", value),
    "--oauth2-bearer": lambda value: ("Authorization", f"Bearer {value}"),
    "--user": _basic,
    "--cookie": _cookie,
}


def _add_header(request: CurlRequest, value: str) -> None:
    name, colon, content = value.partition(":")
    if value.startswith("@") or not (colon or value.endswith(";")):
        raise CurlError(f"-H {value}: must be a name, a colon and a value")
    if colon and not content.strip():
        raise CurlError(f"-H {value}: taking a header away is not possible here")
    request.headers.append((name.strip().removesuffix(";"), content.strip()))


def _add_data(request: CurlRequest, option: str, value: str) -> None:
    if value.startswith("@") and option != "--data-raw":
        raise CurlError(f"{option} {value}: a file cannot be read here")
    if option == "--data-urlencode":
        name, equals, content = value.rpartition("=")
        if "@" in value and not equals:
            raise CurlError(f"{option} {value}: a file cannot be read here")
        value = f"{name}={quote(content, safe='')}" if equals and name else quote(content, safe="")
    elif option in ("--data", "--data-ascii"):
        value = value.replace("\r", "").replace("\n", "")
    request.is_json = request.is_json or option == "--json"
    request.data.append(value)


def _set_url(request: CurlRequest, url: str) -> None:
    if request.url:
        raise SecondUrlError(f"a second URL, {url}: one request has one")
    request.url = url if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", url) else f"http://{url}"


def _number(option: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise CurlError(f"{option} {value}: must be a number") from None


def _finished(request: CurlRequest) -> CurlRequest:
    if not request.url:
        raise CurlError("there is no URL in it")
    if request.data_in_url and request.data:
        request.url += ("&" if "?" in request.url else "?") + "&".join(request.data)
        request.data = []
    if request.is_head:
        request.method = request.method or "HEAD"
    if request.is_json:
        _add_default(request, "Content-Type", "application/json")
        _add_default(request, "Accept", "application/json")
    elif request.data:
        _add_default(request, "Content-Type", "application/x-www-form-urlencoded")
    request.method = request.method or ("POST" if request.data else "GET")
    return request


def _add_default(request: CurlRequest, name: str, value: str) -> None:
    if all(known.lower() != name.lower() for known, _ in request.headers):
        request.headers.append((name, value))


def body_of(request: CurlRequest) -> str | None:
    """Return the body that the data options make together; None where there is none."""
    if not request.data:
        return None
    return ("" if request.is_json else "&").join(request.data)
