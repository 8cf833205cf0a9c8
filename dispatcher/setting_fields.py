"""What each kind of option takes, as a marshmallow field that checks the text and makes a value of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, fields

from dispatcher.auth.fields import OriginField, RoleField
from dispatcher.checks import AGENT_ID, TOKEN, AddressField, WholeField, is_host_name, split_url
from dispatcher.option import Kind
from dispatcher.wire import limits

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
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
        if not is_host_name(text):
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
        parts, host, port = split_url(url)
        if parts.scheme not in ("http", "https") or not host or port == 0:
            raise ValidationError("Must be an http or https URL with a host, such as http://localhost:8000.")
        if parts.query or parts.fragment:
            raise ValidationError("Must not have a query or a fragment.")
        if ":" not in host and not is_host_name(host):
            raise ValidationError("Must name a host that can be looked up.")
        # Others look at how it begins.
        return (parts.scheme + url[len(parts.scheme) :]).rstrip("/")


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
