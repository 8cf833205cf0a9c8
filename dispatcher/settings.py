"""The settings of a command: layers merged raw, checked once, every fault reported together.

Command line beats environment beats default. The table of options is `options.py`; this makes typed values of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import platformdirs
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from dispatcher.checks import AGENT_ID, TOKEN, AddressField
from dispatcher.errors import SettingsError
from dispatcher.options import AGENT, COORDINATOR, DEMO, MONITOR, Command, Kind, Option

S = TypeVar("S")

_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True, slots=True)
class CoordinatorSettings:
    """What `options.COORDINATOR` says. Times are seconds; a `history_max_age` of 0 means for ever."""

    host: str
    port: int
    state_dir: Path
    history_max_records: int
    history_max_age: float
    history_max_bytes: int
    history_body_bytes: int
    max_in_flight: int
    max_request_bytes: int
    max_agents: int
    grace: float
    registration_timeout: float
    ping_interval: float
    ping_timeout: float
    redact_header: tuple[str, ...]
    drain_timeout: float
    stall_warning: float
    log_level: str


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What `options.AGENT` says. Times are seconds."""

    coordinator_url: str
    agent_id: str | None
    address: tuple[str, ...]
    interface: tuple[str, ...]
    include_temporary: bool
    include_ula: bool
    max_addresses: int
    max_concurrency: int
    max_queue: int
    reconnect_max: float
    drain_timeout: float
    stall_warning: float
    log_level: str


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """What `options.MONITOR` says."""

    coordinator_url: str
    json: bool
    once: bool
    log_level: str


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """What `options.DEMO` says."""

    monitor: bool
    log_level: str


def coordinator(given: Mapping[str, Any], environment: Mapping[str, str]) -> CoordinatorSettings:
    """Make the coordinator's settings of what the command line gave and of the environment.

    Raises:
        SettingsError: a line for each setting that is wrong.
    """
    settings = _load(COORDINATOR, CoordinatorSettings, given, environment)
    if settings.ping_timeout > settings.ping_interval:
        raise SettingsError("--ping-timeout: Must be at most --ping-interval.")
    return settings


def agent(given: Mapping[str, Any], environment: Mapping[str, str]) -> AgentSettings:
    """Make the agent's settings; see `coordinator`."""
    return _load(AGENT, AgentSettings, given, environment)


def monitor(given: Mapping[str, Any], environment: Mapping[str, str]) -> MonitorSettings:
    """Make the monitor's settings; see `coordinator`."""
    return _load(MONITOR, MonitorSettings, given, environment)


def demo(given: Mapping[str, Any], environment: Mapping[str, str]) -> DemoSettings:
    """Make the demo's settings; see `coordinator`."""
    return _load(DEMO, DemoSettings, given, environment)


def _load(command: Command, make: Callable[..., S], given: Mapping[str, Any], environment: Mapping[str, str]) -> S:
    raw = {option.key: value for option in command.options if (value := _raw(option, given, environment)) is not None}
    schema = Schema.from_dict({option.key: _field(option) for option in command.options}, name=command.name)
    try:
        loaded = schema(unknown=EXCLUDE).load(raw)
    except ValidationError as error:
        raise SettingsError(_report(command, given, error)) from error
    return make(**{key: tuple(value) if isinstance(value, list) else value for key, value in loaded.items()})


def _raw(option: Option, given: Mapping[str, Any], environment: Mapping[str, str]) -> Any:
    value = given.get(option.flag)
    if value not in (None, False, []):
        return value
    text = environment.get(option.variable, "")
    if not text:
        return None
    return [item.strip() for item in text.split(",") if item.strip()] if option.repeats else text


def _report(command: Command, given: Mapping[str, Any], error: ValidationError) -> str:
    by_key = {option.key: option for option in command.options}
    lines = []
    faults: dict[str, Any] = error.normalized_messages()  # type: ignore[no-untyped-call]  # marshmallow leaves it so
    for key, messages in faults.items():
        option = by_key[key]
        source = (
            option.flag if given.get(option.flag) not in (None, False, []) else f"{option.flag} ({option.variable})"
        )
        lines += [f"{source}: {message}" for message in _texts(messages)]
    return "\n".join(lines)


def _texts(messages: Any) -> list[str]:
    if isinstance(messages, dict):
        return [text for inner in messages.values() for text in _texts(inner)]
    return [str(message) for message in messages]


def _field(option: Option) -> fields.Field[Any]:
    single = _FIELDS[option.kind]
    if option.repeats:
        return fields.List(single(), load_default=list)
    arguments: dict[str, Any] = {"required": True} if option.is_required else {"load_default": _default(option)}
    if option.is_required:
        arguments["error_messages"] = {"required": f"Is missing; give it or set {option.variable}."}
    if option.low is not None:
        arguments["validate"] = validate.Range(option.low, option.high)
    return single(**arguments)


def _default(option: Option) -> Any:
    if option.kind is Kind.PATH:
        return lambda: Path(platformdirs.user_state_dir("dispatcher", appauthor=False))
    return option.default


class _Host(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        host = str(super()._deserialize(value, attr, data, **kwargs))
        host = host.removeprefix("[").removesuffix("]")
        if not host or re.search(r"[\s/@\[\]]", host):
            raise ValidationError("Must be a name or an address.")
        return host


class _BaseUrl(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        url = str(super()._deserialize(value, attr, data, **kwargs))
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ValidationError(f"Not a URL: {error}.") from error
        if parts.scheme not in ("http", "https") or not host or port == 0:
            raise ValidationError("Must be an http or https URL with a host, such as http://localhost:8000.")
        if parts.query or parts.fragment:
            raise ValidationError("Must not have a query or a fragment.")
        return url.rstrip("/")


class _Path(fields.Field[Path]):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Path:
        return Path(str(value)).expanduser()


class _LogLevel(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        level = str(value).upper()
        if level not in _LOG_LEVELS:
            raise ValidationError(f"Must be one of {', '.join(_LOG_LEVELS)}.")
        return level


class _AgentId(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not AGENT_ID.fullmatch(str(value)):
            raise ValidationError("Must be letters, digits and ._-, 64 at most, and start with a letter or digit.")
        return str(value)


class _HeaderName(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not TOKEN.fullmatch(str(value)):
            raise ValidationError("Not a header's name.")
        return str(value)


_FIELDS: dict[Kind, type[fields.Field[Any]]] = {
    Kind.TEXT: fields.String,
    Kind.WHOLE: fields.Integer,
    Kind.NUMBER: fields.Float,
    Kind.FLAG: fields.Boolean,
    Kind.LOG_LEVEL: _LogLevel,
    Kind.HOST: _Host,
    Kind.URL: _BaseUrl,
    Kind.ADDRESS: AddressField,
    Kind.AGENT_ID: _AgentId,
    Kind.PATH: _Path,
    Kind.HEADER: _HeaderName,
}
