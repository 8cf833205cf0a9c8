"""What the tests of executions share: a pool, connections and a history that do what a test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pykka

from dispatcher.actors.errors import StoreError
from dispatcher.actors.loop_actor import LoopActor, ask
from dispatcher.actors.messages import (
    AppendRecords,
    CheckStore,
    DescribePool,
    Ended,
    ExitsChanged,
    ExitStatus,
    NotTaken,
    Outcome,
    RecordRow,
    Run,
    RunExecutions,
)
from dispatcher.actors.pool import IpPool
from dispatcher.errors import FailureKind
from dispatcher.executions import (
    Executions,
    Limits,
)
from dispatcher.record import Record
from dispatcher.redaction import Redactor
from dispatcher.request import RequestSpec
from dispatcher.wire import messages as wire

SPEC = RequestSpec("https://user:s3cret@target.example/", headers=(("Authorization", "Bearer t0ken"),), timeout=30.0)
ADDRESSES = tuple(f"2001:db8::{number:x}" for number in range(1, 21))

Script = Callable[[wire.Execute], Any]


def completed(execute: wire.Execute) -> Ended:
    result = wire.Result(execute.id, 200, "OK", "1.1", "::1", execute.source, body_size=2, body=b"ok")
    return Ended(Outcome.COMPLETED, result)


class ScriptedConnection(LoopActor):
    """An agent's connection that answers as its script says."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script

    def on_receive(self, message: Any) -> Any:
        assert isinstance(message, RunExecutions)
        if len(message.runs) == 1:
            return self._run(message.runs[0])
        answers = [self._run(run) for run in message.runs]
        refusals = [answer for answer in answers if isinstance(answer, NotTaken)]
        assert len(refusals) in (0, len(answers)), "an agent's connection takes all or none"
        return refusals[0] if refusals else None

    def _run(self, run: Run) -> Any:
        answer = self._script(run.execute)
        if not isinstance(answer, asyncio.Future):
            return self._answer(run, answer)
        taken: asyncio.Future[NotTaken | None] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda done: taken.set_result(self._answer(run, done.result())))
        return taken

    def _answer(self, run: Run, answer: Ended | NotTaken) -> NotTaken | None:
        if isinstance(answer, NotTaken):
            return answer
        run.on_ended(run, answer)
        return None


class History(LoopActor):
    """Keeps what it is told to append."""

    def __init__(self, rows: list[RecordRow]) -> None:
        super().__init__()
        self.rows = rows

    def on_receive(self, message: Any) -> Any:
        match message:
            case AppendRecords():
                return self._append(message.rows)
            case CheckStore():
                return self._check()

    def _append(self, rows: tuple[RecordRow, ...]) -> Any:
        self.rows.extend(rows)
        return frozenset()

    def _check(self) -> str | None:
        return None


class FullDisk(History):
    """Can write nothing until `freed` is set."""

    freed: asyncio.Event

    def _append(self, rows: tuple[RecordRow, ...]) -> Any:
        if not self.freed.is_set():
            raise StoreError("the disk is full")
        return super()._append(rows)

    def _check(self) -> str | None:
        return None if self.freed.is_set() else "the disk is full"


class SlowDisk(History):
    """Commits only once `committed` is done."""

    committed: asyncio.Future[frozenset[str]]

    def _append(self, rows: tuple[RecordRow, ...]) -> asyncio.Future[frozenset[str]]:
        super()._append(rows)
        return self.committed


class Coordinator:
    """Executions over a pool of one scripted agent."""

    def __init__(
        self,
        script: Script = completed,
        *,
        exits: int = 3,
        max_in_flight: int = 10,
        max_queue: int = 0,
        history: type[History] = History,
    ) -> None:
        self.rows: list[RecordRow] = []
        self.finished: list[Record] = []
        self.sent: list[wire.Execute] = []
        self.pool = IpPool.start()
        self.history = history.start(self.rows)
        self.connection = ScriptedConnection.start(self._note(script))
        if exits:
            self.join("agent-01", self.connection, ADDRESSES[:exits])
        self.executions = Executions(
            pool=self.pool,
            history=self.history,
            redactor=Redactor(),
            limits=Limits(max_in_flight, max_queue, 1.0, 1000),
            on_finished=self.finished.append,
        )

    def _note(self, script: Script) -> Script:
        def noted(execute: wire.Execute) -> Any:
            self.sent.append(execute)
            return script(execute)

        return noted

    def join(
        self, agent_id: str, connection: pykka.ActorRef[Any], addresses: tuple[str, ...], *, takes: int = 256
    ) -> None:
        reports = tuple(wire.AddressReport(address, wire.AddressState.PREFERRED) for address in addresses)
        self.pool.tell(ExitsChanged(agent_id, connection, reports, max_concurrency=takes))

    async def execute(self, spec: RequestSpec = SPEC) -> Record:
        return await self.executions.start(spec)

    async def exits(self) -> tuple[ExitStatus, ...]:
        return (await ask(self.pool, DescribePool())).exits

    @property
    def recorded(self) -> list[dict[str, Any]]:
        return [json.loads(row.record) for row in self.rows]


def kind_of(record: Record) -> FailureKind:
    assert record.failure is not None
    return record.failure.kind
