"""The command line: which command, its settings, and the one place that turns errors into a line and an exit status.

Each command imports only what it needs, and only when it runs: imports are most of a start.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from docopt import DocoptExit, docopt

from dispatcher import __version__
from dispatcher.errors import DispatcherError, ExitStatus, SettingsError
from dispatcher.option import PROGRAM, Command, Option
from dispatcher.options import COMMANDS, MODES, TOKEN_COMMANDS
from dispatcher.usage import SYSTEMD_USAGE, TOKEN_USAGE, overview, usage

Given = Mapping[str, Any]


def main(argv: list[str] | None = None) -> int:
    """Run the program with `argv` (without its name; default: the process's own) and return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        return _run(_with_command(arguments))
    except DispatcherError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"{PROGRAM}: {line}\n")
        return error.exit_status
    except BrokenPipeError:
        # Whoever read our stdout has enough; closing it now keeps Python from complaining at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.FAILED
    except KeyboardInterrupt:
        return ExitStatus.DONE


def _run(arguments: list[str]) -> int:
    if not arguments:
        raise SettingsError(f"no command; {PROGRAM} --help lists them")
    name, *rest = arguments
    if name in ("-h", "--help", "help"):
        return _print(overview())
    if name in ("-V", "--version"):
        return _print(_versions() if "--verbose" in rest else f"{PROGRAM} {__version__}\n")
    if name.startswith("-"):
        raise SettingsError(f"the command comes first, before {name}; {PROGRAM} --help lists the commands")
    if name == "systemd":
        return _print(_systemd(rest))
    if name == "token":
        return _token(rest)
    command = COMMANDS.get(name)
    if command is None:
        near = _suggest(name, [*COMMANDS, "token", "systemd"])
        raise SettingsError(f"there is no command {name!r}{near}; {PROGRAM} --help lists them")
    if any(argument in ("-h", "--help") for argument in rest):
        return _print(usage(command))
    given = _parse(command, rest)
    _warn_of_variables()
    return _RUNNERS[command.name](given, os.environ)


def _versions() -> str:
    from dispatcher import inventory  # noqa: PLC0415 (see the module's first lines)

    return inventory.text()


def _systemd(arguments: list[str]) -> str:
    """Return the unit that runs a command with these options, or the help to that."""
    role, *rest = arguments or [""]
    if any(argument in ("-h", "--help") for argument in arguments):
        return SYSTEMD_USAGE
    if role not in ("agent", "coordinator"):
        raise SettingsError(
            f"systemd: needs agent or coordinator first, not {role!r}; {PROGRAM} systemd --help says more"
        )
    given = _parse(COMMANDS[role], rest)
    if given.get("--state-dir"):
        raise SettingsError(f"--state-dir: a unit has its own, /var/lib/dispatcher-{role}")
    from dispatcher import settings, systemd  # noqa: PLC0415 (see the module's first lines)

    # The environment of whoever asks is not the unit's.
    if role == "agent":
        return systemd.agent(rest, settings.agent(given, {}))
    return systemd.coordinator(rest, settings.coordinator(given, {}))


def _token(arguments: list[str]) -> int:
    """Run `token create|list|revoke`; what `revoke` takes away may stand without its flag."""
    verb, *rest = arguments or [""]
    if verb in ("-h", "--help"):
        return _print(TOKEN_USAGE)
    command = TOKEN_COMMANDS.get(f"token {verb}")
    if command is None:
        instead = f", not {verb!r}" if verb else ""
        raise SettingsError(f"token: needs create, list or revoke first{instead}")
    if any(argument in ("-h", "--help") for argument in rest):
        return _print(usage(command))
    if verb == "revoke" and rest and not rest[0].startswith("-"):
        rest = ["--token-id", *rest]
    from dispatcher.auth.command import RUNNERS  # noqa: PLC0415 (see the module's first lines)

    given = _parse(command, rest)
    _warn_of_variables()
    return RUNNERS[command.name](given, os.environ)


def _warn_of_variables() -> None:
    from dispatcher import variables  # noqa: PLC0415 (see the module's first lines)

    for line in variables.warnings(os.environ):
        sys.stderr.write(f"{PROGRAM}: warning: {line}\n")


def _print(text: str) -> int:
    sys.stdout.write(text)
    # Here and not at Python's exit, where a reader that has gone away would be a trace.
    sys.stdout.flush()
    return ExitStatus.DONE


def _with_command(arguments: list[str]) -> list[str]:
    """Turn the older form, `--mode` or DISPATCHER_MODE, into the command that it means."""
    for place, argument in enumerate(arguments):
        option, has_value, value = argument.partition("=")
        if option == "--mode":
            rest = arguments[place + 1 :]
            if not has_value:
                value, rest = (rest[0], rest[1:]) if rest else ("", [])
            return [_mode(value, "--mode"), *arguments[:place], *rest]
    mode = os.environ.get("DISPATCHER_MODE", "")
    has_command = bool(arguments) and (
        not arguments[0].startswith("-") or arguments[0] in ("-h", "--help", "-V", "--version")
    )
    if mode and not has_command:
        return [_mode(mode, "DISPATCHER_MODE"), *arguments]
    return arguments


