"""What a batch of `POST /api/execute` is to execute, checked before the first of it begins: step 1 of a request's way.

Plain functions; a list of requests is checked in a thread, because thousands of them take long. What would surprise:
requests that have the configured body share its bytes, so that a list of many is no larger in memory than it was sent.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from marshmallow import ValidationError

from dispatcher.web import problems
from dispatcher.web.configured import BODY_FIELDS, SCHEMA, to_spec
from dispatcher.web.problems import Problem
from dispatcher.web.schemas import BATCH_FIELDS, BatchSchema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dispatcher.request import RequestSpec
    from dispatcher.web.base import BaseHandler

_SCHEMA = BatchSchema()

_ANY_URL = "https://url.invalid/"
"""Stands for the URLs of the list while what all of its requests have in common is checked."""


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """`count` executions of `requests`, `concurrency` at a time; None is as many as the agents take."""

    requests: Iterable[RequestSpec]
    count: int
    concurrency: int | None


def is_batch(content: Mapping[str, Any]) -> bool:
    """Say whether a body asks for a batch."""
    return not BATCH_FIELDS.isdisjoint(content)


async def read(handler: BaseHandler, content: Mapping[str, Any]) -> Asked:
    """Check a body that asks for a batch.

    Raises:
        Problem: 409 where a URL is missing and none is configured, 422 with every field that is wrong.
    """
    asked = handler.load(_SCHEMA, {name: content[name] for name in BATCH_FIELDS & content.keys()})
    common = {name: value for name, value in content.items() if name not in BATCH_FIELDS}
    stored = handler.services.configured.body_size
    listed = asked["requests"]
    if listed is None:
        spec = await handler.apart(lambda: _one(handler, common), stored=stored)
        return Asked(itertools.repeat(spec), asked["count"], asked["concurrency"])
    # Merged here: the configuration may be replaced while the thread works.
    base = handler.services.configured.merged(common)
    specs = await asyncio.to_thread(_many, handler, base, listed)
    return Asked(specs, len(specs), asked["concurrency"])


def not_configured() -> Problem:
    """Make the answer where nothing is configured and no URL is given."""
    return Problem(409, "not_configured", "no request is configured: POST one to /api/config/request first")


def _one(handler: BaseHandler, common: Mapping[str, Any]) -> RequestSpec:
    merged = handler.services.configured.merged(common)
    if "url" not in merged:
        raise not_configured()
    return to_spec(handler.load(SCHEMA, merged))


def _many(handler: BaseHandler, base: Mapping[str, Any], listed: list[dict[str, Any]]) -> list[RequestSpec]:
    common = to_spec(handler.load(SCHEMA, {"url": _ANY_URL, **base}))
    without_body = {**base, **dict.fromkeys(BODY_FIELDS)}
    faults: dict[int, Any] = {}
    specs = []
    for place, overrides in enumerate(listed):
        merged = {**without_body, **overrides}
        if "url" not in merged:
            raise not_configured()
        try:
            spec = to_spec(SCHEMA.load(merged))
        except ValidationError as error:
            faults[place] = error.messages
            continue
        specs.append(dataclasses.replace(spec, body=common.body) if _keeps_body(base, overrides) else spec)
    if faults:
        raise problems.invalid({"requests": faults})
    return specs


def _keeps_body(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> bool:
    """Say whether the body is that of `base`: not replaced by another one, and not taken away by a null."""
    given = [name for name in BODY_FIELDS if base.get(name) is not None]
    is_replaced = any(overrides.get(name) is not None for name in BODY_FIELDS)
    return not is_replaced and any(name not in overrides for name in given)
