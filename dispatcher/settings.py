"""The settings of a command: layers merged raw, checked once, every fault reported together.

Command line beats environment beats default. The table of options is `options.py`; this makes typed values of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import platformdirs
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from dispatcher.errors import SettingsError
from dispatcher.option import Command, Kind, Option
from dispatcher.options import AGENT, COORDINATOR, DEMO, EXECUTE, MONITOR, SELF_TEST
from dispatcher.setting_fields import FIELDS
from dispatcher.wire import limits

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class CoordinatorSettings:
    """What `options.COORDINATOR` says. Times are seconds; a `history_max_age` of 0 means for ever.

    A `max_connections_per_client` of 0 is half of `max_connections`.
    """

    host: str
    port: int
    tls_cert: Path | None
    tls_key: Path | None
    tls_client_ca: Path | None
    state_dir: Path
    require_token: bool
    insecure_no_auth: bool
    allow_origin: tuple[str, ...]
    allow_host: tuple[str, ...]
    max_connections: int
    max_connections_per_client: int
    idle_timeout: float
    body_timeout: float
    send_timeout: float
    history_max_records: int
    history_max_age: float
    history_max_bytes: int
    history_body_bytes: int
    max_in_flight: int
    max_queue: int
    max_request_bytes: int
    max_agents: int
    grace: float
    exit_pause_max: float
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
    token_file: Path | None
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
    token_file: Path | None
    json: bool
    once: bool
    log_level: str


@dataclass(frozen=True, slots=True)
class ExecuteSettings:
    """What `options.EXECUTE` says. A `concurrency` of 0 is what the agents take."""

    coordinator_url: str
    ca_file: Path | None
    token_file: Path | None
    count: int
    concurrency: int
    json: bool


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
    return load(COORDINATOR, CoordinatorSettings, given, environment, _coordinator_faults)


def agent(given: Mapping[str, Any], environment: Mapping[str, str]) -> AgentSettings:
    """Make the agent's settings; see `coordinator`."""
    return load(AGENT, AgentSettings, given, environment, _client_faults)


def monitor(given: Mapping[str, Any], environment: Mapping[str, str]) -> MonitorSettings:
    """Make the monitor's settings; see `coordinator`."""
    return load(MONITOR, MonitorSettings, given, environment, _client_faults)


def execute(given: Mapping[str, Any], environment: Mapping[str, str]) -> ExecuteSettings:
    """Make the settings of `execute`; see `coordinator`."""
    return load(EXECUTE, ExecuteSettings, given, environment, _client_faults)


def demo(given: Mapping[str, Any], environment: Mapping[str, str]) -> DemoSettings:
    """Make the demo's settings; see `coordinator`."""
    return load(DEMO, DemoSettings, given, environment)


def self_test(given: Mapping[str, Any], environment: Mapping[str, str]) -> SelfTestSettings:
    """Make the self-test's settings; see `coordinator`."""
    return load(SELF_TEST, SelfTestSettings, given, environment)


def _coordinator_faults(loaded: Mapping[str, Any]) -> dict[str, Any]:
    faults = _ping_faults(loaded) | _without_certificate(loaded, "tls_key", "tls_client_ca")
    if loaded.get("insecure_no_auth") and loaded.get("require_token"):
        faults["insecure_no_auth"] = ["Says the opposite of --require-token."]
    if len(loaded.get("redact_header", ())) > limits.MAX_SECRET_HEADERS:
        faults["redact_header"] = [f"May be given {limits.MAX_SECRET_HEADERS} times at most."]
    return faults


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


def load(
    command: Command,
    make: Callable[..., S],
    given: Mapping[str, Any],
    environment: Mapping[str, str],
    check_together: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda _: {},
) -> S:
    """Make a command's settings with `make`, which takes them by name; see `coordinator`."""
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
    single = FIELDS[option.kind]
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
