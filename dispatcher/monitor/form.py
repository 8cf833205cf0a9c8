"""The form for the configured request: its fields, what keys do to them, and the JSON they make. Pure.

What would surprise: secrets are not put on the screen. A header value or URL that the coordinator shows redacted stands
redacted in the form too, and where that text is left alone, what was stored goes back with the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dispatcher.monitor import model
from dispatcher.monitor.curl_line import CurlRequest, body_of, is_curl, parse
from dispatcher.monitor.editing import Text, edit, insert
from dispatcher.monitor.model import NOTHING, Json
from dispatcher.monitor.shell_words import CurlError

FIELDS = ("url", "method", "headers", "body", "timeout", "follow_redirects", "verify_tls", "http_version", "save")
MANY_LINES = ("headers", "body")
CHOICES = {
    "follow_redirects": ("no", "yes"),
    "verify_tls": ("yes", "no"),
    "http_version": ("auto", "1.1", "2", "3"),
}
LABELS = {
    "url": "URL",
    "method": "Method",
    "headers": "Headers",
    "body": "Body",
    "timeout": "Timeout, s",
    "follow_redirects": "Redirects",
    "verify_tls": "Verify TLS",
    "http_version": "HTTP",
}
"""What people call the fields."""

REDACTED = "[redacted]"
EDITED_BODY_CHARS = 64 * 1024
"""The longest body that is edited here; a longer one, or one that is no text, is kept unless it is typed over."""


@dataclass(frozen=True, slots=True)
class Form:
    """The form. `stored` is the configuration it started from, `shown` what the feed shows of it, without secrets."""

    stored: Json = field(default_factory=dict)
    shown: Json = field(default_factory=dict)
    values: Mapping[str, Text] = field(default_factory=dict)
    focus: int = 0
    errors: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    keeps_body: bool = False
    is_saving: bool = False

    @property
    def is_touched(self) -> bool:
        """Say whether anything stands there that was not there when the form was opened."""
        at_first = opened(self.stored, self.shown)
        return (
            any(self.value(name) != at_first.value(name) for name in FIELDS) or self.keeps_body != at_first.keeps_body
        )

    @property
    def name(self) -> str:
        """The field in focus."""
        return FIELDS[self.focus]

    def value(self, name: str) -> str:
        """Return the text of a field."""
        return self.values[name].text


def opened(stored: Json, shown: Json | None) -> Form:
    """Make the form for a stored configuration; both empty where there is none."""
    shown = shown or NOTHING
    body = stored.get("body")
    keeps_body = bool(stored.get("body_base64")) or (isinstance(body, str) and len(body) > EDITED_BODY_CHARS)
    values = {
        "url": str(shown.get("url") if REDACTED in str(shown.get("url")) else stored.get("url", "http://")),
        "method": str(stored.get("method", "GET")),
        "headers": "\n".join(f"{name}: {value}" for name, value in _masked(stored, shown)),
        "body": body if isinstance(body, str) and not keeps_body else "",
        "timeout": f"{model.number(stored, 'timeout') or 30.0:g}",
        "follow_redirects": "yes" if stored.get("follow_redirects") else "no",
        "verify_tls": "no" if stored.get("verify_tls") is False else "yes",
        "http_version": str(stored.get("http_version", "auto")),
        "save": "",
    }
    return Form(
        stored=stored,
        shown=shown,
        values={name: Text(value, len(value)) for name, value in values.items()},
        keeps_body=keeps_body,
    )


def _masked(stored: Json, shown: Json) -> list[tuple[str, str]]:
    secret = {name.lower() for name, value in model.pairs(shown, "headers") if value == REDACTED}
    return [(name, REDACTED if name.lower() in secret else value) for name, value in model.pairs(stored, "headers")]


def press(form: Form, key: str) -> Form:
    """Return the form after a key that is about its fields; saving and leaving is not decided here."""
    if key == "tab" or (key == "enter" and form.name not in MANY_LINES):
        return moved(form, 1)
    if key == "backtab":
        return moved(form, -1)
    if form.name in CHOICES:
        return _choose(form, key)
    if form.name == "save":
        return moved(form, {"up": -1, "down": 1}.get(key, 0))
    before = form.values[form.name]
    after = edit(before, key, has_many_lines=form.name in MANY_LINES)
    if after is before and key in ("up", "down"):
        return moved(form, 1 if key == "down" else -1)
    return _with(form, form.name, after)


def paste(form: Form, text: str) -> Form:
    """Return the form after a paste: a curl command line fills all of it, anything else goes into the field."""
    if is_curl(text):
        return _take_curl(form, text)
    if form.name in CHOICES or form.name == "save":
        return form
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if form.name not in MANY_LINES:
        text = "".join(text.split("\n"))
    return _with(form, form.name, insert(form.values[form.name], text))


def moved(form: Form, step: int) -> Form:
    """Return the form with another field in focus. A curl command typed as the URL is taken when it is left."""
    if form.name == "url" and is_curl(form.value("url")):
        form = _take_curl(form, form.value("url"))
    return replace(form, focus=(form.focus + step) % len(FIELDS))


def _choose(form: Form, key: str) -> Form:
    step = {" ": 1, "right": 1, "left": -1}.get(key)
    if step is None:
        return moved(form, {"up": -1, "down": 1}.get(key, 0))
    options = CHOICES[form.name]
    place = options.index(form.value(form.name)) if form.value(form.name) in options else 0
    return _with(form, form.name, Text(options[(place + step) % len(options)]))


def _with(form: Form, name: str, text: Text) -> Form:
    is_same = text.text == form.value(name)
    errors = form.errors if is_same else {key: value for key, value in form.errors.items() if key != name}
    keeps_body = form.keeps_body and (name != "body" or is_same)
    return replace(form, values={**form.values, name: text}, errors=errors, keeps_body=keeps_body)


def _take_curl(form: Form, text: str) -> Form:
    try:
        asked = parse(text)
    except CurlError as error:
        return replace(form, note=f"curl: {error}; nothing was taken over")
    values = {name: Text(value, len(value)) for name, value in _curl_values(asked).items()}
    note = "taken from the curl command; ctrl-s saves it"
    return replace(form, values={**form.values, **values}, errors={}, keeps_body=False, note=note)


def _curl_values(asked: CurlRequest) -> dict[str, str]:
    values = {
        "url": asked.url,
        "method": asked.method or "GET",
        "headers": "\n".join(f"{name}: {value}" for name, value in asked.headers),
        "body": body_of(asked) or "",
        "follow_redirects": "yes" if asked.follow_redirects else "no",
        "verify_tls": "yes" if asked.verify_tls else "no",
        "http_version": asked.http_version or "auto",
    }
    return values if asked.timeout is None else {**values, "timeout": f"{asked.timeout:g}"}


def to_request(form: Form) -> tuple[Json, dict[str, str]]:
    """Return the configuration that the form makes, and what is wrong with fields that make none.

    Fields that the form does not show stay as they were stored.
    """
    errors: dict[str, str] = {}
    headers = _headers(form, errors)
    try:
        timeout = float(form.value("timeout"))
    except ValueError:
        timeout, errors["timeout"] = 0.0, "Must be a number of seconds."
    content: dict[str, Any] = {key: value for key, value in form.stored.items() if key != "revision"}
    url = form.value("url").strip()
    content |= {
        "url": form.stored["url"] if REDACTED in url and url == form.shown.get("url") else url,
        "method": form.value("method").strip(),
        "headers": headers,
        "timeout": timeout,
        "follow_redirects": form.value("follow_redirects") == "yes",
        "verify_tls": form.value("verify_tls") == "yes",
        "http_version": form.value("http_version"),
    }
    if not form.keeps_body:
        content |= {"body": form.value("body") or None, "body_base64": None}
    return content, errors


def _headers(form: Form, errors: dict[str, str]) -> list[list[str]]:
    stored = model.pairs(form.stored, "headers")
    headers = []
    for line in form.value("headers").splitlines():
        if not line.strip():
            continue
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not name:
            errors.setdefault("headers", f"{line.strip()[:40]!r}: must be a name, a colon and a value.")
        if value == REDACTED:
            # The first stored line of that name whose secret was not given back yet.
            known = next((pair for pair in stored if pair[0].lower() == name.lower()), None)
            if known is not None:
                stored.remove(known)
                value = known[1]
        headers.append([name, value])
    return headers


def with_errors(form: Form, problem: Json) -> Form:
    """Return the form with what the coordinator says is wrong, each beside its field, the first in focus."""
    errors: dict[str, str] = {}
    rest = []
    for error in model.objects(problem, "errors"):
        pointer, detail = str(error.get("pointer", "")), str(error.get("detail", ""))
        name, _, inner = pointer.removeprefix("/").partition("/")
        name = "body" if name == "body_base64" else name
        if name not in form.values:
            rest.append(f"{name or 'the request'}: {detail}")
        elif name not in errors:
            errors[name] = f"line {int(inner) + 1}: {detail}" if inner.isdigit() else detail
    wrong = " and ".join(LABELS[name].partition(",")[0] for name in FIELDS if name in errors)
    note = "; ".join([f"not stored: see {wrong}"] * bool(wrong) + rest) or f"not stored: {problem.get('detail')}"
    focus = next((number for number, name in enumerate(FIELDS) if name in errors), form.focus)
    return replace(form, errors=errors, note=note, focus=focus, is_saving=False)
