"""The `Result` of an execution, from what its hops left: step 6 of a request's way, back. Pure."""

from __future__ import annotations

import functools
import ipaddress
from typing import TYPE_CHECKING

from dispatcher.wire.messages import PHASES, Result

if TYPE_CHECKING:
    from dispatcher.agent.response import Response
    from dispatcher.agent.run import Run
    from dispatcher.agent.transfer import Ending, Transfer
    from dispatcher.errors import Failure
    from dispatcher.wire.messages import Execute

MAX_DETAIL_CHARS = 1024


def completed(run: Run, response: Response, transfer: Transfer, ending: Ending) -> Result:
    """Make the result of an answer."""
    return Result(
        id=run.execute.id,
        status=response.status,
        reason=response.reason,
        http_version=ending.http_version,
        remote_ip=_canonical(ending.remote_ip),
        source_ip=_canonical(ending.local_ip),
        headers=response.headers,
        body_size=transfer.size,
        truncated=transfer.cut,
        timings=timings(run.phases, run.elapsed_ms),
        body=transfer.body,
    )


def failed(execute: Execute, failure: Failure, phases: dict[str, float], total: float) -> Result:
    """Make the result of an execution without an answer; `phases` and `total` are milliseconds."""
    return Result(
        id=execute.id,
        timings=timings(phases, total),
        error_kind=failure.kind,
        error_detail=failure.detail[:MAX_DETAIL_CHARS],
        error_party=failure.attributed_to,
    )


def timings(phases: dict[str, float], total: float) -> dict[str, float]:
    """Every phase of `PHASES`, 0 where it was not reached, to the microsecond."""
    known = {**phases, "total": total}
    return {name: round(max(0.0, known.get(name, 0.0)), 3) for name in PHASES}


@functools.lru_cache(maxsize=4096)
def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return address
