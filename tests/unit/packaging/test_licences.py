"""Every native library that wheels bring has a licence here, and one without ends the build."""

from __future__ import annotations

import pytest

from dispatcher.errors import DispatcherError
from dispatcher.packaging import licences


@pytest.mark.parametrize(
    ("path", "library"),
    [
        ("pycurl.libs/libcurl-330bcbb6.so.4.8.0", "libcurl"),
        ("pycurl.libs/libngtcp2_crypto_ossl-741c35a5.so.0.3.1", "libngtcp2_crypto_ossl"),
        ("pycurl.libs/libsfparse-e1f35c00.so", "libsfparse"),
        ("pycurl/.dylibs/libz.1.3.2.dylib", "libz"),
        ("pycurl/_pycurl.cpython-311-x86_64-linux-gnu.so", None),
        ("tornado/web.py", None),
        ("dispatcher_native__mypyc.cpython-311-x86_64-linux-gnu.so", licences.COMPILED),
        ("dispatcher/agent/run.cpython-311-x86_64-linux-gnu.so", None),
    ],
)
def test_a_bundled_library_is_known_by_its_place(path: str, library: str | None) -> None:
    assert library == licences.library(path)


def test_every_text_that_is_named_is_there_and_every_text_is_named() -> None:
    common = {"Apache-2.0", "GPL-2", "GPL-3", "LGPL-3"}
    there = {path.stem for path in licences.TEXTS.iterdir()}
    assert there == {text for text, _ in licences.LICENCES.values()} | common


def test_a_library_without_a_licence_ends_the_build() -> None:
    with pytest.raises(DispatcherError, match="no licence is known of libnew;"):
        licences.texts(["pycurl.libs/libcurl-330bcbb6.so.4", "pycurl.libs/libnew-12345678.so.1"])


def test_a_set_without_libraries_needs_no_texts() -> None:
    assert {} == licences.texts(["tornado/web.py"])
