"""`systemd agent|coordinator …`: the text of a hardened unit that runs this file with the given options. Main thread.

Prints and installs nothing: whoever is root decides where it goes. What may surprise: a file or a Python in somebody's
home is bound into the unit's view, which has nothing else of a home in it. Of certificates it is their folder: a file
that is bound stays the old one when it is renewed.
"""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dispatcher import __version__, bootstrap
from dispatcher.errors import DispatcherError, SettingsError
from dispatcher.options import TOKEN_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dispatcher.settings import AgentSettings, CoordinatorSettings

_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108  named, not used
_FIRST_FREE_PORT = 1024
_STOP_MARGIN_SECONDS = 15
"""Beyond the drain: links and last replies take a few seconds to end."""

_UNIT = """\
# {role} of HTTP Dispatcher, written by dispatcher.pyz {version}. To install it, as root:
#   put this into /etc/systemd/system/dispatcher-{role}.service
#   systemctl daemon-reload && systemctl enable --now dispatcher-{role}
[Unit]
Description=HTTP Dispatcher {role}
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
ExecStart={command}
Environment=DISPATCHER_CACHE=%C/dispatcher-{role}
CacheDirectory=dispatcher-{role}
CacheDirectoryMode=0700
{more}Restart=always
RestartSec=2
# Wrong settings and a refusal would be the same next time.
RestartPreventExitStatus=2 4
WatchdogSec=30
TimeoutStopSec={stop_seconds}
LimitNOFILE=65536

DynamicUser=yes
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet={capabilities}
AmbientCapabilities={capabilities}
ProtectSystem=strict
ProtectHome=tmpfs
{binds}PrivateTmp=yes
PrivateDevices=yes
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


def agent(arguments: Sequence[str], settings: AgentSettings) -> str:
    """Return the unit of an agent with these options, which are `settings`. Its id and key are the unit's own."""
    files = {"--ca-file": settings.ca_file, "--tls-cert": settings.tls_cert, "--tls-key": settings.tls_key}
    more = ""
    if settings.token_file is not None:
        # The unit's user cannot read a token that only root can, so systemd hands it over.
        _folders({TOKEN_FILE.flag: settings.token_file})
        arguments = _without(TOKEN_FILE.flag, arguments)
        handed = quote(f"token:{settings.token_file}")
        more = f"LoadCredential={handed}\nEnvironment={TOKEN_FILE.variable}=%d/token\n"
    return _unit("agent", arguments, settings.drain_timeout, files, more)


def coordinator(arguments: Sequence[str], settings: CoordinatorSettings) -> str:
    """Return the unit of a coordinator with these options, which are `settings`. Its state is the unit's own."""
    capabilities = "CAP_NET_BIND_SERVICE" if 0 < settings.port < _FIRST_FREE_PORT else ""
    files = {
        "--tls-cert": settings.tls_cert,
        "--tls-key": settings.tls_key,
        "--tls-client-ca": settings.tls_client_ca,
    }
    reload = "" if settings.tls_cert is None else "ExecReload=/bin/kill -HUP $MAINPID\n"
    return _unit("coordinator", arguments, settings.drain_timeout, files, reload, capabilities)


def _unit(  # noqa: PLR0913, PLR0917 (what differs between the two units)
    role: str,
    arguments: Sequence[str],
    drain_seconds: float,
    files: Mapping[str, Path | None],
    more: str = "",
    capabilities: str = "",
) -> str:
    if bootstrap.ARCHIVE is None:
        raise DispatcherError("a unit runs dispatcher.pyz, and this is a checkout; build the file and ask that")
    folders = _folders(files)
    command = [*bootstrap.self_command(), role, *arguments]
    return _UNIT.format(
        role=role,
        version=__version__,
        command=" ".join(quote(word) for word in command),
        more=_state(role) + more + _group(files.get("--tls-key") or files.get("--tls-cert")),
        stop_seconds=int(drain_seconds) + _STOP_MARGIN_SECONDS,
        capabilities=capabilities,
        binds="".join(f"BindReadOnlyPaths={quote(path)}\n" for path in hidden([*_needed(bootstrap.ARCHIVE), *folders])),
    )


def _folders(files: Mapping[str, Path | None]) -> list[str]:
    """Return the folders of the files that options name, each once."""
    given = {flag: path for flag, path in files.items() if path is not None}
    faults = [
        f"{flag}: a unit needs the whole path, not {path}" for flag, path in given.items() if not path.is_absolute()
    ]
    if faults:
        raise SettingsError("\n".join(faults))
    return list(dict.fromkeys(str(path.parent) for path in given.values()))


def _group(key: Path | None) -> str:
    """Give the unit's user the group that may read the key, where others may not."""
    try:
        status = None if key is None else key.stat()
    except OSError:
        return ""
    if status is None or not status.st_gid or status.st_mode & stat.S_IROTH or not status.st_mode & stat.S_IRGRP:
        return ""
    return f"SupplementaryGroups={status.st_gid}\n"


def _state(role: str) -> str:
    return (
        f"Environment=DISPATCHER_STATE_DIR=%S/dispatcher-{role}\n"
        f"StateDirectory=dispatcher-{role}\n"
        "StateDirectoryMode=0700\n"
    )


def _without(flag: str, arguments: Sequence[str]) -> list[str]:
    """Return the arguments without an option that takes a value and stands there once at most."""
    kept = list(arguments)
    for place, argument in enumerate(arguments):
        if argument.partition("=")[0] == flag:
            del kept[place : place + (1 if "=" in argument else 2)]
    return kept


def _needed(archive: str) -> list[str]:
    """Return what a start reads: the file, and the Python that runs it with its library."""
    return [archive, *dict.fromkeys((sys.prefix, sys.base_prefix))]


def hidden(paths: Iterable[str]) -> list[str]:
    """Return those of `paths` that lie where a unit with ProtectHome and PrivateTmp sees nothing."""
    return [path for path in paths if any(Path(path).is_relative_to(place) for place in _HIDDEN)]


def quote(word: str) -> str:
    """Write a word as systemd.syntax(7) reads it back: no specifier, no variable, one word."""
    plain = word.replace("%", "%%").replace("$", "$$").replace("\\", "\\\\").replace('"', '\\"')
    is_plain = plain and not set(plain) & set(" \t'\"\\;#")
    return plain if is_plain else f'"{plain}"'
