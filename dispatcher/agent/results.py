"""The `Result` of an execution, from what its hops left: step 6 of a request's way, back. Pure."""

from __future__ import annotations

import functools
import ipaddress
from typing import TYPE_CHECKING

from dispatcher.wire.messages import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dispatcher.agent.run import Run
    from dispatcher.agent.transfers.response import Response
    from dispatcher.agent.transfers.transfer import Ending, Transfer
    from dispatcher.errors import Failure
    from dispatcher.wire.messages import Execute

MAX_DETAIL_CHARS = 1024


def completed(run: Run, response: Response, transfer: Transfer, ending: Ending) -> Result:
    """Make the result of an answer."""
    return Result(  # by place, which is quicker by a third than by name
        run.execute.id,
        response.status,
        response.reason,
        ending.http_version,
        _canonical(ending.remote_ip),
        run.source if ending.local_ip == run.source else _canonical(ending.local_ip),
        response.headers,
        transfer.size,
        transfer.cut,
        timings(run.phases, run.elapsed),
        body=transfer.body,
    )


def failed(execute: Execute, failure: Failure, phases: Sequence[int], total: int) -> Result:
    """Make the result of an execution without an answer; `phases` and `total` as in `timings`."""
    return Result(
        id=execute.id,
        timings=timings(phases, total),
        error_kind=failure.kind,
        error_detail=failure.detail[:MAX_DETAIL_CHARS],
        error_party=failure.attributed_to,
    )


def timings(phases: Sequence[int], total: int) -> dict[str, float]:
    """Return milliseconds by the names of `PHASES`, from microseconds of each but the last, and of the last."""
    queued, dns, connect, tls, send, wait, receive = phases
    return {
        "queued": queued / 1000,
        "dns": dns / 1000,
        "connect": connect / 1000,
        "tls": tls / 1000,
        "send": send / 1000,
        "wait": wait / 1000,
        "receive": receive / 1000,
        "total": total / 1000,
    }


@functools.lru_cache(maxsize=4096)
def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return address
