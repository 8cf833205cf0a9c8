"""What a batch of `POST /api/execute` is to execute, checked before the first of it begins: step 1 of a request's way.

A list of requests is checked in a thread, because thousands of them take long, and a longer one in slices, as
`long_list.py` says. What would surprise: requests that have the configured body share its bytes, so that a list of many
is no larger in memory than it was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from marshmallow import ValidationError

from dispatcher.web import long_list, problems
from dispatcher.web.configured import BODY_FIELDS, SCHEMA, to_spec
from dispatcher.web.problems import Problem
from dispatcher.web.schemas import BATCH_FIELDS, BatchSchema, Url
from dispatcher.wire.messages import HttpVersion

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dispatcher.request import RequestSpec
    from dispatcher.web.base import BaseHandler

_SCHEMA = BatchSchema()

_ANY_URL = "https://url.invalid/"
"""Stands for the URLs of the list while what all of its requests have in common is checked."""

MOST_FAULTS = 100
"""How many wrong requests of a long list are named; more would be an answer as long as the list."""

_URL = Url()


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


async def read_long(handler: BaseHandler, text: str) -> Asked:
    """Check a body with a list that is too long for `read`, in slices; its requests are read again as they begin.

    Not all of it where the caller goes away meanwhile.

    Raises:
        Problem: as of `read`, and 422 for what has too many values but no list; 422 names the first faults only.
    """
    listed = await long_list.read(text)
    members = BATCH_FIELDS & listed.rest.keys()
    asked = handler.load(_SCHEMA, {**{name: listed.rest[name] for name in members}, "requests": [{}]})
    common = {name: value for name, value in listed.rest.items() if name not in BATCH_FIELDS}
    merging = _Merging(handler, handler.services.configured.merged(common))
    faults: dict[int, Any] = {}
    pace = long_list.Pace()
    for place, overrides in enumerate(listed):
        merging.check(place, overrides, faults)
        if len(faults) == MOST_FAULTS or handler.is_gone:
            break
        await pace.rest()
    if faults:
        raise problems.invalid({"requests": faults})
    return Asked(map(merging.spec, listed), len(listed), asked["concurrency"])


def _many(handler: BaseHandler, base: Mapping[str, Any], listed: list[dict[str, Any]]) -> list[RequestSpec]:
    merging = _Merging(handler, base)
    faults: dict[int, Any] = {}
    specs = [merging.check(place, overrides, faults) for place, overrides in enumerate(listed)]
    if faults:
        raise problems.invalid({"requests": faults})
    return [spec for spec in specs if spec is not None]


class _Merging:
    """Makes requests of what each has other than `base`."""

    def __init__(self, handler: BaseHandler, base: Mapping[str, Any]) -> None:
        """Check `base`; raises `Problem`, 422."""
        self._common = to_spec(handler.load(SCHEMA, {"url": _ANY_URL, **base}))
        self._base = base
        self._without_body = {**base, **dict.fromkeys(BODY_FIELDS)}
        self._last: tuple[str, RequestSpec] | None = None

    def check(self, place: int, overrides: Any, faults: dict[int, Any]) -> RequestSpec | None:
        """Return the request, or put what is wrong with it among the faults; raises `Problem`, 409, without a URL."""
        if not isinstance(overrides, dict):
            faults[place] = ["Not a valid mapping type."]
            return None
        if "url" not in overrides and "url" not in self._base:
            raise not_configured()
        try:
            return self.spec(overrides)
        except ValidationError as error:
            faults[place] = error.messages
            return None

    def spec(self, overrides: Mapping[str, Any]) -> RequestSpec:
        """Return the request; raises `ValidationError`. Where only the URL differs from the last, that is checked."""
        # As text, because to Python 1 and true are the same.
        rest = repr([each for each in overrides.items() if each[0] != "url"])
        if self._last is not None and self._last[0] == rest:
            url = overrides.get("url", self._base.get("url"))
            with contextlib.suppress(ValidationError):
                return dataclasses.replace(self._last[1], url=_URL.deserialize(url))
        spec = to_spec(SCHEMA.load({**self._without_body, **overrides}))
        if _keeps_body(self._base, overrides):
            spec = dataclasses.replace(spec, body=self._common.body)
        # HTTP/3 and a URL without TLS do not go together; and a body of its own is not to be kept for others.
        is_likely = spec.http_version is not HttpVersion.HTTP_3 and not overrides.keys() & BODY_FIELDS
        self._last = (rest, spec) if is_likely else None
        return spec


def _keeps_body(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> bool:
    """Say whether the body is that of `base`: not replaced by another one, and not taken away by a null."""
    given = [name for name in BODY_FIELDS if base.get(name) is not None]
    is_replaced = any(overrides.get(name) is not None for name in BODY_FIELDS)
    return not is_replaced and any(name not in overrides for name in given)
