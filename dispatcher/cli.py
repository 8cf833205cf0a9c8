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
from dispatcher.options import COMMANDS, MODES, PROGRAM, Command, overview, usage

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
        sys.stdout.write(overview())
        return ExitStatus.DONE
    if name in ("-V", "--version"):
        sys.stdout.write(f"{PROGRAM} {__version__}\n")
        return ExitStatus.DONE
    command = COMMANDS.get(name)
    if command is None:
        raise SettingsError(f"there is no command {name!r}{_suggest(name, COMMANDS)}; {PROGRAM} --help lists them")
    if any(argument in ("-h", "--help") for argument in rest):
        sys.stdout.write(usage(command))
        return ExitStatus.DONE
    return _RUNNERS[command.name](_parse(command, rest), os.environ)


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
    _refuse_unknown(command, arguments)
    try:
        given: Given = docopt(usage(command), [command.name, *arguments], default_help=False)
    except DocoptExit:
        wanted = ", ".join(option.flag for option in command.options if option.metavar)
        raise SettingsError(
            f"the options cannot be read: each of {wanted} takes one value, and nothing else may stand there; "
            f"{PROGRAM} {command.name} --help shows them"
        ) from None
    return given


def _refuse_unknown(command: Command, arguments: list[str]) -> None:
    flags = [option.flag for option in command.options]
    takes_value = {option.flag for option in command.options if option.metavar}
    unknown = []
    skip = False
    for argument in arguments:
        name = argument.partition("=")[0]
        if not skip and argument.startswith("-") and name not in flags:
            unknown.append(f"there is no option {name}{_suggest(name, flags)}")
        elif not skip and not argument.startswith("-"):
            unknown.append(f"there is nothing to do with {argument!r}")
        skip = not skip and "=" not in argument and name in takes_value
    if unknown:
        unknown.append(f"{PROGRAM} {command.name} --help shows the options")
        raise SettingsError("\n".join(unknown))


def _suggest(word: str, known: Any) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _coordinator(given: Given, environment: Mapping[str, str]) -> int:
    from dispatcher import coordinator, settings  # noqa: PLC0415 (see the module's first lines)

    return coordinator.run(settings.coordinator(given, environment))


def _agent(given: Given, environment: Mapping[str, str]) -> int:
    from dispatcher import settings  # noqa: PLC0415 (see the module's first lines)
    from dispatcher.agent import main as agent  # noqa: PLC0415 (see the module's first lines)

    return agent.run(settings.agent(given, environment))


def _monitor(given: Given, environment: Mapping[str, str]) -> int:
    from dispatcher import settings  # noqa: PLC0415 (see the module's first lines)
    from dispatcher.monitor import main as monitor  # noqa: PLC0415 (see the module's first lines)

    return monitor.run(settings.monitor(given, environment))


def _demo(given: Given, environment: Mapping[str, str]) -> int:
    from dispatcher import demo, settings  # noqa: PLC0415 (see the module's first lines)

    return demo.run(settings.demo(given, environment))


_RUNNERS: dict[str, Callable[[Given, Mapping[str, str]], int]] = {
    "coordinator": _coordinator,
    "agent": _agent,
    "monitor": _monitor,
    "demo": _demo,
}
