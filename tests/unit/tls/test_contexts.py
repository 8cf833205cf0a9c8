from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from dispatcher.errors import SettingsError
from dispatcher.tls.contexts import ClientFiles, ServerFiles
from tests.support.certificates import Authority, Pair, handshake


def fault_of(files: ServerFiles | ClientFiles) -> str:
    with pytest.raises(SettingsError) as refused:
        files.context()
    return str(refused.value)


def test_a_certificate_and_its_key_are_spoken_with(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.pair("coordinator")
    client = ClientFiles(authority.file).context()
    assert (None, None, None) == handshake(ServerFiles(pair.cert, pair.key).context(), client)


def test_a_key_may_stand_in_the_file_of_its_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.pair("coordinator")
    both = tmp_path / "both.pem"
    both.write_bytes(pair.key.read_bytes() + pair.cert.read_bytes())
    assert (None, None, None) == handshake(ServerFiles(both).context(), ClientFiles(authority.file).context())


def test_a_file_that_cannot_be_read_is_named_with_its_option(tmp_path: Path) -> None:
    pair = Authority(tmp_path).pair("coordinator")
    missing = tmp_path / "missing.pem"
    said = f"cannot read {missing}: No such file or directory"
    assert f"--tls-cert: {said}\n--tls-key: {said}" == fault_of(ServerFiles(missing, missing))
    assert f"--tls-client-ca: {said}" == fault_of(ServerFiles(pair.cert, pair.key, missing))
    assert f"--ca-file: {said}" == fault_of(ClientFiles(missing))
    assert f"--tls-key: cannot read {tmp_path}: Is a directory" == fault_of(ServerFiles(pair.cert, tmp_path))


def test_a_key_of_another_certificate_is_told(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair, other = authority.pair("coordinator"), authority.pair("other")
    expected = f"--tls-cert: {pair.cert} is not for the key in {other.key}"
    assert expected == fault_of(ServerFiles(pair.cert, other.key))
    mixed = tmp_path / "mixed.pem"
    mixed.write_bytes(pair.cert.read_bytes() + other.key.read_bytes())
    assert f"--tls-cert: {mixed} is not for the key beside it" == fault_of(ServerFiles(mixed))


def test_the_one_file_of_two_that_is_wrong_is_the_one_that_is_named(tmp_path: Path) -> None:
    pair = Authority(tmp_path).pair("coordinator")
    notes = tmp_path / "notes.pem"
    notes.write_text("no certificate\n")
    no_certificate = f"{notes} holds no certificate in PEM that OpenSSL takes"
    assert f"--tls-cert: {no_certificate}" == fault_of(ServerFiles(notes, pair.key))
    assert f"--tls-key: {notes} is no private key in PEM that OpenSSL takes" == fault_of(ServerFiles(pair.cert, notes))
    assert f"--tls-cert: {pair.cert} holds no key, and there is no --tls-key" == fault_of(ServerFiles(pair.cert))
    assert f"--tls-client-ca: {no_certificate}" == fault_of(ServerFiles(pair.cert, pair.key, notes))
    assert f"--ca-file: {no_certificate}" == fault_of(ClientFiles(notes))


def test_a_key_with_a_passphrase_is_refused_and_not_asked_for(tmp_path: Path) -> None:
    pair = Authority(tmp_path).pair("coordinator")
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    secret = serialization.BestAvailableEncryption(b"a passphrase")
    form = serialization.PrivateFormat.PKCS8
    pair.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, secret))
    said = "--tls-key: the key has a passphrase, which nobody is here to type; give one without"
    assert said == fault_of(ServerFiles(pair.cert, pair.key))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_tls_older_than_1_2_is_not_spoken_by_either_end(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.pair("coordinator")
    server, client = ServerFiles(pair.cert, pair.key).context(), ClientFiles(authority.file).context()
    for ours in (server, client):
        assert ssl.TLSVersion.TLSv1_2 == ours.minimum_version
    old = authority.client()
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    assert any(handshake(server, old))


def test_a_named_authority_is_trusted_instead_of_this_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, named = Authority(tmp_path, "ours"), Authority(tmp_path, "named")
    monkeypatch.setenv("SSL_CERT_FILE", str(ours.file))
    pair = ours.pair("coordinator")
    server = ServerFiles(pair.cert, pair.key).context()
    assert (None, None, None) == handshake(server, ClientFiles().context())
    error, _, _ = handshake(server, ClientFiles(named.file).context())
    assert isinstance(error, ssl.SSLCertVerificationError)


def test_a_python_that_knows_no_place_of_its_own_looks_where_systems_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    pair = authority.pair("coordinator")
    nothing = ssl.get_default_verify_paths()._replace(cafile=None, capath=None)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nothing)
    monkeypatch.setattr("dispatcher.tls.trust.KNOWN_FILES", (str(authority.file),))
    assert (None, None, None) == handshake(ServerFiles(pair.cert, pair.key).context(), ClientFiles().context())


class Shown:
    """A coordinator that lets clients show a certificate of `clients`."""

    def __init__(self, folder: Path) -> None:
        self.clients = Authority(folder, "clients")
        self.authority = Authority(folder)
        pair = self.authority.pair("coordinator")
        self.server = ServerFiles(pair.cert, pair.key, self.clients.file).context()

    def shake(self, shown: Pair | None) -> tuple[ssl.SSLError | None, ssl.SSLError | None, bytes | None]:
        cert, key = (None, None) if shown is None else (shown.cert, shown.key)
        return handshake(self.server, ClientFiles(self.authority.file, cert, key).context())


def test_a_client_may_come_without_a_certificate_or_with_one_of_the_authority(tmp_path: Path) -> None:
    shown = Shown(tmp_path)
    assert (None, None, None) == shown.shake(None)
    agent = shown.clients.pair("agent", "gateway-1")
    certificate = ssl.PEM_cert_to_DER_cert(agent.cert.read_text())
    assert (None, None, certificate) == shown.shake(agent)


def test_a_client_with_a_certificate_of_nobody_known_does_not_get_in(tmp_path: Path) -> None:
    shown = Shown(tmp_path)
    for stranger in (Authority(tmp_path, "other").pair("agent"), shown.clients.pair("expired", days=(-9, -2))):
        near, far, _ = shown.shake(stranger)
        assert isinstance(far, ssl.SSLCertVerificationError)
        assert near is not None
