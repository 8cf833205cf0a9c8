"""`/api/config/request`: the request that every execution sends. Stands before a request's way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dispatcher.actors.loop_actor import ask
from dispatcher.actors.messages import StoreRequest
from dispatcher.auth.roles import Permission
from dispatcher.record import dump
from dispatcher.web.base import BaseHandler
from dispatcher.web.configured import SCHEMA, to_spec
from dispatcher.web.operations import Operation
from dispatcher.web.problems import Problem
from dispatcher.web.representations import ConfigurationSchema
from dispatcher.web.schemas import RequestSchema
from dispatcher.web.store_faults import store_faults_told

if TYPE_CHECKING:
    from dispatcher.actors.messages import StoredRequest


class ConfigHandler(BaseHandler):
    """`GET` and `POST /api/config/request`."""

    operations = {
        "GET": Operation(
            "Read the configured request", {200: ConfigurationSchema}, problems=(404,), needs=Permission.READ
        ),
        "POST": Operation(
            "Replace the configured request",
            {200: ConfigurationSchema},
            body=RequestSchema,
            problems=(400, 403, 413, 415, 422, 503),
            needs=Permission.MANAGE,
        ),
    }

    async def get(self) -> None:
        """Return what is configured; its secrets to an admin only."""
        stored = self.services.configured.stored
        if stored is None:
            raise Problem(404, "not_configured", "no request is configured: POST one to this path")
        shown = _as_json(stored)
        self.write_json(shown if self.is_admin else self.services.redactor.configuration(shown))

    async def post(self) -> None:
        """Check, store, and return what is now configured."""
        request = await self.apart(lambda: self.load(SCHEMA, self.json_body()))
        with store_faults_told("the configuration"):
            stored = await ask(self.services.config, StoreRequest(request))
        self.services.configured.replace(stored, await self.apart(lambda: to_spec(stored.request)))
        self.write_json(await self.apart(lambda: dump(_as_json(stored))))


def _as_json(stored: StoredRequest) -> dict[str, Any]:
    return {**stored.request, "revision": stored.revision}
