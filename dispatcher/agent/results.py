"""The `Result` of an execution, from what its hops left: step 6 of a request's way, back. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from dispatcher.agent.answer import Answer
from dispatcher.agent.targets.target import ExecutionError
from dispatcher.agent.transfers import curl_errors
from dispatcher.agent.transfers.response import MalformedResponseError, UnfinishedResponseError, parse_response
from dispatcher.agent.transfers.transfer import same_address
from dispatcher.errors import FailureKind
from dispatcher.memo import Memo
from dispatcher.wire.messages import Result
from dispatcher.wire.phases import PHASES, timings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dispatcher.agent.run import Run
    from dispatcher.agent.transfers.response import Response
    from dispatcher.agent.transfers.transfer import Ending, Transfer
    from dispatcher.errors import Failure
    from dispatcher.wire.messages import Execute

MAX_DETAIL_CHARS = 1024
NO_PHASES = (0,) * (len(PHASES) - 1)
_ASKED_VERSIONS = ("2", "3")


def response_of(transfer: Transfer, ending: Ending) -> Response:
    """Return the response of a transfer that has one, if it left from its source.

    Raises:
        ExecutionError: it has none, or one that cannot be taken, or it left from another address.
    """
    hop, source = transfer.hop, transfer.source
    before, after = transfer.seen_source, ending.local_ip
    if before is not None and before != source and not same_address(before, source):
        raise ExecutionError(curl_errors.mismatch(before, transfer))
    if after != source and (ending.errno == 0 or transfer.cut) and not same_address(after, source):
        raise ExecutionError(curl_errors.mismatch(after, transfer))
    if ending.errno != 0 and not transfer.cut:
        raise ExecutionError(curl_errors.failure_of(ending, transfer))
    try:
        response = parse_response(transfer.header_lines)
    except UnfinishedResponseError as error:
        detail = f"{hop.target.place} ended the connection within its headers: {error}"
        raise ExecutionError.of(FailureKind.RESET, detail) from error
    except MalformedResponseError as error:
        detail = f"{hop.target.place} sent a response that cannot be taken: {error}"
        raise ExecutionError.of(FailureKind.HTTP_PROTOCOL, detail) from error
    if hop.http_version in _ASKED_VERSIONS and hop.http_version != response.http_version:
        raise ExecutionError(curl_errors.wrong_version(response.http_version, hop))
    return response


def completed(run: Run, response: Response, transfer: Transfer, ending: Ending) -> Answer:
    """Make the result of an answer."""
    source = run.source
    return Answer(
        run.execute.id,
        response,
        _canonicals[transfer.remote_ip],
        source if ending.local_ip == source else _canonicals[ending.local_ip],
        transfer.body,
        transfer.size,
        transfer.cut,
        run.phases,
        run.elapsed(transfer.ended),
    )


def failed(execute: Execute, failure: Failure, phases: Sequence[int], total: int) -> Result:
    """Make the result of an execution without an answer; `phases` and `total` as in `Answer`."""
    return Result(
        id=execute.id,
        timings=timings_of((*phases, total)),
        error_kind=failure.kind,
        error_detail=failure.detail[:MAX_DETAIL_CHARS],
        error_party=failure.attributed_to,
    )


def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return address


_canonicals = Memo(_canonical, 4096)
