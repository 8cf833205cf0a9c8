"""One record over the whole screen: outcome, error in words, timings as bars, headers, body. Pure."""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from typing import TYPE_CHECKING

from dispatcher.monitor import model, numbers, panel_agents
from dispatcher.monitor.glyphs import mark
from dispatcher.monitor.lines import EMPTY, Line, Span, line, span, width_of, wrapped
from dispatcher.monitor.text import pad, read_as_utf8, safe_text, wrap

if TYPE_CHECKING:
    from dispatcher.monitor.model import Json, Record
    from dispatcher.monitor.state import Detail, State

PHASES = ("queued", "dns", "connect", "tls", "send", "wait", "receive")
"""The phases of an execution in the order of time; `total` is all of them."""

BODY_LINES = 2000
BODY_CHARS = 100_000
"""Lines and characters of a body that are shown; the rest is in `GET /api/history/{id}`."""

_LABEL = 12


def lines(state: State, detail: Detail, width: int) -> list[Line]:
    """Draw an agent or a record in `width` columns, as many lines as it takes."""
    if detail.record is None:
        drawn = panel_agents.detail_lines(state, detail.agent_id)
    else:
        drawn = [*_summary(state, detail.record, width), *_whole(state, detail, width)]
    return [piece for row in drawn for piece in ([row] if width_of(row) <= width else wrapped(row, width))]


def _whole(state: State, detail: Detail, width: int) -> list[Line]:
    if detail.whole is None:
        waiting = span(detail.problem or "reading the whole record", "bad" if detail.problem else "dim")
        return [EMPTY, line(waiting)]
    asked, came = _request(detail.whole), _response(detail.whole, width)
    return [*_attempts(state, detail.whole), *_timings(state, detail.whole, width), *asked, *came]


def title(detail: Detail) -> str:
    """Return what the frame says."""
    return f"Agent {detail.agent_id}" if detail.record is None else f"Execution {detail.record.id}"


def _summary(state: State, record: Record, width: int) -> list[Line]:
    glyph, style = mark(state.glyphs, record.outcome)
    answered = f"  {record.status} {read_as_utf8(record.reason)}" if record.status is not None else ""
    drawn = [
        _field("outcome", Span(f"{glyph} ", style), span(record.outcome, style), span(answered, "title")),
        *_wrapped("request", f"{record.method} {record.url}", width),
        _field(
            "left from", span(record.source_ip or "no exit"), span(f"  at {record.agent_id}" if record.agent_id else "")
        ),
        _field("finished", span(record.finished_at), span(f"  after {numbers.duration(record.total_ms)}", "dim")),
    ]
    if record.error_kind:
        drawn += _wrapped("error", f"{record.error_kind}: {record.error_detail}", width, "bad")
    return drawn


def _field(label: str, *parts: str | Span) -> Line:
    return line(span(pad(label, _LABEL), "dim"), *parts)


def _wrapped(label: str, text: str, width: int, style: str = "") -> list[Line]:
    pieces = wrap(safe_text(text), max(10, width - _LABEL))
    return [_field(label if number == 0 else "", Span(piece, style)) for number, piece in enumerate(pieces)]


def _attempts(state: State, whole: Json) -> list[Line]:
    """Draw a line for each attempt, where retries were asked for."""
    made = model.objects(whole, "attempts")
    drawn = [EMPTY, line(span("Attempts", "title"))] if made else []
    for attempt in made:
        glyph, style = mark(state.glyphs, str(attempt.get("outcome", "")))
        took = numbers.duration(model.number(model.member(attempt, "timings"), "total"))
        place = f"{attempt.get('source_ip') or 'no exit'}  at {attempt.get('agent_id') or 'no agent'}  "
        result = str(model.member(attempt, "error").get("kind") or attempt.get("outcome", ""))
        drawn.append(line("  ", Span(f"{glyph} ", style), span(place), span(result, style), span(f"  {took}", "dim")))
    return drawn


def _timings(state: State, whole: Json, width: int) -> list[Line]:
    timings = model.member(whole, "timings")
    total = sum(model.number(timings, phase) for phase in PHASES)
    drawn = [
        EMPTY,
        line(span("Timings", "title"), span(f"  {numbers.duration(model.number(timings, 'total'))} in all", "dim")),
    ]
    room = max(1, min(width - _LABEL - 10, 100))
    before = 0.0
    for phase in PHASES:
        took = model.number(timings, phase)
        bar = _bar(before, took, total, room, state.glyphs.bar)
        drawn.append(_field(phase, f"{numbers.duration(took):>8}  ", span(bar, "good")))
        before += took
    return drawn


def _bar(before: float, took: float, total: float, room: int, glyph: str) -> str:
    """Draw a phase where it was in time: what was before it is left empty."""
    if total <= 0 or took <= 0:
        return ""
    start = min(int(before / total * room), room - 1)
    return " " * start + glyph * max(1, min(round(took / total * room), room - start))


def _request(whole: Json) -> list[Line]:
    return _headers("Request headers", model.member(whole, "request"))


def _response(whole: Json, width: int) -> list[Line]:
    response, error = model.member(whole, "response"), model.member(whole, "error")
    if not response:
        told = [_field("at fault", span(str(error.get("attributed_to", "unknown"))))] if error else []
        return [EMPTY, line(span("No response", "title")), *told]
    came = [
        EMPTY,
        line(span("Response", "title")),
        _field("HTTP", span(str(response.get("http_version", "")))),
        _field("from", span(str(response.get("remote_ip", "")))),
    ]
    return [*came, *_headers("Response headers", response), *_body(model.member(response, "body"), width)]


def _headers(label: str, content: Json) -> list[Line]:
    headers = model.pairs(content, "headers")
    drawn = [line("  ", span(f"{name}: ", "dim"), span(read_as_utf8(value))) for name, value in headers]
    return [EMPTY, line(span(label, "title")), *(drawn or [line(span("  none", "dim"))])]


def _body(body: Json, width: int) -> list[Line]:
    size, data = int(model.number(body, "size")), str(body.get("data") or "")
    is_cut = ", cut here" if body.get("truncated") else ""
    head = line(span("Body", "title"), span(f"  {numbers.size(size)}{is_cut}", "dim"))
    return [EMPTY, head, *_body_lines(str(body.get("encoding")), data, max(10, width - 4))]


@lru_cache(maxsize=4)
def _body_lines(encoding: str, data: str, width: int) -> tuple[Line, ...]:
    """Draw the start of a body; kept, because it is the same from frame to frame and may be long."""
    is_whole = len(data) <= BODY_CHARS
    data = data[:BODY_CHARS]
    texts = _hexadecimal(data) if encoding == "base64" else data.expandtabs(4).splitlines()
    drawn = [line("  ", Span(piece)) for text in texts for piece in wrap(safe_text(text), width)]
    if is_whole and len(drawn) <= BODY_LINES:
        return tuple(drawn)
    return (*drawn[:BODY_LINES], line(span("  the rest is in the REST API", "dim")))


def _hexadecimal(data: str) -> list[str]:
    """Write a binary body as rows of 16 bytes: offset, values, characters."""
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return ["not base64"]
    rows = []
    for start in range(0, len(content), 16):
        piece = content[start : start + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
        rows.append(f"{start:06x}  {piece.hex(' '):<47}  {shown}")
    return rows
