"""The panel of the configured request, without its secrets: the coordinator left them out. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.monitor import model, numbers
from dispatcher.monitor.lines import Line, line, span

if TYPE_CHECKING:
    from dispatcher.monitor.state import State


def content(state: State, size: tuple[int, int]) -> list[Line]:
    """Draw the request in `size` (columns, rows), the most telling first."""
    request = state.shown.request
    if request is None:
        return [line(span("none: c configures one", "dim"))]
    _, height = size
    first = line(span(f"{request.get('method', '')} ", "title"), span(str(request.get("url", ""))))
    headers = [line(span(f"{name}: ", "dim"), span(value)) for name, value in model.pairs(request, "headers")]
    lines = [first, line(_options(request)), *_body(request)]
    room = height - len(lines)
    if len(headers) > room:
        more = f"{len(headers)} headers" if room <= 1 else f"and {len(headers) - room + 1} more headers"
        headers = [*headers[: max(0, room - 1)], line(span(more, "dim"))]
    return [*lines, *headers]


def notes(state: State) -> str:
    """Return the revision."""
    request = state.shown.request
    return f"revision {request.get('revision', '?')}" if request is not None else ""


def _options(request: model.Json) -> str:
    follows = f"follows {request.get('max_redirects')} redirects" if request.get("follow_redirects") else "no redirects"
    parts = [f"timeout {model.number(request, 'timeout'):g} s", follows]
    if retries := int(model.number(request, "retries")):
        parts.append(f"{retries} retries")
    if request.get("verify_tls") is False:
        parts.append("TLS not verified")
    if request.get("http_version") not in ("auto", None):
        parts.append(f"HTTP/{request['http_version']}")
    return ", ".join(parts)


def _body(request: model.Json) -> list[Line]:
    size = request.get("body_size")
    if not isinstance(size, int) or not size:
        return []
    start = str(request.get("body") or "")
    return [line(span(f"body {numbers.size(size)} ", "dim"), span(start[:200]))]
