"""An agent without pycurl is told what to install."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from dispatcher import native
from dispatcher.bootstrap import target_tag
from dispatcher.errors import DispatcherError


def test_with_pycurl_nothing_is_said() -> None:
    native.need_pycurl()


def test_without_pycurl_one_line_names_the_reason_and_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycurl", None)
    with pytest.raises(DispatcherError) as caught:
        native.need_pycurl()
    text = str(caught.value)
    assert 1 == len(text.splitlines())
    for part in ("import of pycurl halted", target_tag(), "apk add py3-pycurl", "apt-get install python3-pycurl"):
        assert part in text


def test_a_pycurl_that_is_too_old_is_named_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    too_old = SimpleNamespace(version="PycURL/7.45.2 libcurl/7.88.1", __file__="/usr/lib/pycurl.so")
    monkeypatch.setitem(sys.modules, "pycurl", too_old)
    with pytest.raises(
        DispatcherError, match=r"pycurl 7\.45\.2 of /usr/lib/pycurl\.so is too old; .* 7\.45\.7 or newer"
    ):
        native.need_pycurl()


@pytest.mark.parametrize(
    ("number", "constants"),
    [(0x075801, {}), (0x075801, {"POSTTRANSFER_TIME_T": 1}), (0x080900, {"POSTTRANSFER_TIME_T": 1}), (0x080A00, {})],
)
def test_a_libcurl_that_is_too_old_is_named_be_it_the_one_loaded_or_the_one_built_for(
    monkeypatch: pytest.MonkeyPatch, number: int, constants: dict[str, int]
) -> None:
    too_old = SimpleNamespace(
        version_info=lambda: (9, "7.88.1", number), PREREQFUNCTION=1, __file__="/usr/lib/pycurl.so", **constants
    )
    monkeypatch.setitem(sys.modules, "pycurl", too_old)
    with pytest.raises(DispatcherError, match=r"libcurl 7\.88\.1, .*/usr/lib/pycurl\.so .* too old; .* 8\.10 or newer"):
        native.need_pycurl()
