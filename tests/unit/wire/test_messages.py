"""The messages themselves: one committed example each, and every bound at its limit and one past it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from dispatcher.errors import Failure, FailureKind, Party
from dispatcher.wire import codec, fields, limits
from dispatcher.wire import messages as wire
from dispatcher.wire.fields import WireError
from dispatcher.wire.messages import AddressReport, Message
from tests.unit.wire.said import ALL_MESSAGES, EXAMPLES, decoded, frame

COMMITTED = Path(__file__).parent / "examples"


def _tag(message: Message) -> str:
    return message.tag


def test_every_message_has_an_example() -> None:
    assert {cls.tag for cls in ALL_MESSAGES} == {example.tag for example in EXAMPLES}
    assert {f"{cls.tag}.json" for cls in ALL_MESSAGES} == {path.name for path in COMMITTED.iterdir()}


def test_no_two_messages_share_a_tag() -> None:
    assert len(ALL_MESSAGES) == len({cls.tag for cls in ALL_MESSAGES})


@pytest.mark.parametrize("example", EXAMPLES, ids=_tag)
def test_a_message_is_written_as_its_committed_example_says(example: Message) -> None:
    expected = json.loads((COMMITTED / f"{example.tag}.json").read_text("utf-8"))
    encoded = codec.encode([example])
    start = 4 + int.from_bytes(encoded[:4], "big")
    (head,) = json.loads(encoded[4:start])
    assert expected == {"head": head, "body": encoded[start:].hex()}
    assert list(expected["head"]) == list(head)  # the order of the members too


@pytest.mark.parametrize("example", EXAMPLES, ids=_tag)
def test_a_committed_example_is_read_as_its_message(example: Message) -> None:
    committed = json.loads((COMMITTED / f"{example.tag}.json").read_text("utf-8"))
    head = json.dumps([committed["head"]]).encode()
    assert [example] == decoded(frame(head, bytes.fromhex(committed["body"])))


@pytest.mark.parametrize("example", EXAMPLES, ids=_tag)
def test_a_message_is_frozen(example: Message) -> None:
    """So mypy refuses a change; where that costs too much, nothing else does."""
    assert example.__dataclass_params__.frozen  # type: ignore[attr-defined]  # every message is a dataclass


HEADERS_AT_BOUND = [["n" * 100, "v" * (limits.MAX_HEADER_BYTES // 2 - 100)], ["", "v" * (limits.MAX_HEADER_BYTES // 2)]]
MAX_MS = limits.MAX_TIMEOUT_SECONDS * 10_000
MAX_US = 36_000_000_000
CHARS_64 = ("x" * 64, "x" * 65)
REPORT = {"address": "::1", "state": "preferred"}

BOUNDS: list[tuple[type[Any], str, Any, Any]] = [
    # class, member, the most or least that is allowed, one past it
    (wire.Hello, "wire", [0, 9999], [0, 10_000]),
    (wire.Hello, "wire", [0, 0], [-1, 0]),
    (wire.Hello, "wire", [1, 0], [1]),
    (wire.Hello, "wire", [1, 0], [1, 0, 0]),
    (wire.Hello, "session", "x" * 256, "x" * 257),
    (wire.Hello, "session", "x", ""),
    (wire.Hello, "version", *CHARS_64),
    (wire.Hello, "hostname", "x" * 255, "x" * 256),
    (wire.Hello, "max_concurrency", 1, 0),
    (wire.Hello, "max_concurrency", 10_000, 10_001),
    (wire.Holding, "ids", [str(number) for number in range(32_768)], [str(number) for number in range(32_769)]),
    (wire.Holding, "ids", ["x" * 64], ["x" * 65]),
    (wire.Holding, "ids", ["x"], [""]),
    (AddressReport, "address", "::", ""),
    (AddressReport, "address", "fe80::1", "fe80::1%eth0"),
    (AddressReport, "reason", "x" * 1024, "x" * 1025),
    (wire.AddressesChanged, "changed", [REPORT] * 1000, [REPORT] * 1001),
    (wire.AddressesChanged, "gone", ["::1"] * 1000, ["::1"] * 1001),
    (wire.AddressesChanged, "gone", ["::1"], ["::1", "x"]),
    (wire.Result, "id", *CHARS_64),
    (wire.Result, "id", "x", ""),
    (wire.Result, "status", 100, 99),
    (wire.Result, "status", 999, 1000),
    (wire.Result, "reason", "x" * 1024, "x" * 1025),
    (wire.Result, "http_version", "x" * 8, "x" * 9),
    (wire.Result, "remote_ip", *CHARS_64),
    (wire.Result, "source_ip", *CHARS_64),
    (wire.Result, "headers", [["", ""]] * 1024, [["", ""]] * 1025),
    (wire.Result, "headers", HEADERS_AT_BOUND, [*HEADERS_AT_BOUND, ["", "v"]]),
    (wire.Result, "body_size", 0, -1),
    (wire.Result, "body_size", 2**63 - 1, 2**63),
    (wire.Result, "error_detail", "x" * 4096, "x" * 4097),
    (wire.Result, "timings", {"total": MAX_MS}, {"total": MAX_MS + 1}),
    (wire.Result, "timings", {"total": 0}, {"total": -0.001}),
    (wire.Alike, "id", *CHARS_64),
    (wire.Alike, "id", "x", ""),
    (wire.Alike, "source_ip", *CHARS_64),
    (wire.Alike, "body_size", 0, -1),
    (wire.Alike, "body_size", 2**63 - 1, 2**63),
    (wire.Alike, "microseconds", [0] * 8, [0] * 7),
    (wire.Alike, "microseconds", [0] * 8, [0] * 9),
    (wire.Alike, "microseconds", [0] * 8, [0] * 7 + [-1]),
    (wire.Alike, "microseconds", [MAX_US] * 8, [0] * 7 + [MAX_US + 1]),
    (wire.Alike, "remote_ip", *CHARS_64),
    (wire.Welcome, "wire", [9999, 9999], [10_000, 0]),
    (wire.Welcome, "agent_id", *CHARS_64),
    (wire.Welcome, "agent_id", "x", ""),
    (wire.Welcome, "version", *CHARS_64),
    (wire.Welcome, "secret_headers", ["x" * 256] * 256, ["x"] * 257),
    (wire.Welcome, "secret_headers", ["x" * 256], ["x" * 257]),
    (wire.Refused, "detail", "x" * 1024, "x" * 1025),
    (wire.Refused, "accepted_versions", ["x" * 16] * 16, ["x"] * 17),
    (wire.Refused, "accepted_versions", ["x" * 16], ["x" * 17]),
    (wire.Execute, "id", *CHARS_64),
    (wire.Execute, "id", "x", ""),
    (wire.Execute, "source", *CHARS_64),
    (wire.Execute, "source", "::", ":"),
    (wire.Execute, "method", "x" * 32, "x" * 33),
    (wire.Execute, "method", "x", ""),
    (wire.Execute, "url", "x" * 8192, "x" * 8193),
    (wire.Execute, "url", "x", ""),
    (wire.Execute, "timeout", 0, -0.001),
    (wire.Execute, "timeout", 3600, 3600.001),
    (wire.Execute, "headers", [["", ""]] * 1024, [["", ""]] * 1025),
    (wire.Execute, "headers", HEADERS_AT_BOUND, [*HEADERS_AT_BOUND, ["v", ""]]),
    (wire.Execute, "max_redirects", 0, -1),
    (wire.Execute, "max_redirects", 100, 101),
    (wire.Execute, "max_body_bytes", 0, -1),
    (wire.Execute, "max_body_bytes", limits.MAX_BODY_BYTES, limits.MAX_BODY_BYTES + 1),
    (wire.Again, "id", *CHARS_64),
    (wire.Again, "id", "x", ""),
    (wire.Again, "source", *CHARS_64),
    (wire.Again, "source", "::", ":"),
    (wire.Again, "timeout", 3600.0, 3600.1),
    (wire.Again, "timeout", 0, -0.1),
    (wire.Cancel, "id", *CHARS_64),
    (wire.Cancel, "id", "x", ""),
    (wire.BodyChunk, "id", *CHARS_64),
    (wire.BodyChunk, "id", "x", ""),
    (wire.BodyTaken, "size", 1, 0),
    (wire.BodyTaken, "size", limits.BULK_WINDOW_BYTES, limits.BULK_WINDOW_BYTES + 1),
]

UNBOUNDED = {"state", "truncated", "error_kind", "error_party", "code", "follow_redirects", "verify_tls"} | {
    "http_version of Execute",
    "has_body",
}


def _valid(cls: type[Any]) -> dict[str, Any]:
    if cls is AddressReport:
        return dict(REPORT)
    example = next(example for example in EXAMPLES if type(example) is cls)
    return fields.as_json(example)


@pytest.mark.parametrize(("cls", "member", "allowed", "refused"), BOUNDS)
def test_a_bound_is_taken_and_one_past_it_is_not(cls: type[Any], member: str, allowed: Any, refused: Any) -> None:
    fields.parse(cls, _valid(cls) | {member: allowed})
    with pytest.raises(WireError, match=rf"^{cls.__name__}\.{member} "):
        fields.parse(cls, _valid(cls) | {member: refused})


def test_every_member_that_can_have_a_bound_is_in_the_table_above() -> None:
    tested = {(cls, member) for cls, member, *_ in BOUNDS}
    for cls in (*ALL_MESSAGES, AddressReport):
        for field in dataclasses.fields(cls):
            is_free = field.name in UNBOUNDED or f"{field.name} of {cls.__name__}" in UNBOUNDED or field.name == "body"
            assert is_free or not field.init or (cls, field.name) in tested, f"{cls.__name__}.{field.name}"


@pytest.mark.parametrize("wrong", [None, True, 1, 1.5, "x", [], {}, [[]], [1], [["a", 1]], [["a"]]], ids=repr)
@pytest.mark.parametrize("example", EXAMPLES, ids=_tag)
def test_a_member_of_a_wrong_type_is_taken_or_named(example: Message, wrong: Any) -> None:
    for member in fields.as_json(example):
        try:
            fields.parse(type(example), _valid(type(example)) | {member: wrong})
        except WireError as error:
            assert str(error).startswith((f"{type(example).__name__}.{member} ", "AddressReport"))  # noqa: PT017 (either is right)


def test_an_address_is_held_in_its_canonical_form() -> None:
    report = fields.parse(AddressReport, {"address": "2001:DB8:0::0001", "state": "preferred"})
    assert "2001:db8::1" == report.address
    change = fields.parse(wire.AddressesChanged, {"gone": ["2001:DB8:0::0001"]})
    assert ("2001:db8::1",) == change.gone


@pytest.mark.parametrize("text", ["not an address", "2001:db8::\ud800", "2001:db8::1 ", "2001:db8::1%\ud800", "[::1]"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(WireError, match="is not an IP address"):
        fields.parse(AddressReport, {"address": text, "state": "preferred"})


def test_a_result_with_an_error_kind_is_a_failure_of_its_party() -> None:
    result = wire.Result(id="x", error_kind=FailureKind.TIMEOUT, error_detail="slow", error_party=Party.AGENT)
    assert Failure(FailureKind.TIMEOUT, "slow", Party.AGENT) == result.failure


def test_a_failure_without_a_party_is_the_usual_partys() -> None:
    result = wire.Result(id="x", error_kind=FailureKind.DNS)
    assert Failure(FailureKind.DNS, "", Party.RESOLVER) == result.failure


def test_a_result_without_an_error_kind_is_no_failure() -> None:
    assert wire.Result(id="x", status=200).failure is None
