"""Reads the JSON object that a request brings: step 1 of a request's way. Pure; on the event loop or in a thread."""

from __future__ import annotations

import json
from email.message import Message
from typing import Any

from dispatcher.web import problems
from dispatcher.web.json_weight import MAX_VALUES, JsonWeight
from dispatcher.web.problems import Problem


def read(
    body: bytes | bytearray, content_type: str, encoding: str = "identity", weight: JsonWeight | None = None
) -> dict[str, Any]:
    """Return the object; `weight` is what was counted while the body came, if it was.

    Raises:
        Problem: 415, 400 or 422, in the order in which a body can be wrong.
    """
    text = text_of(body, content_type, encoding)
    if (_weighed(body) if weight is None else weight).is_over:
        raise problems.invalid([f"Must have fewer than {MAX_VALUES} values."])
    content = parse(text)
    if not isinstance(content, dict):
        raise problems.invalid(["The body must be a JSON object."])
    return content


def text_of(body: bytes | bytearray, content_type: str, encoding: str = "identity") -> str:
    """Return the text of a body that says it is JSON.

    Raises:
        Problem: 415 or 400.
    """
    _check_media_type(content_type)
    _check_encoding(encoding)
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise malformed("the body", error) from error


def parse(text: str, what: str = "the body") -> Any:
    """Return what JSON says. It costs by the value: who calls this knows that there are not too many.

    Raises:
        Problem: 400, of `what`.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise malformed(what, error) from error


def malformed(what: str, error: BaseException | str) -> Problem:
    """Make the answer to what is no JSON."""
    said = error if isinstance(error, str) else _first_line(error)
    return Problem(400, "malformed_json", f"{what} is not JSON: {said}")


def _weighed(body: bytes | bytearray) -> JsonWeight:
    weight = JsonWeight()
    weight.add(bytes(body))
    return weight


def _check_media_type(header: str) -> None:
    parsed = Message()
    parsed["Content-Type"] = header or "none/none"
    charset = (parsed.get_content_charset() or "utf-8").lower()
    if parsed.get_content_type() != "application/json" or charset not in ("utf-8", "utf8"):
        detail = f"the body must be application/json in UTF-8, not {header or 'of no type'}"
        raise Problem(415, "unsupported_media_type", detail, headers={"Accept": "application/json"})


def _check_encoding(header: str) -> None:
    if header.strip().lower() != "identity":
        detail = f"the body must come as it is, not in the encoding {header}"
        raise Problem(415, "unsupported_media_type", detail, headers={"Accept-Encoding": "identity"})


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return content


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
