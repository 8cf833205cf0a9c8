"""What the REST API answers with: schemas of the output. They dump what is small and describe the rest.

The record and long lists are written by code that is faster than a schema; tests hold that code to these.
"""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from dispatcher.actors.messages import AgentState, ExitState, Outcome
from dispatcher.errors import FailureKind, Party
from dispatcher.web.schemas import RequestSchema
from dispatcher.wire.messages import AddressState
from dispatcher.wire.phases import PHASES

TIMESTAMP = {"format": "date-time"}


def _one_of(options: object) -> validate.OneOf:
    return validate.OneOf([str(option) for option in options])  # type: ignore[attr-defined]  # an enumeration


def _timestamp(*, nullable: bool = False) -> fields.String:
    return fields.String(required=True, allow_none=nullable, metadata=TIMESTAMP)


def _pairs() -> fields.List[Any]:
    return fields.List(fields.List(fields.String(), validate=validate.Length(equal=2)), required=True)


def _counts() -> fields.Dict:
    return fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)


class AddressSchema(Schema):
    """One address of an agent."""

    address = fields.String(required=True)
    state = fields.String(required=True, validate=_one_of(AddressState))
    reason = fields.String()


class AgentSchema(Schema):
    """One agent."""

    agent_id = fields.String(required=True)
    hostname = fields.String(required=True)
    version = fields.String(required=True)
    state = fields.String(required=True, validate=_one_of(AgentState))
    connected_at = _timestamp(nullable=True)
    last_seen_at = _timestamp(nullable=True)
    addresses = fields.List(fields.Nested(AddressSchema), required=True)
    in_flight = fields.Integer(required=True)
    completed = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    unknown = fields.Integer(required=True)  # type: ignore[assignment]  # a field, not the schema's attribute


class AgentsSchema(Schema):
    """All known agents."""

    agents = fields.List(fields.Nested(AgentSchema), required=True)


class RegisteredSchema(Schema):
    """A registered agent, and where it opens its link with its session."""

    agent_id = fields.String(required=True)
    session = fields.String(required=True)
    websocket_url = fields.String(required=True, metadata={"format": "uri"})


class ConfigurationSchema(RequestSchema):
    """The stored configuration."""

    revision = fields.Integer(required=True)


class RecordRequestSchema(Schema):
    """What was sent, without its secrets."""

    method = fields.String(required=True)
    url = fields.String(required=True)
    headers = _pairs()


class BodySchema(Schema):
    """A response's body: as text where it is UTF-8, else as base64."""

    encoding = fields.String(required=True, validate=validate.OneOf(["utf-8", "base64"]))
    data = fields.String(required=True)
    size = fields.Integer(required=True, metadata={"description": "decoded bytes received"})
    truncated = fields.Boolean(required=True)


class ResponseSchema(Schema):
    """What the target answered."""

    status = fields.Integer(required=True)
    reason = fields.String(required=True)
    http_version = fields.String(required=True)
    remote_ip = fields.String(required=True)
    headers = _pairs()
    body = fields.Nested(BodySchema, required=True)


class ErrorSchema(Schema):
    """Why no answer came."""

    kind = fields.String(required=True, validate=_one_of(FailureKind))
    detail = fields.String(required=True)
    attributed_to = fields.String(required=True, validate=_one_of(Party))


TimingsSchema = Schema.from_dict({phase: fields.Float(required=True) for phase in PHASES}, name="Timings")


class AttemptSchema(Schema):
    """One attempt of an execution that asked for retries."""

    agent_id = fields.String(required=True, allow_none=True)
    source_ip = fields.String(required=True, allow_none=True)
    outcome = fields.String(required=True, validate=_one_of(Outcome))
    timings = fields.Nested(TimingsSchema, required=True, metadata={"description": "milliseconds"})
    error = fields.Nested(ErrorSchema, required=True, allow_none=True)
    started_at = _timestamp()


class RecordSchema(Schema):
    """One finished execution. What one exit did is what the last one did."""

    id = fields.String(required=True)
    outcome = fields.String(required=True, validate=_one_of(Outcome))
    agent_id = fields.String(required=True, allow_none=True)
    source_ip = fields.String(required=True, allow_none=True)
    request = fields.Nested(RecordRequestSchema, required=True)
    response = fields.Nested(ResponseSchema, required=True, allow_none=True)
    timings = fields.Nested(TimingsSchema, required=True, metadata={"description": "milliseconds"})
    error = fields.Nested(ErrorSchema, required=True, allow_none=True)
    started_at = _timestamp()
    finished_at = _timestamp()
    attempts = fields.List(fields.Nested(AttemptSchema), metadata={"description": "where retries were asked for"})


