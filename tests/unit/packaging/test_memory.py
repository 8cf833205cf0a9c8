"""The last resort; `tests/artifact/test_places.py` starts a whole file from memory."""

from __future__ import annotations

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES

import pytest

from dispatcher.bootstrap import NotUsableError
from dispatcher.packaging import memory


def test_a_native_module_is_found_where_it_was_put() -> None:
    finder = memory.MemoryFinder({"package.native": "/proc/self/fd/9"})
    found = finder.find_spec("package.native")
    assert found is not None
    assert ("package.native", "/proc/self/fd/9") == (found.name, found.origin)
    assert None is finder.find_spec("package.other")


@pytest.mark.parametrize("suffix", EXTENSION_SUFFIXES)
def test_an_extension_module_is_told_from_a_library(suffix: str) -> None:
    assert "package.native" == memory._module_name(f"package/native{suffix}")
    assert None is memory._module_name("pycurl.libs/libcurl-330bcbb6.so.4.8.0")
    assert None is memory._module_name("pycurl.libs/libsfparse-e1f35c00.so")


def test_without_memory_files_the_message_has_every_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    with pytest.raises(NotUsableError) as caught:
        memory.provide({"package/native.so": b""}, ["  /one (HOME): full", "  /two (TMPDIR): noexec"])
    first, one, two, last, advice = str(caught.value).splitlines()
    assert ["  /one (HOME): full", "  /two (TMPDIR): noexec"] == [one, two]
    assert first.endswith(":")
    assert "memfd_create" in last
    assert "DISPATCHER_CACHE" in advice


def test_a_library_that_cannot_be_loaded_is_a_reason_and_no_endless_loop() -> None:
    path = list(sys.path)
    with pytest.raises(NotUsableError, match="/proc/self/fd/"):
        memory.provide({"package.libs/libone.so.1": b"not a library"}, [])
    assert path == sys.path
