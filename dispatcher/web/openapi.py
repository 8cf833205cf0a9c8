"""`/api/openapi.json`: the REST API described by the schemas that validate it, made from the route table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import fields

from dispatcher.auth.roles import Permission, Role
from dispatcher.checks import TOKEN, AddressField
from dispatcher.web import problems
from dispatcher.web.base import BaseHandler
from dispatcher.web.operations import LINES, Operation, with_head
from dispatcher.web.representations import DocumentSchema, ProblemSchema
from dispatcher.web.schemas import Headers, Method, Timestamp, Url
from dispatcher.wire import limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    import marshmallow

_PATTERNS = re.compile(r"\(\?P<(\w+)>[^)]*\)")

PROBLEM_MEANINGS = {
    400: "malformed",
    401: "no token was sent, or one that is not valid here",
    403: "the token may not do this, a page of another site asks, or the target is blocked",
    404: "not found",
    409: "nothing is configured, or the id or the key is in use",
    413: "the body is too large",
    415: "the body is not JSON",
    421: "asked under a name that is not the coordinator's",
    422: "not valid",
    500: "the coordinator failed",
    502: "the execution failed",
    503: "not now; Retry-After says when",
    504: "the execution took too long",
}


class OpenApiHandler(BaseHandler):
    """`GET /api/openapi.json`."""

    operations = {"GET": Operation("Describe this API", {200: DocumentSchema}, needs=Permission.READ)}

    def get(self) -> None:
        """Answer with the document."""
        self.write_json(self.services.openapi)


MONITOR_PATH = "/ws/monitor"
_MONITOR = Operation(
    "Follow the pool over a WebSocket: a snapshot, then what changed, as JSON", {101: None}, needs=Permission.READ
)
_TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "one of the coordinator's tokens; what it may do is a matter of its kind",
}


def describe(
    routes: Iterable[tuple[str, type[BaseHandler]]], version: str, *, is_token_required: bool = True
) -> dict[str, Any]:
    """Make the OpenAPI 3.1 document of `routes`, which are path patterns with the handlers that serve them."""
    plugin = MarshmallowPlugin(schema_name_resolver=_schema_name)
    spec = APISpec(title="HTTP Dispatcher", version=version, openapi_version="3.1.0", plugins=[plugin])
    assert plugin.converter is not None
    plugin.converter.add_attribute_function(_own_fields)  # type: ignore[no-untyped-call]  # apispec leaves it untyped
    spec.components.security_scheme("token", _TOKEN)
    security: list[dict[str, list[str]]] = [{"token": []}] if is_token_required else [{"token": []}, {}]
    for pattern, handler in routes:
        operations = {
            verb.lower(): _operation(operation, security) for verb, operation in with_head(handler.operations).items()
        }
        spec.path(path=_PATTERNS.sub(r"{\1}", pattern), operations=operations)
    spec.path(path=MONITOR_PATH, operations={"get": _operation(_MONITOR, security)})
    return spec.to_dict()


def _schema_name(schema: Any) -> str:
    name = schema.__name__ if isinstance(schema, type) else type(schema).__name__
    return name.removesuffix("Schema")


_NAME = {"type": "string", "pattern": f"^{TOKEN.pattern}$"}
_VALUE = {"type": "string", "pattern": "^[\\u0001-\\t\\u000b\\u000c\\u000e-\\u00ff]*$"}
_PAIR = {"type": "array", "items": _VALUE, "minItems": 2, "maxItems": 2}
_HEADERS = {
    "anyOf": [
        {"type": "object", "propertyNames": _NAME, "additionalProperties": _VALUE, "maxProperties": limits.MAX_HEADERS},
        {"type": "array", "items": _PAIR, "maxItems": limits.MAX_HEADERS},
    ]
}


def _own_fields(_converter: Any, field: marshmallow.fields.Field[Any], **_: Any) -> dict[str, Any]:
    match field:
        case Headers():
            return _HEADERS
        case Method():
            return {"pattern": f"^{TOKEN.pattern}$", "maxLength": limits.MAX_METHOD_CHARS}
        case Url():
            return {"maxLength": limits.MAX_URL_CHARS}
        case AddressField():
            return {"format": "ipv6"}
        case Timestamp():
            return {"type": "string"}
        case fields.Dict() if field.value_field is None:
            return {"type": "object"}
    return {}


def _operation(operation: Operation, security: list[dict[str, list[str]]]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "responses": _responses(operation),
        "security": security if operation.needs is not None else [],
    }
    if operation.needs is not None:
        kinds = [role for role in Role if role.may(operation.needs)]
        described["description"] = f"For tokens of the kind {' or '.join(kinds)}."
    parameters: list[dict[str, Any]] = [
        {"in": "path", "name": name, "description": meaning, "required": True, "schema": {"type": "string"}}
        for name, meaning in operation.path_parameters.items()
    ]
    parameters += [
        {"in": "header", "name": name, **described_so} for name, described_so in operation.header_parameters.items()
    ]
    if operation.query is not None:
        parameters.append({"in": "query", "schema": operation.query})
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.body_is_required,
            "content": {"application/json": {"schema": operation.body}},
        }
    return described


def _responses(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, schema in operation.responses.items():
        found[str(status)] = {"description": "the WebSocket is open" if status == 101 else "done"}
        if schema is not None:
            found[str(status)]["content"] = {"application/json": {"schema": schema}}
        elif status == 200 and operation.media_type:
            found[str(status)]["content"] = {operation.media_type: {}}
        if status == 200 and operation.lines:
            found[str(status)]["content"][LINES] = {"schema": {"anyOf": list(operation.lines)}}
    for status in sorted({*operation.problems, *_refusals(operation)}):
        found[str(status)] = {
            "description": PROBLEM_MEANINGS[status],
            "content": {problems.CONTENT_TYPE: {"schema": ProblemSchema}},
        }
    if not operation.has_content:
        found = {status: {"description": each["description"]} for status, each in found.items()}
    return found


def _refusals(operation: Operation) -> tuple[int, ...]:
    """Return what every operation may answer before it begins; see `guarded.py`."""
    return (403, 421) if operation.needs is None else (401, 403, 421)
