"""Records of executions that were never made, for tests of what becomes of them."""

from __future__ import annotations

from typing import Any

from dispatcher.actors.messages import Outcome
from dispatcher.record import Record, make_record
from dispatcher.redaction import Redactor
from dispatcher.request import RequestSpec
from dispatcher.wire.messages import Execute
from tests.support.scripted_agent import ok

SOURCE = "2001:db8::1"


def record(**members: Any) -> Record:
    """Make the record of an execution that ended as completed, with these members of `make_record` in place of ours."""
    usual: dict[str, Any] = {
        "identifier": "1",
        "outcome": Outcome.COMPLETED,
        "exit_used": ("agent-01", SOURCE),
        "request": RequestSpec("http://t/"),
        "result": None,
        "failure": None,
        "started_at": 0.0,
        "finished_at": 1.0,
        "redactor": Redactor(),
    }
    return make_record(**usual | members)


def answered(**members: Any) -> Record:
    """Make the record of an execution whose target said 200, with these members of the result in place of ours."""
    execute = Execute(id="1", source=SOURCE, method="GET", url="http://t/", timeout=1.0)
    return record(result=ok(execute, **members))
