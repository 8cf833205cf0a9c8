"""Where certificates are looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.tls import trust

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_environment_names_the_file_of_trusted_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.pem"
    path.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    assert str(path) == trust.find_ca_file()


def test_without_it_the_first_usual_place_that_exists_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "there.pem"
    there.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    monkeypatch.setattr(trust, "KNOWN_FILES", (str(tmp_path / "not.pem"), str(there)))
    assert str(there) == trust.find_ca_file()


def test_where_there_is_none_libcurl_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    monkeypatch.setattr(trust, "KNOWN_FILES", ())
    assert trust.find_ca_file() is None
