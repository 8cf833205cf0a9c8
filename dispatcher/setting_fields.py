"""What each kind of option takes, as a marshmallow field that checks the text and makes a value of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields

from dispatcher.auth.fields import OriginField, RoleField
from dispatcher.checks import AGENT_ID, TOKEN, AddressField, WholeField
from dispatcher.option import Kind
from dispatcher.wire import limits

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_NOT_IN_NAME = re.compile(r"[\x00-\x20\x7f\\/@]")
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f\\]")
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class _Text(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = str(super()._deserialize(value, attr, data, **kwargs))
        if not text.strip():
            raise ValidationError("Must not be empty.")
        return text


class _Number(fields.Float):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not _NUMBER.fullmatch(str(value)):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class _Host(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = str(value)
        if ":" in text or "[" in text:
            return str(AddressField().deserialize(text))
        try:
            # What cannot be written for the resolver would end the start with a trace.
            is_name = bool(text.encode("idna")) and not _NOT_IN_NAME.search(text)
        except UnicodeError:
            is_name = False
        if not is_name:
            raise ValidationError("Must be a name or an address.")
        return text


class _ExitAddress(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        from dispatcher.agent.addresses.rules import parse_explicit  # noqa: PLC0415 - only an agent needs it

        try:
            return parse_explicit(str(value))
        except ValueError as error:
            raise ValidationError(str(error)) from error


class _Target(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        from dispatcher.agent.targets.rules import parse_rule  # noqa: PLC0415 - only an agent needs it

        try:
            return parse_rule(str(value))
        except ValueError as error:
            raise ValidationError(str(error)) from error


class _BaseUrl(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        url = str(super()._deserialize(value, attr, data, **kwargs))
        if _NOT_IN_URL.search(url):
            raise ValidationError("Must not hold spaces, control characters or backslashes.")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ValidationError(f"Not a URL: {error}.") from error
        if parts.scheme not in ("http", "https") or not host or port == 0:
            raise ValidationError("Must be an http or https URL with a host, such as http://localhost:8000.")
        if parts.query or parts.fragment:
            raise ValidationError("Must not have a query or a fragment.")
        return url.rstrip("/")


class _Path(fields.Field[Path]):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Path:
        if not str(value).strip():
            raise ValidationError("Must not be empty.")
        try:
            return Path(str(value)).expanduser()
        except RuntimeError as error:
            raise ValidationError("Names the home of a user who is not known here.") from error


class _LogLevel(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        level = str(value).upper()
        if level not in _LOG_LEVELS:
            raise ValidationError(f"Must be one of {', '.join(_LOG_LEVELS)}.")
        return level


class _AgentId(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not AGENT_ID.fullmatch(str(value)):
            raise ValidationError("Must be letters, digits and ._-, 64 at most, and start with a letter or digit.")
        return str(value)


class _HeaderName(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not TOKEN.fullmatch(str(value)) or len(str(value)) > limits.MAX_SECRET_HEADER_CHARS:
            raise ValidationError(f"Not a header's name of at most {limits.MAX_SECRET_HEADER_CHARS} characters.")
        return str(value)


FIELDS: dict[Kind, type[fields.Field[Any]]] = {
    Kind.TEXT: _Text,
    Kind.WHOLE: WholeField,
    Kind.NUMBER: _Number,
    Kind.FLAG: fields.Boolean,
    Kind.LOG_LEVEL: _LogLevel,
    Kind.HOST: _Host,
    Kind.URL: _BaseUrl,
    Kind.ADDRESS: _ExitAddress,
    Kind.AGENT_ID: _AgentId,
    Kind.PATH: _Path,
    Kind.FILE: _Path,
    Kind.HEADER: _HeaderName,
    Kind.TARGET: _Target,
    Kind.ROLE: RoleField,
    Kind.ORIGIN: OriginField,
}