class NumberedRecordSchema(RecordSchema):
    """A line of a batch's answer: one finished execution, and its place in the batch."""

    sequence = fields.Integer(required=True, metadata={"description": "from 1, in the order of the leases"})
    unrecorded = fields.String(metadata={"description": "why this record is not in the history, where it is not"})


class SummarySchema(Schema):
    """How the executions of a batch ended."""

    count = fields.Integer(required=True, metadata={"description": "as many as were asked for"})
    completed = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    unknown = fields.Integer(required=True)  # type: ignore[assignment]  # a field, not the schema's attribute
    seconds = fields.Float(required=True)
    by_status = _counts()
    by_error = _counts()
    stopped = fields.String(
        required=True, allow_none=True, metadata={"description": "why the rest was never begun; null where all was"}
    )


class BatchEndSchema(Schema):
    """The last line of a batch's answer."""

    summary = fields.Nested(SummarySchema, required=True)


class HistorySchema(Schema):
    """A page of history, newest first."""

    items = fields.List(fields.Nested(RecordSchema), required=True)
    next = fields.String(required=True, allow_none=True)


class NextExitSchema(Schema):
    """The exit that the next lease takes."""

    agent_id = fields.String(required=True)
    address = fields.String(required=True)


class ExitSchema(Schema):
    """One exit of the pool."""

    agent_id = fields.String(required=True)
    address = fields.String(required=True)
    state = fields.String(required=True, validate=_one_of(ExitState))
    reason = fields.String()
    in_flight = fields.Integer(required=True)
    leased = fields.Integer(required=True)
    completed = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    unknown = fields.Integer(required=True)  # type: ignore[assignment]  # a field, not the schema's attribute
    last_used_at = _timestamp(nullable=True)


class PoolSchema(Schema):
    """The pool in rotation order."""

    size = fields.Integer(required=True)
    available = fields.Integer(required=True)
    next = fields.Nested(NextExitSchema, required=True, allow_none=True)
    exits = fields.List(fields.Nested(ExitSchema), required=True)


class PoolCountSchema(Schema):
    """How many exits there are, and how many a lease may take now."""

    size = fields.Integer(required=True)
    available = fields.Integer(required=True)


# From a dictionary, because a schema's own attribute `unknown` means something else to a type checker.
ExecutionCountSchema = Schema.from_dict(
    {name: fields.Integer(required=True) for name in ("total", *map(str, Outcome), "in_flight", "queued")},
    name="ExecutionCount",
)


class LatencySchema(Schema):
    """Milliseconds of the executions that were answered; null before the first."""

    p50 = fields.Float(required=True, allow_none=True)
    p90 = fields.Float(required=True, allow_none=True)
    p99 = fields.Float(required=True, allow_none=True)
    max = fields.Float(required=True, allow_none=True)


AgentCountSchema = Schema.from_dict(
    {str(state): fields.Integer(required=True) for state in AgentState}, name="AgentCount"
)


class StatsSchema(Schema):
    """The coordinator in numbers."""

    uptime_seconds = fields.Float(required=True)
    version = fields.String(required=True)
    agents = fields.Nested(AgentCountSchema, required=True)
    pool = fields.Nested(PoolCountSchema, required=True)
    executions = fields.Nested(ExecutionCountSchema, required=True)
    by_status = _counts()
    by_error = _counts()
    latency_ms = fields.Nested(LatencySchema, required=True)
    rate_per_second = fields.Float(required=True, metadata={"description": "executions ended, over the last minute"})


class FieldErrorSchema(Schema):
    """What is wrong with one field; `pointer` is a JSON pointer (RFC 6901)."""

    pointer = fields.String(required=True)
    detail = fields.String(required=True)


class ProblemSchema(Schema):
    """An error (RFC 9457)."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    errors = fields.List(fields.Nested(FieldErrorSchema), metadata={"description": "with 422"})
    execution = fields.Nested(RecordSchema, metadata={"description": "the record, where something was executed"})


class HealthSchema(Schema):
    """That all is well."""

    status = fields.String(required=True)


class DocumentSchema(Schema):
    """An OpenAPI 3.1 document."""

    openapi = fields.String(required=True)
    info = fields.Dict(required=True)
    paths = fields.Dict(required=True)
    components = fields.Dict(required=True)
