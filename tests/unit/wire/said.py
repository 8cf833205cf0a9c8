"""What the tests of the wire share: one example of each message, and strategies that make any message there is."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from dispatcher.errors import FailureKind, Party
from dispatcher.wire import codec, limits
from dispatcher.wire import messages as wire
from dispatcher.wire.codec import Invalid
from dispatcher.wire.messages import AddressReport, AddressState, HttpVersion, Message, RefusalCode
from dispatcher.wire.phases import PHASES
from dispatcher.wire.structs import Referring

EXAMPLES: tuple[Message, ...] = (
    wire.Hello(wire=(1, 0), session="s3ss10n", version="1.2.3", hostname="gateway-1", max_concurrency=64),
    wire.Holding(ids=frozenset({"0190-1"})),
    wire.AddressesChanged(
        changed=(
            AddressReport("2001:db8:1::5", AddressState.PREFERRED),
            AddressReport("2001:db8:1::6", AddressState.DADFAILED, "another host has this address"),
        ),
        gone=("2001:db8:1::7",),
    ),
    wire.Result(
        id="0190-1",
        status=200,
        reason="OK",
        http_version="1.1",
        remote_ip="2001:db8:f::1",
        source_ip="2001:db8:1::5",
        headers=(("Content-Type", "text/plain"), ("Set-Cookie", "a"), ("Set-Cookie", "b")),
        body_size=15,
        truncated=True,
        timings={phase: float(number) for number, phase in enumerate(PHASES)},
        error_kind=FailureKind.TIMEOUT,
        error_detail="the time was up",
        error_party=Party.RESOLVER,
        body=b"\x00\xff\r\n",
    ),
    wire.Alike(
        id="0190-2",
        source_ip="2001:db8:1::6",
        body_size=16,
        microseconds=(0, 1000, 2000, 3000, 4000, 5000, 6000, 7001),
        truncated=True,
        remote_ip="2001:db8:f::2",
        body=b"\x00\xff\r\n",
    ),
    wire.Welcome(wire=(1, 0), agent_id="agent-01", version="1.2.3", secret_headers=("X-Token",)),
    wire.Refused(code=RefusalCode.VERSION, detail="wire version 2.0 is not known here", accepted_versions=("1",)),
    wire.Execute(
        id="0190-1",
        source="2001:db8:1::5",
        method="POST",
        url="https://example.org/?q=ä",
        timeout=29.5,
        headers=(("Accept", "*/*"), ("X-Ctrl", "\x01")),
        follow_redirects=True,
        max_redirects=3,
        verify_tls=False,
        http_version=HttpVersion.HTTP_2,
        max_body_bytes=1000,
        has_body=True,
        body=b"\x00\xff",
    ),
    wire.Again(id="0190-2", source="2001:db8:1::6", timeout=29.25),
    wire.Cancel(id="0190-1"),
    wire.Draining(),
    wire.BodyChunk(id="0190-1", body=b"\x00\xff"),
    wire.BodyTaken(size=65536),
)

ALL_MESSAGES = tuple(dict.fromkeys((*wire.FROM_AGENT, *wire.FROM_COORDINATOR)))

_OF_TAG = {cls.tag: cls for cls in ALL_MESSAGES}

_any_char = st.characters(exclude_categories=()) | st.sampled_from('\ud800\udfff\x00\x7f\\"\u2028')


def texts(max_chars: int, min_chars: int = 0) -> st.SearchStrategy[str]:
    return st.text(_any_char, min_size=min_chars, max_size=min(max_chars, 40))


identifiers = texts(wire.IDENTIFIER_CHARS, 1)
addresses = st.ip_addresses(v=6).map(lambda address: str(ipaddress.ip_address(address.packed)))
pairs = st.tuples(st.integers(0, 9999), st.integers(0, 9999))
header_lines = st.lists(st.tuples(texts(99), texts(99)), max_size=5).map(tuple)
milliseconds = st.floats(0, limits.MAX_TIMEOUT_SECONDS * 10_000)
bodies = st.binary(max_size=200)

hellos = st.builds(
    wire.Hello,
    wire=pairs,
    session=texts(256, 1),
    version=texts(64),
    hostname=texts(255),
    max_concurrency=st.integers(1, 10_000),
)
reports = st.builds(
    AddressReport,
    address=addresses,
    state=st.sampled_from(AddressState),
    reason=st.none() | texts(limits.MAX_TEXT_CHARS),
)
address_changes = st.builds(
    wire.AddressesChanged,
    changed=st.lists(reports, max_size=5).map(tuple),
    gone=st.lists(addresses, max_size=5).map(tuple),
)


def results(**fixed: Any) -> st.SearchStrategy[wire.Result]:
    fields: dict[str, Any] = {
        "id": identifiers,
        "status": st.none() | st.integers(100, 999),
        "reason": texts(limits.MAX_TEXT_CHARS),
        "http_version": texts(8),
        "remote_ip": texts(64),
        "source_ip": texts(64),
        "headers": header_lines,
        "body_size": st.integers(0, 2**63 - 1),
        "truncated": st.booleans(),
        "timings": st.fixed_dictionaries(dict.fromkeys(PHASES, milliseconds)),
        "error_kind": st.none() | st.sampled_from(FailureKind),
        "error_detail": texts(4096),
        "error_party": st.none() | st.sampled_from(Party),
        "body": bodies,
    }
    return st.builds(wire.Result, **(fields | fixed))


alikes = st.builds(
    wire.Alike,
    id=identifiers,
    source_ip=texts(64),
    body_size=st.integers(0, 2**63 - 1),
    microseconds=st.tuples(*[st.integers(0, 36_000_000_000)] * len(PHASES)),
    truncated=st.booleans(),
    remote_ip=st.none() | texts(64),
    body=bodies,
)


def executes(**fixed: Any) -> st.SearchStrategy[wire.Execute]:
    fields: dict[str, Any] = {
        "id": identifiers,
        "source": texts(64, 2),
        "method": texts(limits.MAX_METHOD_CHARS, 1),
        "url": texts(limits.MAX_URL_CHARS, 1),
        "timeout": st.floats(0, limits.MAX_TIMEOUT_SECONDS),
        "headers": header_lines,
        "follow_redirects": st.booleans(),
        "max_redirects": st.integers(0, 100),
        "verify_tls": st.booleans(),
        "http_version": st.sampled_from(HttpVersion),
        "max_body_bytes": st.integers(0, limits.MAX_BODY_BYTES),
        "has_body": st.booleans(),
        "body": bodies,
    }
    return st.builds(wire.Execute, **(fields | fixed))


refusals = st.builds(
    wire.Refused,
    code=st.sampled_from(RefusalCode),
    detail=texts(limits.MAX_TEXT_CHARS),
    accepted_versions=st.lists(texts(16), max_size=16).map(tuple),
)
messages: st.SearchStrategy[Message] = st.one_of(
    hellos,
    st.builds(wire.Holding, ids=st.frozensets(identifiers, max_size=5)),
    address_changes,
    results(),
    alikes,
    st.builds(wire.Welcome, wire=pairs, agent_id=identifiers, version=texts(64)),
    refusals,
    executes(),
    st.builds(wire.Again, id=identifiers, source=texts(64, 2), timeout=st.floats(0, limits.MAX_TIMEOUT_SECONDS)),
    st.builds(wire.Cancel, id=identifiers),
    st.just(wire.Draining()),
    st.builds(wire.BodyChunk, id=identifiers, body=bodies),
    st.builds(wire.BodyTaken, size=st.integers(1, limits.BULK_WINDOW_BYTES)),
)


def frame(head: bytes, bodies: bytes = b"") -> bytes:
    """Make a frame by hand."""
    return len(head).to_bytes(4, "big") + head + bodies


def of_its_class(message: Message | Referring | Invalid) -> Message | Invalid:
    """Make a message of its class of one that `structs` left as it was read, which is to have no other members."""
    if isinstance(message, Invalid | Message):
        return message
    cls = _OF_TAG[message.tag]
    assert cls.refers
    assert {field.name for field in dataclasses.fields(cls)} == set(message.__struct_fields__)  # type: ignore[arg-type, attr-defined]  # a dataclass and a Struct
    return cls(**{name: getattr(message, name) for name in message.__struct_fields__})  # type: ignore[attr-defined]  # as above


def decoded(frame: bytes, accepted: Iterable[type[Message]] = ALL_MESSAGES) -> list[Message | Invalid]:
    """Read a frame by the codec."""
    return list(map(of_its_class, codec.decode(frame, accepted)))
