"""`http.health_listen`: an answer for probes that have neither a certificate nor a password."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import aiohttp
import bcrypt
import pytest
import trustme

from monitor.config import ConfigError, load
from tests.service_process import Service
from tests.web.web_service import start

pytestmark = pytest.mark.usefixtures("clock")


def certify(folder: Path) -> None:
    """Put a web configuration into the folder that wants a client's certificate and a password."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    (folder / "server.pem").write_bytes(certificate.private_key_and_cert_chain_pem.bytes())
    (folder / "clients.pem").write_bytes(authority.cert_pem.bytes())
    hashed = bcrypt.hashpw(b"wonder", bcrypt.gensalt(4)).decode()
    (folder / "web.yml").write_text(
        "tls_server_config: {cert_file: server.pem, key_file: server.pem, client_auth_type: RequireAndVerifyClientCert,"
        f" client_ca_file: clients.pem}}\nbasic_auth_users: {{alice: '{hashed}'}}\n",
        encoding="utf-8",
    )


@pytest.fixture
def protected(service: Service, tmp_path: Path) -> Service:
    """The service with certificates and passwords, and an address for probes; not started yet."""
    certify(tmp_path)
    service.content["http"] |= {"web_config_file": "web.yml", "health_listen": "127.0.0.1:0"}
    return service


async def ask(address: str, path: str) -> tuple[int, str]:
    """Status and text of a plain GET without a password."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as response:
        return response.status, await response.text()


async def test_answers_without_certificate_and_password(protected: Service) -> None:
    """A probe without any proof of who it is learns that the service is alive and ready, where the main port turns it
    away.
    """
    await start(protected)
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE

    assert (200, "Impulse Monitor is healthy.\n") == await ask(protected.app.health_address, "/-/healthy")
    assert (200, "Impulse Monitor is ready.\n") == await ask(protected.app.health_address, "/-/ready")
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"https://{protected.app.address}/-/healthy", ssl=unverified)


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/targets", "/-/reload"])
async def test_shows_nothing_else(protected: Service, path: str) -> None:
    """Without a password there is no page, no figure and no reload at that address."""
    await start(protected)

    assert 404 == (await ask(protected.app.health_address, path))[0]


async def test_not_ready(protected: Service, tmp_path: Path) -> None:
    """Where the store cannot be used the probe fails, and does not say why: the reason has paths and addresses."""
    (tmp_path / "broken.db").write_bytes(b"no database" * 1000)
    protected.content["store"] = f"sqlite:///{tmp_path}/broken.db"
    protected.write()
    await protected.app.start()

    assert (503, "Impulse Monitor is not ready.\n") == await ask(protected.app.health_address, "/-/ready")
    assert "" != protected.app.unready
    assert 200 == (await ask(protected.app.health_address, "/-/healthy"))[0]


async def test_off_by_default(service: Service) -> None:
    """Nobody listens a second time unless that is configured."""
    await start(service)

    assert "" == service.app.health_address


async def test_address_taken(protected: Service) -> None:
    """A taken address ends the start, as the main one does, and leaves nothing listening."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        protected.content["http"]["health_listen"] = f"127.0.0.1:{other.getsockname()[1]}"
        protected.write()
        with pytest.raises(OSError, match="address already in use"):
            await protected.app.start()
    host, _, port = protected.app.address.rpartition(":")

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=120)


def test_not_an_address(tmp_path: Path) -> None:
    """Another text than an address is refused with its line."""
    (tmp_path / "monitor.yaml").write_text("http:\n  health_listen: 9891\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"monitor\.yaml:2: http\.health_listen: write HOST:PORT"):
        load(tmp_path / "monitor.yaml", {})
