"""An answer says what an ordinary result of the same says, to whoever asks and on the wire."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.agent.answer import Answer, timings
from dispatcher.agent.transfers.response import Response
from dispatcher.wire import codec, limits, native, structs
from dispatcher.wire.messages import FROM_AGENT, PHASES, Result
from dispatcher.wire.outbox import Outbox
from tests.unit.wire.said import identifiers, texts

latin = st.text(st.characters(max_codepoint=0xFF), max_size=20)
heads = st.builds(
    Response,
    status=st.integers(100, 999),
    reason=latin,
    headers=st.lists(st.tuples(latin, latin), max_size=4).map(tuple),
    http_version=st.sampled_from(["1.0", "1.1", "2", "3"]),
)
microseconds = st.integers(0, int(limits.MAX_TIMEOUT_SECONDS * 1_000_000))
members: dict[str, st.SearchStrategy[Any]] = {
    "identifier": identifiers,
    "response": heads,
    "remote_ip": texts(64),
    "source_ip": texts(64),
    "body": st.binary(max_size=50),
    "body_size": st.integers(0, 2**63 - 1),
    "truncated": st.booleans(),
    "phases": st.lists(microseconds, min_size=7, max_size=7).map(tuple),
    "total": microseconds,
}
answers = st.builds(Answer, **members)
HEAD = Response(200, "OK", (("A", "1"), ("B", "\xe4")), "1.1")
PLAIN = Answer("x1", HEAD, "2001:db8::f", "2001:db8::1", b"body", 4, False, (0, 1, 20, 300, 4_000, 50_000, 7), 54_328)


def ordinary(answer: Answer) -> Result:
    """Make a `Result` of what an answer says when it is asked for each member."""
    return Result(**{field.name: getattr(answer, field.name) for field in dataclasses.fields(Result)})


def test_timings_are_milliseconds_of_every_phase_in_order() -> None:
    found = timings((0, 1, 20, 300, 4_000, 50_000, 600_000), 654_321)
    assert PHASES == tuple(found)
    assert [0.0, 0.001, 0.02, 0.3, 4.0, 50.0, 600.0, 654.321] == list(found.values())


def test_an_answer_is_a_result() -> None:
    result = ordinary(PLAIN)
    assert ("x1", 200, "OK", "1.1", HEAD.headers) == (
        result.id,
        result.status,
        result.reason,
        result.http_version,
        result.headers,
    )
    assert ("2001:db8::f", "2001:db8::1", b"body", 4, False) == (
        result.remote_ip,
        result.source_ip,
        result.body,
        result.body_size,
        result.truncated,
    )
    assert timings((0, 1, 20, 300, 4_000, 50_000, 7), 54_328) == result.timings
    assert (None, "", None) == (result.error_kind, result.error_detail, result.error_party)
    assert PLAIN.failure is None
    assert (4, result.header_chars) == (PLAIN.header_chars, PLAIN.header_chars)


@given(answers)
@example(PLAIN)
@example(Answer('\ud800"\\', HEAD, "", "", b"", 0, True, (1234,) * 7, 999_999_999))
def test_the_other_side_reads_what_it_would_read_of_an_ordinary_result(answer: Answer) -> None:
    expected = ordinary(answer)
    assert [expected] == codec.decode(codec.encode([answer]), FROM_AGENT)


def test_it_is_read_the_quick_way() -> None:
    assert structs.write(ordinary(PLAIN)) is not None, "this machine has msgspec"
    frame = codec.encode([PLAIN])
    assert [ordinary(PLAIN)] == structs.read(frame, 4 + int.from_bytes(frame[:4], "big"), FROM_AGENT)


def test_it_is_written_the_same_without_c(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = PLAIN.as_json()
    assert native.encode is codec.native_encode
    monkeypatch.setattr(codec, "native_encode", None)
    slow = Answer("x1", Response(200, "OK", HEAD.headers), "2001:db8::e", "2001:db8::2", b"", 0, False, (0,) * 7, 0)
    assert [ordinary(slow)] == codec.decode(codec.encode([slow]), FROM_AGENT)
    assert quick == PLAIN.as_json()


def test_a_large_body_goes_ahead_of_it_in_pieces() -> None:
    body = bytes(2 * limits.CHUNK_BYTES + 1)
    large = Answer("x1", HEAD, "::f", "::1", body, len(body), False, (0,) * 7, 1)
    outbox = Outbox()
    outbox.put(large)
    frames = []
    while (frame := outbox.next_frame()) is not None:
        frames += codec.decode(frame, FROM_AGENT)
    assert [limits.CHUNK_BYTES, limits.CHUNK_BYTES, 1] == [len(each.body) for each in frames]  # type: ignore[union-attr]  # none is invalid
    assert dataclasses.replace(ordinary(large), body=bytes(1)) == frames[-1]
