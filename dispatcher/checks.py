"""Checks that the REST API and the command line share: names, addresses and URLs, however they come in."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from marshmallow import ValidationError, fields

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A method or a header name (RFC 9110, 5.6.2)."""

AGENT_ID = re.compile(r"(?!register$)[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""An agent's id. `register` is none, because its path is taken: such an agent could not be removed."""

AGENT_KEY = re.compile(r"[A-Za-z0-9_-]{32,128}")
"""What proves that an agent's id is its own; random, so that nobody guesses it."""

_ADDRESS = re.compile(r"\[([^\[\]]*)\]|([^\[\]]*)")
_ZONE = re.compile(r"[A-Za-z0-9._@:-]{1,15}")
"""The name or number of an interface (RFC 4007, 11.2); a name has 15 characters at most (linux/if.h, IFNAMSIZ)."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
_NOT_IN_NAME = re.compile(r"[\x00-\x20\x7f\\/@]")
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f\\]")


def matching(pattern: re.Pattern[str], fault: str) -> Callable[[str], None]:
    """Make a validator that takes what `pattern` matches from end to end."""

    def check(text: str) -> None:
        if not pattern.fullmatch(text):
            raise ValidationError(fault)

    return check


def is_unicode(text: str) -> bool:
    """Whether there are no lone surrogates in it: JSON can bring them, and a command line that is no UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def is_host_name(text: str) -> bool:
    """Whether it can be written for the resolver, which would raise a trace where it cannot."""
    try:
        return bool(text.encode("idna")) and not _NOT_IN_NAME.search(text)
    except UnicodeError:
        return False


def split_url(url: str) -> tuple[SplitResult, str | None, int | None]:
    """Return the parts of a URL, and its host and port.

    Raises:
        ValidationError: there is a character in it that is in no URL, or host and port cannot be told.
    """
    if _NOT_IN_URL.search(url) or not is_unicode(url):
        raise ValidationError("Must not hold spaces, control characters or backslashes.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValidationError(f"Not a URL: {error}.") from error
    return parts, host, port


class WholeField(fields.Integer):
    """A whole number written in digits, which Python would also take with underscores or of other scripts."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not _WHOLE.fullmatch(str(value)):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class AddressField(fields.String):
    """An IPv6 address, in brackets or not; loaded in its canonical form."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = str(super()._deserialize(value, attr, data, **kwargs))
        try:
            return _canonical(text)
        except ValueError as error:
            raise ValidationError("Not an IPv6 address.") from error


def _canonical(text: str) -> str:
    inner = _ADDRESS.fullmatch(text)
    if inner is None:
        raise ValueError("brackets that do not match")
    address = ipaddress.IPv6Address(inner[1] or inner[2] or "")
    if address.scope_id is not None and not _ZONE.fullmatch(address.scope_id):
        raise ValueError("no name of an interface")
    return str(address)
