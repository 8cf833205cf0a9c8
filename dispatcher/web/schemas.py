"""What users may send, checked in one place: step 1 of a request's way. The OpenAPI document is made of the same.

Strict on purpose: an unknown field, a number in quotes or `1` for true is refused, because it is a mistake more often
than a wish.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from dispatcher import request as defaults
from dispatcher.actors.messages import Outcome
from dispatcher.checks import AGENT_ID, AGENT_KEY, TOKEN, AddressField, WholeField, is_unicode, matching, split_url
from dispatcher.errors import FailureKind
from dispatcher.web import cursors
from dispatcher.wire import limits
from dispatcher.wire.messages import HttpVersion

_STANDARD_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"))
_FRAMING_HEADERS = frozenset(("content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"))
_BAD_IN_VALUE = re.compile(r"[\x00\r\n]")
_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,20})?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)

_NOT_REPEATABLE = (
    f"Must be 0: only {', '.join(sorted(defaults.IDEMPOTENT_METHODS))} may be sent again, "
    "and what has an Idempotency-Key among its headers."
)
_NO_TIMESTAMP = "Not an RFC 3339 timestamp such as 2026-01-01T00:00:00Z."

HISTORY_PAGE_DEFAULT = 50
HISTORY_PAGE_MAX = 500

MAX_BATCH = 1_000_000
"""The most executions of one call."""


class StrictBoolean(fields.Boolean):
    """True or false, and nothing that looks like it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class StrictFloat(fields.Float):
    """A JSON number."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, (bool, str)):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class Url(fields.String):
    """An absolute http or https URL."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        url = super()._deserialize(value, attr, data, **kwargs)
        if not url or len(url) > limits.MAX_URL_CHARS:
            raise ValidationError(f"Must have 1 to {limits.MAX_URL_CHARS} characters.")
        parts, host, port = split_url(url)
        if parts.scheme not in ("http", "https"):
            raise ValidationError("Must start with http:// or https://.")
        if not host or port == 0:
            raise ValidationError("Must name a host, and no port 0.")
        return str(url)


class Method(fields.String):
    """A method of HTTP, or one that looks like it; the standard ones may be written in lower case."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        method = str(super()._deserialize(value, attr, data, **kwargs))
        if len(method) > limits.MAX_METHOD_CHARS or not TOKEN.fullmatch(method):
            raise ValidationError(f"Must be a token of at most {limits.MAX_METHOD_CHARS} characters.")
        if method.upper() == "CONNECT":
            raise ValidationError("CONNECT opens a tunnel and is no request that can be executed.")
        return method.upper() if method.upper() in _STANDARD_METHODS else method


class Headers(fields.Field[list[list[str]]]):
    """Header lines: an object, or a list of [name, value] pairs where a name occurs twice. Loaded as pairs."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[list[str]]:
        pairs = list(value.items()) if isinstance(value, Mapping) else value
        if not isinstance(pairs, list):
            raise ValidationError("Must be an object or a list of [name, value] pairs.")
        if len(pairs) > limits.MAX_HEADERS:
            raise ValidationError(f"Must have at most {limits.MAX_HEADERS} lines.")
        keys: list[Any] = list(value) if isinstance(value, Mapping) else list(range(len(pairs)))
        errors = {key: [fault] for key, pair in zip(keys, pairs, strict=True) if (fault := _header_fault(pair))}
        if errors:
            raise ValidationError(errors)
        if sum(len(name) + len(content) for name, content in pairs) > limits.MAX_HEADER_BYTES:
            raise ValidationError(f"Must have at most {limits.MAX_HEADER_BYTES} bytes in all.")
        return [[name, content] for name, content in pairs]


def _header_fault(pair: Any) -> str | None:
    if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
        return "Must be a name and a value, both strings."
    name, value = pair
    if not TOKEN.fullmatch(name):
        return "The name must be a token: letters, digits and !#$%&'*+-.^_`|~."
    if name.lower() in _FRAMING_HEADERS:
        return "This header belongs to the connection and is set by the agent."
    if _BAD_IN_VALUE.search(value):
        return "The value must not hold line breaks or NUL."
    if any(ord(character) > 255 for character in value):
        return "The value must be Latin-1."
    return None


def _base64(text: str) -> None:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValidationError(f"Not base64: {error}.") from error


def _encodable(text: str) -> None:
    if not is_unicode(text):
        raise ValidationError("Must not hold lone surrogates.")


