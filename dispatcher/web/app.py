"""The route table: every path of the coordinator and who serves it. Step 1 of a request's way enters here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado.routing import URLSpec
from tornado.web import Application

from dispatcher.web import execute, openapi
from dispatcher.web.agent_socket import AgentSocket
from dispatcher.web.agents import SOCKET_PATH, AgentHandler, AgentsHandler, RegisterHandler
from dispatcher.web.base import BaseHandler, NotFoundHandler
from dispatcher.web.config import ConfigHandler
from dispatcher.web.health import LiveHandler, ReadyHandler
from dispatcher.web.history import HistoryHandler, HistoryRecordHandler
from dispatcher.web.metrics import MetricsHandler
from dispatcher.web.monitor_socket import MonitorSocket
from dispatcher.web.openapi import MONITOR_PATH, OpenApiHandler
from dispatcher.web.pool import PoolHandler
from dispatcher.web.program import ProgramHandler
from dispatcher.web.stats import StatsHandler
from dispatcher.wire import limits

if TYPE_CHECKING:
    from dispatcher.web.services import Services

REST_ROUTES: tuple[tuple[str, type[BaseHandler]], ...] = (
    ("/api/agents/register", RegisterHandler),
    ("/api/agents", AgentsHandler),
    (r"/api/agents/(?P<agent_id>[^/]+)", AgentHandler),
    ("/api/config/request", ConfigHandler),
    (execute.PATH, execute.ExecuteHandler),
    ("/api/pool/status", PoolHandler),
    ("/api/stats", StatsHandler),
    ("/api/history", HistoryHandler),
    (r"/api/history/(?P<id>[^/]+)", HistoryRecordHandler),
    ("/api/openapi.json", OpenApiHandler),
    ("/livez", LiveHandler),
    ("/readyz", ReadyHandler),
    ("/metrics", MetricsHandler),
    ("/dispatcher.pyz", ProgramHandler),
)

SOCKET_ROUTES = ((SOCKET_PATH, AgentSocket), (MONITOR_PATH, MonitorSocket))


def make_app(services: Services) -> Application:
    """Make the application that serves `services`."""
    services.openapi = openapi.describe(
        REST_ROUTES, services.version, is_token_required=services.gate.is_token_required
    )
    arguments = {"services": services}
    return Application(
        [URLSpec(pattern, handler, arguments) for pattern, handler in (*REST_ROUTES, *SOCKET_ROUTES)],
        default_handler_class=NotFoundHandler,
        default_handler_args=arguments,
        trusted_origins=services.origins.allowed,
        log_function=_log_nothing,
        websocket_ping_interval=services.ping_interval,
        websocket_ping_timeout=services.ping_timeout,
        websocket_max_message_size=limits.MAX_FRAME_BYTES,
    )


def _log_nothing(_handler: object) -> None:
    """Leave requests out of the log: history has every execution, and a poll a second would hide the rest."""
