"""The TLS contexts of both ends, made of the files that the options name. Blocking: it reads the disk.

What would surprise: `--ca-file` replaces what this machine trusts, it does not add to it. Whoever names an authority
means that one, and not the hundred others that could also vouch for a coordinator.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from dispatcher.errors import SettingsError
from dispatcher.tls import trust

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """What a coordinator shows (`cert`, with `key` or with the key in the same file) and whom it lets show something.

    With `client_ca` a client may show a certificate, which must then be of that authority. Who has to is decided by
    the endpoint: a handshake cannot know where its connection will go.
    """

    cert: Path
    key: Path | None = None
    client_ca: Path | None = None

    @property
    def named(self) -> tuple[tuple[str, Path], ...]:
        """The options that were given, with their files."""
        return _given(("--tls-cert", self.cert), ("--tls-key", self.key), ("--tls-client-ca", self.client_ca))

    def context(self) -> ssl.SSLContext:
        """Read the files.

        Raises:
            SettingsError: one line that names the option and the file.
        """
        _check_readable(self.named)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.options |= ssl.OP_NO_RENEGOTIATION
        _set_up(context, self.cert, self.key)
        if self.client_ca is not None:
            _load_authorities(context, "--tls-client-ca", self.client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
        return context


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """Whom a client trusts (None: whom this machine trusts) and what it shows."""

    ca_file: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @property
    def named(self) -> tuple[tuple[str, Path], ...]:
        """The options that were given, with their files."""
        return _given(("--ca-file", self.ca_file), ("--tls-cert", self.cert), ("--tls-key", self.key))

    def context(self) -> ssl.SSLContext:
        """Read the files; see `ServerFiles.context`."""
        _check_readable(self.named)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca_file is not None:
            _load_authorities(context, "--ca-file", self.ca_file)
        else:
            _load_this_machines(context)
        _set_up(context, self.cert, self.key)
        return context


def _given(*pairs: tuple[str, Path | None]) -> tuple[tuple[str, Path], ...]:
    return tuple((flag, path) for flag, path in pairs if path is not None)


def _check_readable(named: tuple[tuple[str, Path], ...]) -> None:
    """Say of each file that it cannot be read; OpenSSL would not say which one."""
    faults = []
    for flag, path in named:
        try:
            path.open("rb").close()
        except OSError as error:
            faults.append(f"{flag}: cannot read {path}: {error.strerror}")
    if faults:
        raise SettingsError("\n".join(faults))


def _set_up(context: ssl.SSLContext, cert: Path | None, key: Path | None) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert is None:
        return
    try:
        context.load_cert_chain(cert, key, password=_refuse_passphrase)
    except ssl.SSLError as error:
        _blame(cert, key, error)
    except OSError as error:  # it went away since it was looked at
        raise SettingsError(f"--tls-cert: cannot read {cert}: {error.strerror}") from error


def _refuse_passphrase() -> NoReturn:
    # Without this OpenSSL would ask on the terminal, and wait.
    raise SettingsError("--tls-key: the key has a passphrase, which nobody is here to type; give one without")


def _blame(cert: Path, key: Path | None, error: ssl.SSLError) -> NoReturn:
    """Find out which of the two files is the wrong one."""
    if error.reason == "KEY_VALUES_MISMATCH":
        place = f"the key in {key}" if key is not None else "the key beside it"
        raise SettingsError(f"--tls-cert: {cert} is not for {place}") from error
    _load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "--tls-cert", cert)
    if key is None:
        raise SettingsError(f"--tls-cert: {cert} holds no key, and there is no --tls-key") from error
    raise SettingsError(f"--tls-key: {key} is no private key in PEM that OpenSSL takes") from error


def _load_authorities(context: ssl.SSLContext, flag: str, path: Path) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(f"{flag}: {path} holds no certificate in PEM that OpenSSL takes") from error


def _load_this_machines(context: ssl.SSLContext) -> None:
    context.load_default_certs()
    known = ssl.get_default_verify_paths()
    if not known.cafile and not known.capath and (found := trust.find_ca_file()) is not None:
        # This Python's OpenSSL looks where the machine it was built on had them.
        context.load_verify_locations(cafile=found)
