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

from dispatcher.checks import AGENT_ID, TOKEN, AddressField, WholeField
from dispatcher.errors import SettingsError
from dispatcher.options import AGENT, COORDINATOR, DEMO, MONITOR, SELF_TEST, Command, Kind, Option

S = TypeVar("S")

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_NOT_IN_NAME = re.compile(r"[\x00-\x20\x7f\\/@]")
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f\\]")
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True, slots=True)
class CoordinatorSettings:
    """What `options.COORDINATOR` says. Times are seconds; a `history_max_age` of 0 means for ever."""

    host: str
    port: int
    tls_cert: Path | None
    tls_key: Path | None
    tls_client_ca: Path | None
    state_dir: Path
    history_max_records: int
    history_max_age: float
    history_max_bytes: int
    history_body_bytes: int
    max_in_flight: int
    max_queue: int
    max_request_bytes: int
    max_agents: int
    grace: float
    registration_timeout: float
    forget_agents_after: float
    takeover_timeout: float
    resume_timeout: float
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
    ca_file: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    agent_id: str | None
    state_dir: Path
    address: tuple[str, ...]
    interface: tuple[str, ...]
    include_temporary: bool
    include_ula: bool
    allow_target: tuple[str, ...]
    deny_target: tuple[str, ...]
    min_speed: int
    min_speed_time: float
    max_addresses: int
    max_concurrency: int
    max_queue: int
    reconnect_max: float
    undelivered_bytes: int
    drain_timeout: float
    stall_warning: float
    log_level: str


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """What `options.MONITOR` says."""

    coordinator_url: str
    ca_file: Path | None
    json: bool
    once: bool
    log_level: str


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """What `options.DEMO` says."""

    monitor: bool
    log_level: str


@dataclass(frozen=True, slots=True)
class SelfTestSettings:
    """What `options.SELF_TEST` says."""

    state_dir: Path


def coordinator(given: Mapping[str, Any], environment: Mapping[str, str]) -> CoordinatorSettings:
    """Make the coordinator's settings of what the command line gave and of the environment.

    Raises:
        SettingsError: a line for each setting that is wrong.
    """
    return _load(COORDINATOR, CoordinatorSettings, given, environment, _coordinator_faults)


def agent(given: Mapping[str, Any], environment: Mapping[str, str]) -> AgentSettings:
    """Make the agent's settings; see `coordinator`."""
    return _load(AGENT, AgentSettings, given, environment, _client_faults)


def monitor(given: Mapping[str, Any], environment: Mapping[str, str]) -> MonitorSettings:
    """Make the monitor's settings; see `coordinator`."""
    return _load(MONITOR, MonitorSettings, given, environment, _client_faults)


def demo(given: Mapping[str, Any], environment: Mapping[str, str]) -> DemoSettings:
    """Make the demo's settings; see `coordinator`."""
    return _load(DEMO, DemoSettings, given, environment)


def self_test(given: Mapping[str, Any], environment: Mapping[str, str]) -> SelfTestSettings:
    """Make the self-test's settings; see `coordinator`."""
    return _load(SELF_TEST, SelfTestSettings, given, environment)


def _coordinator_faults(loaded: Mapping[str, Any]) -> dict[str, Any]:
    return _ping_faults(loaded) | _without_certificate(loaded, "tls_key", "tls_client_ca")


def _client_faults(loaded: Mapping[str, Any]) -> dict[str, Any]:
    faults = _without_certificate(loaded, "tls_key")
    if str(loaded.get("coordinator_url", "")).startswith("http:"):
        # Left unsaid, somebody would believe that what is sent is encrypted.
        useless = [key for key in ("ca_file", "tls_cert") if loaded.get(key) is not None]
        faults |= {key: ["Needs an https:// --coordinator-url."] for key in useless}
    return faults


