"""The licences of native libraries that bring none: pycurl's, and mypyc's in our own. Runs at build time only.

The texts are the copyright files of Debian's packages of the same libraries, and the common licences that these name.
They go into the one file below `licenses/`; those of the Python packages lie beside them.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dispatcher.errors import DispatcherError

if TYPE_CHECKING:
    from collections.abc import Iterable

TEXTS = Path(__file__).with_name("licence_texts")

COMPILED = "dispatcher_native__mypyc"
"""The library of our own compiled modules, which has mypyc's runtime in it."""

LICENCES = {
    COMPILED: ("mypy", "MIT AND PSF-2.0"),
    "libbrotlicommon": ("brotli", "MIT"),
    "libbrotlidec": ("brotli", "MIT"),
    "libcom_err": ("e2fsprogs", "MIT"),
    "libcrypto": ("openssl", "Apache-2.0"),
    "libcurl": ("curl", "curl"),
    "libgssapi_krb5": ("krb5", "MIT"),
    "libidn2": ("libidn2", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
    "libk5crypto": ("krb5", "MIT"),
    "libkrb5": ("krb5", "MIT"),
    "libkrb5support": ("krb5", "MIT"),
    "libnghttp2": ("nghttp2", "MIT"),
    "libnghttp3": ("nghttp3", "MIT"),
    "libngtcp2": ("ngtcp2", "MIT"),
    "libngtcp2_crypto_ossl": ("ngtcp2", "MIT"),
    "libpsl": ("libpsl", "MIT"),
    "libsfparse": ("nghttp3", "MIT"),
    "libssh2": ("libssh2", "BSD-3-Clause"),
    "libssl": ("openssl", "Apache-2.0"),
    "libunistring": ("libunistring", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
    "libz": ("zlib", "Zlib"),
}
"""For each library the name of its text and its licence as an SPDX expression."""


def library(path: str) -> str | None:
    """Return the name of the bundled library at this path of a set, such as `libcurl`; None for anything else."""
    file = PurePosixPath(path)
    if path.startswith(f"{COMPILED}."):
        return COMPILED
    if file.parent.name not in {"pycurl.libs", ".dylibs"}:
        return None
    # A wheel for Linux puts a part of the hash behind the name.
    return file.name.partition(".")[0].partition("-")[0]


def texts(paths: Iterable[str]) -> dict[str, bytes]:
    """Return the texts for the bundled libraries among these paths, by their names in the one file.

    Raises:
        DispatcherError: one of them has no licence here.
    """
    found = {name for path in paths if (name := library(path)) is not None}
    if unknown := sorted(found - LICENCES.keys()):
        raise DispatcherError(
            f"no licence is known of {', '.join(unknown)}; add its text to {TEXTS.name} and name it in {Path(__file__)}"
        )
    return {f"licenses/{path.name}": path.read_bytes() for path in sorted(TEXTS.glob("*.txt"))} if found else {}
