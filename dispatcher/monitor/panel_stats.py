"""The panel of the numbers: totals, outcomes, statuses, latency and the rate of the last minutes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dispatcher.monitor import model, numbers
from dispatcher.monitor.glyphs import mark
from dispatcher.monitor.lines import EMPTY, Line, Span, line, span

if TYPE_CHECKING:
    from dispatcher.monitor.state import State

LATENCIES = ("p50", "p90", "p99", "max")
OUTCOMES = {"completed": "ok", "failed": "failed", "unknown": "unknown"}
"""The outcomes, and the words that there is room for."""

WIDE = 60
ROOMY = 7


def content(state: State, size: tuple[int, int]) -> list[Line]:
    """Draw the numbers in `size` (columns, rows), the most telling first."""
    width, height = size
    stats = state.shown.stats
    lines = [_rate(state, width), *_outcomes(state, width), *_latency(stats, width), *_answers(stats, width, height)]
    if len(lines) + 2 <= height:
        lines.append(_process(stats))
    if height - len(lines) >= 4:
        lines += [EMPTY, *_graph(state, width, min(height - len(lines) - 1, 6))]
    return lines


def notes(state: State) -> str:
    """Return how long the coordinator runs."""
    uptime = model.number(state.shown.stats, "uptime_seconds")
    return f"up {numbers.age(uptime)}" if uptime else ""


def _rate(state: State, width: int) -> Line:
    rate = model.number(state.shown.stats, "rate_per_second")
    label = f"rate    {rate:.1f}/s "
    seconds = state.shown.rate
    return line(label, span(numbers.sparkline(seconds, max(0, width - len(label)), state.glyphs.levels), "good"))


def _outcomes(state: State, width: int) -> list[Line]:
    executions = model.member(state.shown.stats, "executions")
    total, in_flight = (int(model.number(executions, name)) for name in ("total", "in_flight"))
    parts: list[str | Span] = []
    for outcome, word in OUTCOMES.items():
        number = int(model.number(executions, outcome))
        glyph, style = mark(state.glyphs, outcome)
        parts.append(span(f"{glyph}{numbers.count(number)} {word} ", style if number else "dim"))
    head = f"total   {numbers.count(total)}, {in_flight} in flight"
    return [line(head), line(*parts)] if width < WIDE else [line(f"{head}   ", *parts)]


def _latency(stats: model.Json, width: int) -> list[Line]:
    latency = model.member(stats, "latency_ms")
    if not any(isinstance(latency.get(name), (int, float)) for name in LATENCIES):
        return [line("latency ", span("none yet", "dim"))]
    told = [f"{name} {numbers.duration(model.number(latency, name)):<8}" for name in LATENCIES]
    if width >= WIDE:
        return [line("latency " + " ".join(told))]
    return [line(" ".join(told[:2])), line(" ".join(told[2:]))]


def _answers(stats: model.Json, width: int, height: int) -> list[Line]:
    """Draw statuses and errors, in a line each where there is room for two."""
    statuses, errors = _counts(stats.get("by_status"), ""), _counts(stats.get("by_error"), "bad")
    if width < WIDE and height < ROOMY:
        return [line(*statuses, *errors)]
    lines = [line("status  ", *statuses), line("errors  ", *errors)]
    return lines if errors else lines[:1]


def _counts(counts: Any, style: str) -> list[Span]:
    if not isinstance(counts, dict):
        return []
    known = {name: number for name, number in counts.items() if isinstance(number, int)}
    most = sorted(known.items(), key=lambda item: -item[1])
    return [span(f"{name} x{numbers.count(number)} ", style) for name, number in most]


def _process(stats: model.Json) -> Line:
    agents = model.member(stats, "agents")
    states = ", ".join(f"{number} {state}" for state, number in agents.items() if number)
    return line("agents  ", span(states or "none"))


def _graph(state: State, width: int, height: int) -> list[Line]:
    """Draw the rate of the last minutes as columns, where there is room for more than one row of it."""
    levels = state.glyphs.levels
    counts = state.shown.rate[-width:]
    highest = max(counts, default=0) or 1
    rows = []
    for row in range(height - 1, -1, -1):
        filled = (counts_to_level(number, highest, row, height, len(levels) - 1) for number in counts)
        rows.append(line(span("".join(levels[level] for level in filled).rjust(width), "good")))
    return [line(span(f"per second, last {numbers.age(len(counts))}, highest {highest}", "dim")), *rows][:height]


def counts_to_level(number: int, highest: int, row: int, height: int, steps: int) -> int:
    """Return how full the cell of a column is in a row (0 is the lowest); anything above nothing shows."""
    level = -(-number * height * steps // highest) - row * steps
    return max(0, min(steps, level))
