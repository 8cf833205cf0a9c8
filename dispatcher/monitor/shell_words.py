"""Splits a command line into words as a POSIX shell does, with the `$'…'` that browsers write. Pure.

What only a shell can do (variables, pipes, a second command) is refused and not guessed.
"""

from __future__ import annotations

import re


class CurlError(ValueError):
    """The command line cannot be taken; the text says which part and why."""


_WORD = re.compile(
    r"""(?P<gap>(?:\s|\\\r?\n)+)"""
    r"""|\$'(?P<ansi>(?:[^'\\]|\\.)*)'"""
    r"""|'(?P<single>[^']*)'"""
    r'''|"(?P<double>(?:[^"\\]|\\.)*)"'''
    r"""|\\(?P<escaped>.)"""
    r"""|(?P<bare>[^\s'"\\$;|&<>()`]+|\$(?!['({A-Za-z_]))""",
    re.DOTALL,
)

_ANSI = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b"}


def split(text: str) -> list[str]:
    """Split a command line into words as a shell does.

    Raises:
        CurlError: a quote that does not end, or something that only a shell can do.
    """
    words: list[str] = []
    word: str | None = None
    place = 0
    text = text.strip()
    while place < len(text):
        found = _WORD.match(text, place)
        if found is None:
            raise CurlError(f"{text[place : place + 12]!r}: only a shell understands this, or a quote does not end")
        place = found.end()
        if found["gap"] is not None:
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + _unquoted(found)
    return words if word is None else [*words, word]


def _unquoted(found: re.Match[str]) -> str:
    if found["ansi"] is not None:
        return re.sub(r"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|[0-7]{1,3}|.)", _ansi, found["ansi"], flags=re.DOTALL)
    if found["double"] is not None:
        if re.search(r"(?<!\\)(`|\$[({A-Za-z_])", found["double"]):
            raise CurlError(f'"{found["double"][:20]}": only a shell can fill this in')
        return re.sub(r'\\([$`"\\])|\\\r?\n', lambda escape: escape[1] or "", found["double"])
    return str(next(found[name] for name in ("single", "escaped", "bare") if found[name] is not None))


def _ansi(escape: re.Match[str]) -> str:
    code = escape[1]
    if code[0] in "xu" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] in "01234567":
        return chr(int(code, 8))
    return _ANSI.get(code, code)
