"""What certificates mean for the operator: when they expire, and what to do where one is not trusted."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import aiohttp

SOON = 14 * 86_400.0
"""Seconds before its end from which on a certificate is said to expire soon."""

# OpenSSL's X509_V_ERR_…, which the standard library has no names for
_NOT_YET_VALID = 9
_EXPIRED = 10
_WRONG_NAME = 62
_WRONG_ADDRESS = 64


def first_expiry(pem: bytes) -> float:
    """Unix seconds when the first certificate of a chain in PEM form expires.

    Raises:
        ValueError: It holds no certificate that can be read.
    """
    from cryptography import x509  # only where TLS is used: it takes some megabytes

    return min(certificate.not_valid_after_utc.timestamp() for certificate in x509.load_pem_x509_certificates(pem))


def expiry_text(expires: float, now: float) -> str:
    """That a certificate has expired, or will soon; empty where neither holds. Both times in Unix seconds."""
    when = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%d %H:%M UTC")
    if expires <= now:
        return f"expired at {when}, so that no client trusts the service; put a new certificate into the file"
    if expires - now <= SOON:
        return f"expires at {when}; put a new certificate into the file before"
    return ""


def not_trusted(where: str, error: aiohttp.ClientConnectorCertificateError, option: str) -> tuple[str, str, str]:
    """That another server's certificate was refused, why in OpenSSL's words, and what to do: the parts of a
    `ForeignError`.

    Args:
        where: The server's address, without secrets.
        error: As aiohttp raised it.
        option: The configuration's key for the certificates to trust, as the operator knows it.
    """
    cause = error.certificate_error
    code = cause.verify_code if isinstance(cause, ssl.SSLCertVerificationError) else None
    reason = getattr(cause, "verify_message", "") or type(cause).__name__
    if code in (_EXPIRED, _NOT_YET_VALID):
        advice = "renew it there, or set this machine's clock"
    elif code in (_WRONG_NAME, _WRONG_ADDRESS):
        advice = "write the name that the certificate is for into the URL"
    else:
        advice = f"name the file with its authority's certificate in {option}"
    return f"{where} has a certificate that is not trusted (", reason.strip().rstrip("."), f"); {advice}"
