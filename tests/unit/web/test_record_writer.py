"""Writing a record to its caller: byte for byte the same as in one piece, and never holding the loop."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.record import Record
from dispatcher.web import record_writer
from dispatcher.web.record_writer import PIECE_BYTES
from dispatcher.wire.messages import Execute
from tests.support.api import Served, raw_request
from tests.support.records import answered
from tests.support.scripted_agent import WAIT, ScriptedAgent, answers
from tests.support.stalls import collecting_only_what_is_new, judge

MIB = 1024 * 1024


class Collector:
    """A handler that keeps what is written to it."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, piece: bytes) -> None:
        self.pieces.append(piece)

    async def flush_in_turns(self) -> None:
        await asyncio.sleep(0)


def record(body: bytes, *, truncated: bool = False) -> Record:
    """Make a record of an execution whose response has this body."""
    return answered(body=body, body_size=len(body) + truncated, truncated=truncated)


def written(one: Record) -> bytes:
    collector = Collector()
    asyncio.run(record_writer.write(collector, one))  # type: ignore[arg-type]  # it has what is used of a handler
    return b"".join(collector.pieces)


EDGES = [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, 2 * PIECE_BYTES + 1, 5 * PIECE_BYTES + 2]
CHARACTERS = ["x", "\u00e4", "\u20ac", "\U0001f600", '"', "\\", "\n", "\u0000", "\u2028"]


@pytest.mark.parametrize("size", EDGES)
@pytest.mark.parametrize("character", CHARACTERS)
def test_text_is_the_same_in_pieces_wherever_they_cut_a_character(character: str, size: int) -> None:
    encoded = character.encode()
    for shift in range(len(encoded)):
        one = record(b"y" * shift + encoded * (size // len(encoded) + 1))
        assert one.to_json_bytes() == written(one)


@pytest.mark.parametrize("size", EDGES)
def test_bytes_are_the_same_in_pieces(size: int) -> None:
    one = record(b"\xff" + random.Random(size).randbytes(size))
    assert one.to_json_bytes() == written(one)


@pytest.mark.parametrize("cut", [1, 2, 3])
@pytest.mark.parametrize("size", [PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES])
def test_a_text_that_was_cut_in_a_character_stays_text(size: int, cut: int) -> None:
    one = record(b"x" * size + "\U0001f600".encode()[:cut], truncated=True)
    assert one.to_json_bytes() == written(one)
    body = json.loads(written(one))["response"]["body"]
    assert ("utf-8", size, True) == (body["encoding"], len(body["data"]), body["truncated"])


@pytest.mark.parametrize("fault_at", [0, PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES])
def test_one_wrong_byte_anywhere_makes_it_base64(fault_at: int) -> None:
    body = bytearray(b"x" * (3 * PIECE_BYTES + 1))
    body[fault_at] = 0xFF
    one = record(bytes(body))
    assert one.to_json_bytes() == written(one)
    assert "base64" == json.loads(written(one))["response"]["body"]["encoding"]


def test_a_text_that_ends_in_a_character_and_was_not_cut_is_base64() -> None:
    one = record(b"x" * PIECE_BYTES + b"\xe2\x82")
    assert one.to_json_bytes() == written(one)
    assert "base64" == json.loads(written(one))["response"]["body"]["encoding"]


@settings(max_examples=30, deadline=None)
@given(st.text(min_size=1, max_size=8) | st.binary(min_size=1, max_size=8), st.booleans(), st.integers(0, 9))
def test_any_body_is_the_same_in_pieces(unit: str | bytes, truncated: bool, more: int) -> None:
    raw = unit if isinstance(unit, bytes) else unit.encode("utf-8", "replace")
    one = record(raw * (2 * PIECE_BYTES // len(raw)) + raw[: more % len(raw)], truncated=truncated)
    assert one.to_json_bytes() == written(one)


def test_a_problem_has_the_first_piece_of_a_large_body() -> None:
    content = record_writer.in_problem(record(b"x" * (PIECE_BYTES + 5)))
    body = content["response"]["body"]
    assert (PIECE_BYTES, PIECE_BYTES + 5, True) == (len(body["data"]), body["size"], body["truncated"])


# Over real sockets


@pytest.mark.parametrize("size", [10 * MIB, 50 * MIB], ids=["10 MiB", "50 MiB"])
@pytest.mark.parametrize("kind", ["binary", "text", "multi-byte"])
def test_a_large_body_arrives_whole_and_the_loop_is_never_held(api: Served, size: int, kind: str) -> None:
    body = {"binary": _binary, "text": _text, "multi-byte": _multi_byte}[kind](size)
    api.agent(configured=False, answer=answers(body=body))
    api.configure(max_body_bytes=size)
    content, worst = api.run(_watched(_call(api)))
    found = json.loads(content)["response"]["body"]
    assert ("base64" if kind == "binary" else "utf-8", size, False) == (
        found["encoding"],
        found["size"],
        found["truncated"],
    )
    data = base64.b64decode(found["data"]) if kind == "binary" else found["data"].encode()
    assert hashlib.sha256(body).digest() == hashlib.sha256(data).digest()
    judge([worst], "the coordinator")


def _binary(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def _text(size: int) -> bytes:
    return (b'line "of" text\n' * (size // 15 + 1))[:size]


def _multi_byte(size: int) -> bytes:
    # No character starts at a multiple of a power of two, so every piece and chunk cuts one.
    return (b"x" + "\u20ac".encode() * (size // 3)).ljust(size, b"y")


async def _call(api: Served) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.running.port, limit=4 * MIB)
    writer.write(raw_request("GET", "/api/execute"))
    pieces = []
    async with asyncio.timeout(WAIT):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        while size := int((await reader.readuntil(b"\r\n")), 16):
            pieces.append((await reader.readexactly(size + 2))[:-2])
    writer.close()
    await writer.wait_closed()
    return b"".join(pieces)


async def _watched(work: asyncio.Future[bytes] | object) -> tuple[bytes, float]:
    """Await `work`; return with its result the most processor time that one turn of the loop took, in seconds."""
    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        while True:
            begun = time.thread_time()
            await asyncio.sleep(0)
            worst = max(worst, time.thread_time() - begun)

    with collecting_only_what_is_new():
        watching = asyncio.create_task(watch())
        try:
            return await work, worst  # type: ignore[misc]  # a coroutine
        finally:
            watching.cancel()


def test_a_caller_that_goes_away_in_the_middle_leaves_a_record_and_no_error(
    api: Served, caplog: pytest.LogCaptureFixture
) -> None:
    agent = api.agent(configured=False, answer=answers(body=b"x" * (50 * MIB)))
    api.configure(max_body_bytes=50 * MIB)
    identifier = api.run(_go_away_in_the_middle(api, agent))
    assert [identifier] == [item["id"] for item in api.call("GET", "/api/history").json["items"]]
    assert [] == [entry.getMessage() for entry in caplog.records if entry.levelname == "ERROR"]
    assert 200 == api.call("GET", "/livez").status


async def _go_away_in_the_middle(api: Served, agent: ScriptedAgent) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.running.port)
    writer.write(raw_request("GET", "/api/execute"))
    execute: Execute = await agent.hear(Execute)
    await reader.readexactly(MIB)
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    assert await api.running.services.executions.drain(WAIT)
    return execute.id
