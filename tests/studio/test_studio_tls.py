"""A Studio whose certificate a private authority has signed."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from monitor.errors import NotFound, Unreachable
from monitor.studio.client import Client
from monitor.studio.project import StudioProject
from tests.studio.conftest import Counted


@pytest.fixture
async def behind_tls(tmp_path: Path) -> AsyncIterator[str]:
    """A server with a certificate of the authority in ca.pem, which answers nothing of use: its URL."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_private_authority(behind_tls: str, tmp_path: Path, counted: Counted) -> None:
    """The error about a certificate that is not trusted names `studio.ca_file`; with the file the server is reached."""
    async with Client(behind_tls, counted, backoff=0.01) as client:
        with pytest.raises(Unreachable) as refused:
            await StudioProject(client, 1, "key").impulses()
    async with Client(behind_tls, counted, backoff=0.01, ca_file=str(tmp_path / "ca.pem")) as client:
        with pytest.raises(NotFound) as answered:
            await StudioProject(client, 1, "key").impulses()

    assert "has a certificate that is not trusted" in str(refused.value)
    assert "name the file with its authority's certificate in studio.ca_file" in str(refused.value)
    assert "404" in str(answered.value)
