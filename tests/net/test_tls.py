"""What certificates mean for the operator."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import web

from monitor.net.tls import SOON, expiry_text, first_expiry, not_trusted

NOW = datetime(2026, 10, 21, 12, tzinfo=UTC)


def test_the_first_of_a_chain_to_expire_counts() -> None:
    """Of several certificates in one file the one that expires first decides."""
    authority = trustme.CA()
    soon, later = NOW + timedelta(days=3), NOW + timedelta(days=30)
    chain = b"".join(
        authority.issue_cert("localhost", not_after=end).cert_chain_pems[0].bytes() for end in (later, soon)
    )

    assert soon.timestamp() == first_expiry(chain)


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(pem: bytes) -> None:
    """A file without a certificate that can be read says so."""
    with pytest.raises(ValueError, match=r"\w"):
        first_expiry(pem)


@pytest.mark.parametrize(
    ("left", "begins"),
    [
        (0.0, "expired at 2026-10-21 12:00 UTC"),
        (SOON, "expires at 2026-11-04 12:00 UTC"),
        (SOON + 1, ""),
    ],
)
def test_expiry_is_told_a_fortnight_before(left: float, begins: str) -> None:
    """A certificate that expires within 14 days, or has expired, is told with what to do; others are not."""
    text = expiry_text(NOW.timestamp() + left, NOW.timestamp())

    assert text.startswith(begins)
    assert bool(begins) == bool(text) == ("new certificate" in text)


@pytest.mark.parametrize(
    ("name", "days", "trusted", "advice"),
    [
        ("127.0.0.1", 30, False, "name the file with its authority's certificate in studio.ca_file"),
        ("127.0.0.1", -1, True, "renew it there, or set this machine's clock"),
        ("elsewhere.example", 30, True, "write the name that the certificate is for into the URL"),
    ],
)
async def test_advice_fits_the_reason(tmp_path: Path, name: str, days: int, trusted: bool, advice: str) -> None:
    """A handshake that fails says what to do about its own reason: authority, time or name."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    end = datetime.now(UTC) + timedelta(days=days)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_before=end - timedelta(days=60), not_after=end).configure_cert(server)
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    client = ssl.create_default_context(cafile=str(tmp_path / "ca.pem") if trusted else None)
    try:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorCertificateError) as caught:
                await session.get(url, ssl=client)
        await asyncio.sleep(0)
    finally:
        await runner.cleanup()
    text = "".join(not_trusted(url, caught.value, "studio.ca_file"))

    assert text.startswith(f"{url} has a certificate that is not trusted (")
    assert text.endswith(f"; {advice}")
