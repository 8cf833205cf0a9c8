"""What a failed handshake was about, in words: at a client for its log or screen, at the coordinator for its log.

Pure. OpenSSL names the cause; the option that helps is ours to say.
"""

from __future__ import annotations

import ssl

HTTPS_WANTED = "this coordinator speaks https here: use https:// instead of http:// in the URL"
HTTP_WANTED = "this coordinator speaks http here: it has no --tls-cert, so use http:// instead of https:// in the URL"

_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG")
_NO_COMMON_VERSION = ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE")
_ALERT = "ALERT_"

_EXPIRED = 10
_NOT_YET_VALID = 9
_OTHER_NAME = (62, 64)
_UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21)
"""X509_V_ERR_* of OpenSSL's x509_vfy.h: a name or an address does not match; the chain ends nowhere that is trusted."""


def cause(error: BaseException | None) -> ssl.SSLError | None:
    """Return the TLS error behind an error of Tornado's, which may carry it or follow from it."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = getattr(error, "real_error", None) or error.__cause__ or error.__context__
    return error


def of_coordinator(error: BaseException) -> str | None:
    """Say why a client cannot talk to its coordinator over TLS, and what helps; None where TLS is not the reason."""
    found = cause(error)
    if found is None:
        return None
    if isinstance(found, ssl.SSLCertVerificationError):
        return _untrusted(found)
    reason = found.reason or ""
    if reason in _NO_TLS:
        return "no TLS is spoken there: use http:// in --coordinator-url, or give the coordinator --tls-cert"
    if reason in _NO_COMMON_VERSION:
        return "there is no version of TLS that both ends speak"
    if _ALERT in reason:
        return f"the coordinator refused the TLS certificate of this end ({_alert(reason)}); see --tls-cert"
    if isinstance(found, ssl.SSLEOFError):
        return "the connection closed during the TLS handshake"
    return f"TLS failed: {_plain(found)}"


def of_client(error: BaseException) -> str:
    """Say at the coordinator why a client's handshake failed."""
    found = cause(error)
    if found is None:
        return "it went away during the TLS handshake"
    if isinstance(found, ssl.SSLCertVerificationError):
        return f"its certificate is not valid for --tls-client-ca: {found.verify_message}"
    reason = found.reason or ""
    if reason in _NO_COMMON_VERSION:
        return "it speaks no version of TLS that is safe, 1.2 or newer"
    if _ALERT in reason:
        return f"it does not take this coordinator's certificate ({_alert(reason)})"
    if isinstance(found, ssl.SSLEOFError):
        return "it went away during the TLS handshake"
    return f"TLS failed: {_plain(found)}"


def _untrusted(error: ssl.SSLCertVerificationError) -> str:
    code, said = error.verify_code, error.verify_message
    if code in _UNKNOWN_AUTHORITY:
        return (
            f"its certificate is not of an authority that is trusted here ({said}): "
            "name the file of the right authority with --ca-file"
        )
    if code in _OTHER_NAME:
        return f"its certificate is for another name ({said}): --coordinator-url has to use a name in the certificate"
    if code == _EXPIRED:
        return "its certificate has expired: the coordinator needs a new one in its --tls-cert"
    if code == _NOT_YET_VALID:
        return "its certificate is not valid yet, or the clock of this machine is wrong"
    return f"its certificate is not valid: {said}"


def _alert(reason: str) -> str:
    """Return the name of an alert as RFC 8446 has it, in small letters."""
    return reason.partition(_ALERT)[2].lower().replace("_", " ")


def _plain(error: ssl.SSLError) -> str:
    return (error.reason or error.strerror or "no reason is known").lower().replace("_", " ")