def _without_certificate(loaded: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    if loaded.get("tls_cert") is not None:
        return {}
    return {key: ["Needs --tls-cert too."] for key in keys if loaded.get(key) is not None}


def _ping_faults(loaded: Mapping[str, Any]) -> dict[str, Any]:
    # One that is wrong by itself is not there.
    if loaded.get("ping_timeout", 0) <= loaded.get("ping_interval", float("inf")):
        return {}
    return {"ping_timeout": ["Must be at most --ping-interval."]}


def _load(
    command: Command,
    make: Callable[..., S],
    given: Mapping[str, Any],
    environment: Mapping[str, str],
    check_together: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda _: {},
) -> S:
    raw = {option.key: value for option in command.options if (value := _raw(option, given, environment)) is not None}
    schema = Schema.from_dict({option.key: _field(option) for option in command.options}, name=command.name)
    faults: dict[str, Any] = {}
    try:
        loaded: dict[str, Any] = schema(unknown=EXCLUDE).load(raw)
    except ValidationError as error:
        loaded = error.valid_data  # type: ignore[assignment]  # a list only where many are loaded
        faults = error.normalized_messages()  # type: ignore[no-untyped-call]  # marshmallow leaves it so
    faults |= check_together(loaded)
    if faults:
        raise SettingsError(_report(command, given, raw, faults))
    return make(**{key: tuple(value) if isinstance(value, list) else value for key, value in loaded.items()})


def _raw(option: Option, given: Mapping[str, Any], environment: Mapping[str, str]) -> Any:
    value = given.get(option.flag)
    if value not in (None, False, []):
        return value
    text = environment.get(option.variable, "")
    if not text:
        return None
    return [item.strip() for item in text.split(",") if item.strip()] if option.repeats else text


def _report(command: Command, given: Mapping[str, Any], raw: Mapping[str, Any], faults: Mapping[str, Any]) -> str:
    lines = []
    for option in command.options:
        is_typed = given.get(option.flag) not in (None, False, [])
        source = option.flag if is_typed else f"{option.flag} ({option.variable})"
        lines += [f"{source}: {text}" for text in _texts(faults.get(option.key, []), raw.get(option.key))]
    return "\n".join(lines)


def _texts(messages: Any, value: Any) -> list[str]:
    if isinstance(messages, dict):
        return [f"{value[place]!r}: {text}" for place, texts in messages.items() for text in texts]
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


class _Text(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = str(super()._deserialize(value, attr, data, **kwargs))
        if not text.strip():
            raise ValidationError("Must not be empty.")
        return text


class _Number(fields.Float):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not _NUMBER.fullmatch(str(value)):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class _Host(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = str(value)
        if ":" in text or "[" in text:
            return str(AddressField().deserialize(text))
        try:
            # What cannot be written for the resolver would end the start with a trace.
            is_name = bool(text.encode("idna")) and not _NOT_IN_NAME.search(text)
        except UnicodeError:
            is_name = False
        if not is_name:
            raise ValidationError("Must be a name or an address.")
        return text


class _ExitAddress(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        from dispatcher.agent.address_rules import parse_explicit  # noqa: PLC0415 - only an agent needs it

        try:
            return parse_explicit(str(value))
        except ValueError as error:
            raise ValidationError(str(error)) from error


class _Target(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        from dispatcher.agent.target_rules import parse_rule  # noqa: PLC0415 - only an agent needs it

        try:
            return parse_rule(str(value))
        except ValueError as error:
            raise ValidationError(str(error)) from error


class _BaseUrl(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        url = str(super()._deserialize(value, attr, data, **kwargs))
        if _NOT_IN_URL.search(url):
            raise ValidationError("Must not hold spaces, control characters or backslashes.")
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
        if not str(value).strip():
            raise ValidationError("Must not be empty.")
        try:
            return Path(str(value)).expanduser()
        except RuntimeError as error:
            raise ValidationError("Names the home of a user who is not known here.") from error


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
    Kind.TEXT: _Text,
    Kind.WHOLE: WholeField,
    Kind.NUMBER: _Number,
    Kind.FLAG: fields.Boolean,
    Kind.LOG_LEVEL: _LogLevel,
    Kind.HOST: _Host,
    Kind.URL: _BaseUrl,
    Kind.ADDRESS: _ExitAddress,
    Kind.AGENT_ID: _AgentId,
    Kind.PATH: _Path,
    Kind.FILE: _Path,
    Kind.HEADER: _HeaderName,
    Kind.TARGET: _Target,
}