class RequestSchema(Schema):
    """The configured request."""

    url = Url(
        required=True,
        error_messages={"required": "Is missing."},
        metadata={"format": "uri", "description": "http or https"},
    )
    method = Method(load_default="GET")
    headers = Headers(load_default=list)
    body = fields.String(load_default=None, allow_none=True, validate=_encodable)
    body_base64 = fields.String(
        load_default=None, allow_none=True, validate=_base64, metadata={"pattern": _BASE64, "contentEncoding": "base64"}
    )
    timeout = StrictFloat(
        load_default=defaults.DEFAULT_TIMEOUT_SECONDS,
        validate=validate.Range(0, limits.MAX_TIMEOUT_SECONDS, min_inclusive=False),
        metadata={"exclusiveMinimum": 0, "description": "seconds for waiting, transfer and retries together"},
    )
    follow_redirects = StrictBoolean(load_default=False)
    max_redirects = fields.Integer(
        strict=True, load_default=defaults.DEFAULT_MAX_REDIRECTS, validate=validate.Range(0, 100)
    )
    verify_tls = StrictBoolean(load_default=True)
    http_version = fields.String(
        load_default=str(HttpVersion.AUTO), validate=validate.OneOf([str(version) for version in HttpVersion])
    )
    max_body_bytes = fields.Integer(
        strict=True,
        load_default=defaults.DEFAULT_MAX_BODY_BYTES,
        validate=validate.Range(0, limits.MAX_BODY_BYTES),
        metadata={"description": "of the decoded response body; what is over it is cut"},
    )
    retries = fields.Integer(
        strict=True,
        load_default=0,
        validate=validate.Range(0, defaults.MAX_RETRIES),
        metadata={"description": "further attempts, each at another exit, while no answer came and time is left"},
    )

    @validates_schema
    def _check_together(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("body") is not None and data.get("body_base64") is not None:
            raise ValidationError("Only one of body and body_base64 may be given.", "body_base64")
        if data.get("http_version") == HttpVersion.HTTP_3 and data["url"].lower().startswith("http:"):
            raise ValidationError("HTTP/3 needs an https URL.", "http_version")
        if data["retries"] and not defaults.is_repeatable(data["method"], (name for name, _ in data["headers"])):
            raise ValidationError(_NOT_REPEATABLE, "retries")


class OverridesSchema(RequestSchema):
    """What one execution may have other than the configured request: any of its fields. For the document alone."""

    url = Url(metadata={"format": "uri", "description": "http or https"})


def _nothing() -> None:
    """Stand for what was not given; a plain None would be described as a default, which it may not be."""


_COUNT = fields.Integer(
    strict=True,
    load_default=_nothing,
    validate=validate.Range(1, MAX_BATCH),
    metadata={"description": "execute it so many times; the answer is a line each, then a summary"},
)
_CONCURRENCY = fields.Integer(
    strict=True,
    load_default=_nothing,
    validate=validate.Range(1, MAX_BATCH),
    metadata={"description": "executions of the batch at once; unsaid, as many as the agents take"},
)
_AS_MANY = validate.Length(min=1, max=MAX_BATCH)
_REQUESTS = {"description": "instead of a count: what each execution has other than the rest of this body"}


class BatchSchema(Schema):
    """The members of an execution's body that make a batch of it."""

    count = _COUNT
    concurrency = _CONCURRENCY
    requests = fields.List(fields.Dict(keys=fields.String()), load_default=_nothing, validate=_AS_MANY)

    @validates_schema
    def _check_together(self, data: dict[str, Any], **_: Any) -> None:
        if data["count"] is not None and data["requests"] is not None:
            raise ValidationError("Only one of count and requests may be given.", "requests")
        if data["count"] is None and data["requests"] is None:
            raise ValidationError("Needs count or requests beside it.", "concurrency")


BATCH_FIELDS = frozenset(("count", "concurrency", "requests"))


class ExecuteSchema(OverridesSchema):
    """One execution with other fields than the configured request's, or a batch of them. For the document alone."""

    count = _COUNT
    concurrency = _CONCURRENCY
    requests = fields.List(fields.Nested(OverridesSchema), validate=_AS_MANY, metadata=_REQUESTS)


class RegisterSchema(Schema):
    """What an agent says of itself when it registers."""

    agent_id = fields.String(
        load_default=None,
        allow_none=True,
        validate=matching(AGENT_ID, "Must match [A-Za-z0-9][A-Za-z0-9._-]*, 64 at most, and not be `register`."),
        metadata={"pattern": f"^{AGENT_ID.pattern}$"},
    )
    hostname = fields.String(load_default="", validate=[validate.Length(max=255), _encodable])
    version = fields.String(load_default="", validate=[validate.Length(max=64), _encodable])
    addresses = fields.List(
        AddressField(), load_default=list, validate=validate.Length(max=limits.MAX_ADDRESSES_PER_MESSAGE)
    )
    key = fields.String(
        load_default=None,
        allow_none=True,
        validate=matching(AGENT_KEY, "Must be 32 to 128 letters, digits, _ and -."),
        metadata={"pattern": f"^{AGENT_KEY.pattern}$", "description": "proves that the id is this agent's own"},
    )


class Timestamp(fields.Field[int]):
    """A point in time, RFC 3339 with its offset; loaded as milliseconds since 1970."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        text = str(value)
        # An offset's plus sign arrives as a space where the client did not escape it.
        if re.search(r"\d \d\d:\d\d$", text):
            text = "+".join(text.rsplit(" ", 1))
        parts = _RFC3339.fullmatch(text)
        if parts is None:
            raise ValidationError(_NO_TIMESTAMP)
        if parts[2] is None:
            raise ValidationError("Must say its offset, such as Z.")
        try:
            moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise ValidationError(_NO_TIMESTAMP) from error
        return round(moment.timestamp() * 1000)


class HistoryQuerySchema(Schema):
    """The query of a page of history."""

    limit = WholeField(load_default=HISTORY_PAGE_DEFAULT, validate=validate.Range(1, HISTORY_PAGE_MAX))
    cursor = fields.String(
        load_default=_nothing,
        validate=matching(cursors.PATTERN, cursors.NO_CURSOR),
        metadata={"description": "`next` of the page before", "pattern": f"^{cursors.PATTERN.pattern}$"},
    )
    agent_id = fields.String(load_default=_nothing, validate=validate.Length(1, 64))
    source_ip = AddressField(load_default=_nothing)
    outcome = fields.String(load_default=_nothing, validate=validate.OneOf([str(outcome) for outcome in Outcome]))
    status = WholeField(load_default=_nothing, validate=validate.Range(100, 999))
    error = fields.String(load_default=_nothing, validate=validate.OneOf([str(kind) for kind in FailureKind]))
    since = Timestamp(load_default=_nothing, metadata={"format": "date-time", "description": "finished then or later"})
    until = Timestamp(load_default=_nothing, metadata={"format": "date-time", "description": "finished before then"})
