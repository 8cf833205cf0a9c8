"""What users read of the options: the usage texts, which docopt parses, and the README's table. No package needed."""

from __future__ import annotations

from dispatcher.option import ENVIRONMENT_PREFIX, PROGRAM, Command, Kind, Option
from dispatcher.options import COMMANDS, TOKEN_COMMANDS


def usage(command: Command) -> str:
    """Write the usage text of a command, which is also what docopt parses."""
    repeated = " ".join(f"[{option.flag} {option.metavar}]..." for option in command.options if option.repeats)
    more = f"\n        {repeated}" if repeated else ""
    lines = [f"  {f'{option.flag} {option.metavar}'.strip():<32}{_explain(option)}" for option in command.options]
    return (
        f"{command.summary[0].upper()}{command.summary[1:]}.\n\n"
        f"Usage: {PROGRAM} {command.name} [options]{more}\n\n"
        "Options:\n" + "\n".join(lines) + "\n  -h, --help                      show this text\n\n"
        f"Every option has an environment variable: {ENVIRONMENT_PREFIX} and its name, such as\n"
        f"{command.options[0].variable}. The command line beats the environment.\n"
    )


def _explain(option: Option) -> str:
    if option.is_required:
        return f"{option.help} (required)"
    if option.default is None or option.kind is Kind.FLAG or option.default == "":
        return option.help
    return f"{option.help} (default: {option.default})"


def markdown_table() -> str:
    """Write all options as the table of the README: one row an option, with the commands that take it."""
    takers: dict[Option, list[str]] = {}
    for command in (*COMMANDS.values(), *TOKEN_COMMANDS.values()):
        for option in command.options:
            takers.setdefault(option, []).append(command.name)
    rows = [
        f"| `{f'{option.flag} {option.metavar}'.strip()}` | `{option.variable}` | {_shown_default(option)} "
        f"| {option.help} | {', '.join(names)} |"
        for option, names in takers.items()
    ]
    head = ("| option | variable | default | meaning | commands |", "| --- | --- | --- | --- | --- |")
    return "\n".join((*head, *rows)) + "\n"


def _shown_default(option: Option) -> str:
    if option.is_required:
        return "required"
    if option.kind is Kind.FLAG:
        return "off"
    return "" if option.default is None else f"`{option.default}`"


TOKENS = "make, list and revoke the tokens of a coordinator"
TOKEN_USAGE = f"{TOKENS[0].upper()}{TOKENS[1:]}.\n\n" + "".join(
    f"  {PROGRAM} {command.name:<16}{command.summary}\n" for command in TOKEN_COMMANDS.values()
)

SYSTEMD = "print a hardened systemd unit that runs `agent` or `coordinator`"
SYSTEMD_USAGE = (
    f"{SYSTEMD[0].upper()}{SYSTEMD[1:]}.\n\n"
    f"Usage: {PROGRAM} systemd agent|coordinator [options]\n\n"
    f"The options are those of the command, see {PROGRAM} agent --help; they go into the unit as\n"
    "they stand. State and unpacked packages have folders of the unit's own. Nothing is installed.\n"
)


def overview() -> str:
    """Write the usage text of the program."""
    rows = [(command.name, command.summary) for command in COMMANDS.values()]
    rows += [("token", TOKENS), ("systemd", SYSTEMD)]
    commands = "\n".join(f"  {name:<14}{summary}" for name, summary in rows)
    return (
        "HTTP Dispatcher sends one configured HTTP request through a pool of IPv6 addresses.\n\n"
        f"Usage: {PROGRAM} COMMAND [options]\n"
        f"       {PROGRAM} COMMAND --help\n"
        f"       {PROGRAM} --version [--verbose] | --help\n\n"
        f"Commands:\n{commands}\n\n"
        f"The older form works too: {PROGRAM} --mode coordinator|agent|monitor [options],\n"
        "or DISPATCHER_MODE in the environment and no command.\n\n"
        "Exit status: 0 done, 1 failed, 2 usage or settings, 3 coordinator not reachable,\n"
        "4 refused, 5 no exit available.\n"
    )
