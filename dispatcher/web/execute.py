"""`/api/execute`, the first step of a request's way and the last: take one execution, answer with its record."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dispatcher import not_accepted
from dispatcher.auth.roles import Permission
from dispatcher.batch import Batch
from dispatcher.recorder import UnrecordedError
from dispatcher.web import batch_requests, batching, idempotent, record_writer
from dispatcher.web.base import BaseHandler
from dispatcher.web.configured import SCHEMA, to_spec
from dispatcher.web.operations import Operation
from dispatcher.web.problems import Problem
from dispatcher.web.representations import BatchEndSchema, NumberedRecordSchema, RecordSchema
from dispatcher.web.schemas import ExecuteSchema

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dispatcher.record import Record
    from dispatcher.request import RequestSpec
    from dispatcher.web.batch_requests import Asked

PATH = "/api/execute"

_PROBLEMS = (403, 409, 500, 502, 503, 504)

_NOT_ACCEPTED = {
    not_accepted.OverloadedError: "overloaded",
    not_accepted.DrainingError: "draining",
    not_accepted.StoreUnavailableError: "store_unavailable",
    not_accepted.NoExitError: "no_exit",
    not_accepted.AbandonedError: "abandoned",  # to a caller that went away; nobody reads it
}

NOT_ANSWERED = (not_accepted.NotAcceptedError, UnrecordedError)
"""What an execution raises for its caller to be told."""


class ExecuteHandler(BaseHandler):
    """`GET` and `POST /api/execute`."""

    operations = {
        "GET": Operation(
            "Execute the configured request once",
            {200: RecordSchema},
            problems=(400, *_PROBLEMS),
            is_safe=False,
            needs=Permission.EXECUTE,
        ),
        "POST": Operation(
            "Execute the configured request once, with other fields for this time, or a batch of it",
            {200: RecordSchema},
            lines=(NumberedRecordSchema, BatchEndSchema),
            body=ExecuteSchema,
            body_is_required=False,
            problems=(400, *_PROBLEMS, 413, 415, 422),
            header_parameters={idempotent.HEADER: idempotent.PARAMETER},
            needs=Permission.EXECUTE,
        ),
    }

    _ended: asyncio.Future[Record] | None = None
    _batch: Batch | None = None

    def on_connection_close(self) -> None:
        """Leave the queue, if the execution still waits in it, and begin no more of a batch.

        Tornado calls this when the caller goes away.
        """
        super().on_connection_close()
        if self._ended is not None:
            self.services.executions.abandon(self._ended)
        if self._batch is not None:
            self._batch.stop("its caller went away")

    async def get(self) -> None:
        """Execute the configured request."""
        idempotent.refuse_key(self)
        spec = self.services.configured.spec
        if spec is None:
            raise batch_requests.not_configured()
        await self._execute_and_answer(spec)

    async def post(self) -> None:
        """Execute the configured request with what the body overrides; with a key, once; or a batch of it."""
        key = idempotent.key_of(self)
        if self.is_heavy:
            text = self.json_text()
            await self._execute_batch(key, lambda: batch_requests.read_long(self, text))
            return
        overrides = await self.apart(lambda: self.json_body(if_empty={}))
        if batch_requests.is_batch(overrides):
            await self._execute_batch(key, lambda: batch_requests.read(self, overrides))
            return
        if self.services.configured.stored is None and "url" not in overrides:
            raise batch_requests.not_configured()
        stored = self.services.configured.body_size
        merged = self.services.configured.merged(overrides)
        spec = await self.apart(lambda: to_spec(self.load(SCHEMA, merged)), stored=stored)
        if key is not None and (known := await idempotent.claim(self, key, spec)) is not None:
            idempotent.replay(self, known)
        else:
            await self._execute_and_answer(spec, key)

    async def _execute_batch(self, key: str | None, read: Callable[[], Awaitable[Asked]]) -> None:
        asked = await read()
        if key is not None:
            detail = f"{idempotent.HEADER} goes with one execution, not with a batch: its records would be many"
            raise Problem(422, "idempotency_key_of_batch", detail)
        if self.is_gone:
            raise problem_of(not_accepted.AbandonedError("its caller went away while its requests were read"))
        services = self.services
        self._batch = Batch(services.executions, services.pool, asked.requests, asked.count, asked.concurrency)
        try:
            await self._batch.start()
            await batching.answer(self, self._batch)
        except not_accepted.NotAcceptedError as error:
            raise problem_of(error) from error
        finally:
            self._batch.close()

    async def _execute_and_answer(self, spec: RequestSpec, key: str | None = None) -> None:
        try:
            self._ended = self._start(spec, key)
            # Shielded: when the caller goes away, the execution still ends and is recorded.
            record = await asyncio.shield(self._ended)
        except NOT_ANSWERED as error:
            raise problem_of(error) from error
        await self._answer(record)

    def _start(self, spec: RequestSpec, key: str | None) -> asyncio.Future[Record]:
        if key is None:
            return self.services.executions.start(spec)
        try:
            ended = self.services.executions.start(spec, key=key)
        except not_accepted.NotAcceptedError:
            self.services.keys.release(key)
            raise
        self.services.keys.hold(key, ended)
        return ended

    async def _answer(self, record: Record) -> None:
        if record.failure is None:
            self.set_header("Content-Type", "application/json")
            await record_writer.write(self, record)
            return
        raise problem_of_record(record)


def problem_of(error: not_accepted.NotAcceptedError | UnrecordedError) -> Problem:
    """Make the answer to one of `NOT_ANSWERED`."""
    if isinstance(error, UnrecordedError):
        return Problem(503, "unrecorded", str(error), execution=record_writer.in_problem(error.record))
    return Problem(503, _NOT_ACCEPTED[type(error)], str(error))


def problem_of_record(record: Record) -> Problem:
    """Make the answer of an execution that ended in a failure."""
    assert record.failure is not None
    kind = record.failure.kind
    return Problem(kind.http_status, str(kind), record.failure.detail, execution=record_writer.in_problem(record))