def _mode(value: str, source: str) -> str:
    if value not in MODES:
        raise SettingsError(f"{source}: must be one of {', '.join(MODES)}, not {value!r}{_suggest(value, MODES)}")
    return MODES[value]


def _parse(command: Command, arguments: list[str]) -> Given:
    _check(command, arguments)
    try:
        given: Given = docopt(usage(command), [*command.name.split(), *arguments], default_help=False)
    except DocoptExit:
        raise SettingsError(f"the options cannot be read; {PROGRAM} {command.name} --help shows them") from None
    return given


def _check(command: Command, arguments: list[str]) -> None:
    """Say in our words, and all together, what docopt would answer with the whole usage text."""
    by_flag = {option.flag: option for option in command.options}
    faults: list[str] = []
    seen: list[Option] = []
    waiting: Option | None = None
    is_after_unknown = False
    for argument in arguments:
        name, has_value, _ = argument.partition("=")
        option = by_flag.get(name)
        if option is None:
            is_value = waiting is not None or (is_after_unknown and not argument.startswith("-"))
            is_after_unknown = not is_value and argument.startswith("-") and not has_value
            faults += [] if is_value else [_unknown(name if argument.startswith("-") else argument, by_flag)]
            waiting = None
            continue
        faults += _faults_of(option, has_value=bool(has_value), waiting=waiting, is_repeated=option in seen)
        seen.append(option)
        waiting = option if option.metavar and not has_value else None
        is_after_unknown = False
    faults += [] if waiting is None else [_needs_value(waiting)]
    if faults:
        raise SettingsError("\n".join((*faults, f"{PROGRAM} {command.name} --help shows the options")))


def _faults_of(option: Option, *, has_value: bool, waiting: Option | None, is_repeated: bool) -> list[str]:
    faults = [] if waiting is None else [_needs_value(waiting)]
    if is_repeated and not option.repeats:
        faults.append(f"{option.flag}: may be given once only")
    elif has_value and not option.metavar:
        faults.append(f"{option.flag}: takes no value")
    return faults


def _needs_value(option: Option) -> str:
    return f"{option.flag}: needs a value ({option.metavar})"


def _unknown(argument: str, flags: Any) -> str:
    if argument.startswith("-"):
        return f"there is no option {argument}{_suggest(argument, flags)}"
    return f"there is nothing to do with {argument!r}"


def _suggest(word: str, known: Any) -> str:
    # Without their dashes, which would make any two options alike.
    bare = {name.lstrip("-"): name for name in known}
    near = difflib.get_close_matches(word.lstrip("-"), bare, n=1)
    return f"; did you mean {bare[near[0]]}?" if near else ""


def _coordinator(given: Given, environment: Mapping[str, str]) -> int:
    from dispatcher import coordinator, settings  # noqa: PLC0415 (see the module's first lines)

    return coordinator.run(settings.coordinator(given, environment))


def _agent(given: Given, environment: Mapping[str, str]) -> int:
    from dispatcher import native, settings  # noqa: PLC0415 (see the module's first lines)
    from dispatcher.auth.credentials import read_token  # noqa: PLC0415 (see the module's first lines)

    wanted = settings.agent(given, environment)
    token = read_token(wanted.token_file, environment)
    native.need_pycurl()
    from dispatcher.agent import main as agent  # noqa: PLC0415 (see the module's first lines)

    return agent.run(wanted, token)


def _monitor(given: Given, environment: Mapping[str, str]) -> int:
    from dispatcher import settings  # noqa: PLC0415 (see the module's first lines)
    from dispatcher.auth.credentials import read_token  # noqa: PLC0415 (see the module's first lines)
    from dispatcher.monitor import main as monitor  # noqa: PLC0415 (see the module's first lines)

    wanted = settings.monitor(given, environment)
    return monitor.run(wanted, read_token(wanted.token_file, environment))


def _execute(given: Given, environment: Mapping[str, str]) -> int:
    from dispatcher import settings  # noqa: PLC0415 (see the module's first lines)
    from dispatcher.auth.credentials import read_token  # noqa: PLC0415 (see the module's first lines)
    from dispatcher.execute import main as execute  # noqa: PLC0415 (see the module's first lines)

    wanted = settings.execute(given, environment)
    return execute.run(wanted, read_token(wanted.token_file, environment))


def _demo(given: Given, environment: Mapping[str, str]) -> int:
    from dispatcher import demo, native, settings  # noqa: PLC0415 (see the module's first lines)

    native.need_pycurl()
    return demo.run(settings.demo(given, environment))


def _self_test(given: Given, environment: Mapping[str, str]) -> int:
    from dispatcher import selftest, settings  # noqa: PLC0415 (see the module's first lines)

    return selftest.run(settings.self_test(given, environment))


_RUNNERS: dict[str, Callable[[Given, Mapping[str, str]], int]] = {
    "coordinator": _coordinator,
    "agent": _agent,
    "monitor": _monitor,
    "execute": _execute,
    "demo": _demo,
    "self-test": _self_test,
}
