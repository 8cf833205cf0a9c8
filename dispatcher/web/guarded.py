"""What every handler does first: is the browser's page welcome, who asks, and may they? Before step 1 of a request.

On the event loop. The body is not read before all of that has been answered.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

from dispatcher.auth.gate import Identity, NoTokenError, WrongTokenError
from dispatcher.auth.roles import Permission, Role, least_for
from dispatcher.record import dump
from dispatcher.web import problems
from dispatcher.web.problems import Problem

if TYPE_CHECKING:
    from types import TracebackType

    from dispatcher.web.services import Services

logger = logging.getLogger(__name__)

_REALM = 'Bearer realm="http-dispatcher"'


class GuardedHandler(RequestHandler):
    """A handler that lets nobody in who may not do what was asked."""

    services: Services
    identity: Identity | None = None
    """Who asks, once that is known; None before, and where anybody may ask."""

    def needs(self) -> Permission | None:
        """Say what this request needs; None where anybody may ask."""
        return Permission.MANAGE

    def verbs(self) -> str:
        """The methods of this path, as `Allow` writes them."""
        return "GET"

    def admit(self) -> bool:
        """Let the request in; False where it has been answered already.

        Raises:
            Problem: 421, 403 or 401: it is not let in.
        """
        origins = self.services.origins
        self._let_read()
        origins.check(self.request)
        if origins.is_preflight(self.request):
            self.set_status(204)
            self.set_header("Connection", "close")
            for name, value in origins.preflight_headers(self.verbs()).items():
                self.set_header(name, value)
            self.finish()
            return False
        needed = self.needs()
        if needed is not None:
            self.identity = self._identify()
            if not self.identity.role.may(needed):
                raise _too_small(self.identity.role, needed)
            self.services.gate.enter(self.identity, self)
        return True

    @property
    def is_admin(self) -> bool:
        """Whether secrets may be shown."""
        return self.identity is not None and self.identity.role is Role.ADMIN

    def end_access(self) -> None:
        """End what is under way: the token was revoked. The gate calls this."""
        stream = self.request.connection.stream  # type: ignore[union-attr]  # every connection of ours has one
        stream.close()

    def on_finish(self) -> None:
        """Leave. Tornado calls this when the answer was given; a WebSocket then only begins."""
        if self.get_status() != 101:
            self.leave()

    def on_connection_close(self) -> None:
        """Leave. Tornado calls this when the caller went away."""
        self.leave()
        super().on_connection_close()

    def leave(self) -> None:
        """Be under way no longer."""
        if self.identity is not None:
            self.services.gate.leave(self.identity, self)

    def set_default_headers(self) -> None:
        """Say what holds for every answer: it is of this moment."""
        self.set_header("Cache-Control", "no-store")
        self.set_header("Server", "http-dispatcher")

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Answer with a problem's own status; who went away gets none. Tornado calls this."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, StreamClosedError):
            return
        super().send_error(error.status if isinstance(error, Problem) else status_code, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with a problem where one was raised. Tornado calls this."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if not isinstance(error, Problem):
            super().write_error(status_code, **kwargs)
            return
        self.write_problem(error)
        self.finish()

    def write_problem(self, problem: Problem) -> None:
        """Make a problem the answer."""
        self._let_read()
        self.set_status(problem.status)
        for name, value in problem.headers.items():
            self.set_header(name, value)
        self.set_header("Content-Type", problems.CONTENT_TYPE)
        self.write(dump(problem.content))

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log what nobody foresaw; a problem is an answer like any other, and a caller may go away."""
        if not isinstance(value, (Problem, HTTPError, StreamClosedError)):
            logger.error(
                "%s %s failed",
                self.request.method,
                self.request.path,
                exc_info=(typ, value, tb),  # type: ignore[arg-type]  # Tornado passes a whole triple
            )

    def _identify(self) -> Identity:
        try:
            return self.services.gate.identify(self.request.headers.get("Authorization"))
        except NoTokenError as error:
            self.services.gate.refused(str(self.request.remote_ip))
            detail = "this coordinator asks for a token: send it as `Authorization: Bearer TOKEN`"
            raise Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": _REALM}) from error
        except WrongTokenError as error:
            self.services.gate.refused(str(self.request.remote_ip))
            detail = "the token is not valid here: it is mistyped, was revoked, or belongs to another coordinator"
            challenge = f'{_REALM}, error="invalid_token"'
            raise Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": challenge}) from error

    def _let_read(self) -> None:
        """Let a page of an allowed origin read the answer. Not among the default headers: those come before us."""
        for name, value in self.services.origins.answer_headers(self.request).items():
            self.set_header(name, value)


def _too_small(role: Role, needed: Permission) -> Problem:
    wanted = least_for(needed)
    detail = f"a token of the kind {role} may not do this: it needs one of the kind {wanted}"
    challenge = f'{_REALM}, error="insufficient_scope", scope="{wanted}"'
    return Problem(403, "role_too_small", detail, headers={"WWW-Authenticate": challenge})
