"""TLS and basic auth from a web configuration: real sockets, real certificates, and promtool as the judge of
the format.
"""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import bcrypt
import pytest
import trustme
import uvloop
from aiohttp import web
from structlog.testing import capture_logs

from monitor.config import ConfigError
from monitor.web import passwords
from monitor.web.security import Security, takes_bearer
from monitor.web.web_config import load
from tests.clock import Clock
from tests.waiting import PATIENCE, until

TOKEN = "the-admin-token"
TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"


def hashed(password: bytes, cost: int = 4) -> str:
    """A bcrypt hash; cost 4 takes a millisecond, 10 some 50, 13 some 400."""
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()


ALICE = f"basic_auth_users:\n  alice: {hashed(b'wonder')}\n"


def basic(user: str, password: str) -> dict[str, str]:
    """The header that a client sends."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


class Connection(NamedTuple):
    """What a client can tell about its TLS connection."""

    version: str | None
    cipher: str
    session: ssl.SSLSession | None
    resumed: bool | None


class Site:
    """A folder with certificates and a web configuration, and requests to what serves them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "web.yml"
        self.folder = folder
        self.authority = trustme.CA()
        self.security: Security
        self.told: list[bool] = []
        self.port = 0
        self.certify()

    def certify(self) -> None:
        """Put a new certificate and key into the folder."""
        certificate = self.authority.issue_cert("127.0.0.1", "localhost")
        self._replace("server.pem", b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        self._replace("server.key", certificate.private_key_pem.bytes())

    def trust_clients_of(self, authority: trustme.CA) -> None:
        """Make `authority` the one in clients.pem."""
        self._replace("clients.pem", authority.cert_pem.bytes())

    def _replace(self, name: str, content: bytes) -> None:
        (self.folder / "new").write_bytes(content)
        (self.folder / "new").replace(self.folder / name)

    def write(self, text: str) -> None:
        """Replace the web configuration."""
        self._replace("web.yml", text.encode())

    def problems(self) -> list[str]:
        """What loading says, without the path."""
        try:
            load(self.path)
        except ConfigError as error:
            return [str(problem).removeprefix(f"{self.path}:") for problem in error.problems]
        return []

    @asynccontextmanager
    async def served(self, poll: float = 0.02) -> AsyncIterator[None]:
        """Serve an application with the configuration as it is now, and watch for changes of it."""
        self.security = await Security.open(self.path)
        app = web.Application()
        app.add_routes(
            [
                web.get("/metrics", _metrics),
                web.get("/crash", _crash),
                web.post("/-/reload", _reload),
                web.post("/open", _metrics),
            ]
        )
        self.security.protect(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self.security.tls).start()
        self.port = runner.addresses[0][1]
        watcher = asyncio.create_task(self.security.watch(self.told.append, poll))
        try:
            yield
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
            await runner.cleanup()

    def client(self, identity: trustme.CA | None = None) -> ssl.SSLContext:
        """A client that trusts the server, with a certificate of `identity`."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        if identity is not None:
            identity.issue_cert("client@example.com").configure_cert(context)
        return context

    async def ask(
        self,
        path: str = "/metrics",
        method: str = "GET",
        headers: dict[str, str] | None = None,
        client: ssl.SSLContext | None = None,
    ) -> tuple[int, str, dict[str, str]]:
        """Status, text and headers of a request over a connection of its own."""
        url = f"{self.security.scheme}://127.0.0.1:{self.port}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, headers=headers, ssl=client or self.client()) as response,
        ):
            return response.status, await response.text(), dict(response.headers)

    async def status(self, headers: dict[str, str] | None = None, **options: Any) -> int:
        """Status of a request."""
        return (await self.ask(headers=headers, **options))[0]

    async def shake_hands(self, client: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Connection:
        """One GET over a socket of the standard library, which tells more about TLS than aiohttp does; raises OSError
        where refused.
        """

        def talk() -> Connection:
            with (
                socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as plain,
                client.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as secure,
            ):
                secure.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if not secure.recv(1000).startswith(b"HTTP/1.1 200"):
                    raise ConnectionResetError
                cipher = secure.cipher()
                assert cipher is not None
                return Connection(secure.version(), cipher[0], secure.session, secure.session_reused)

        return await asyncio.to_thread(talk)

    async def certificate(self) -> bytes | None:
        """The certificate that a new connection gets."""

        def look() -> bytes | None:
            with (
                socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as plain,
                self.client().wrap_socket(plain, server_hostname="127.0.0.1") as secure,
            ):
                return secure.getpeercert(binary_form=True)

        return await asyncio.to_thread(look)


async def _metrics(_request: web.Request) -> web.Response:
    return web.Response(text="up 1\n")


async def _crash(_request: web.Request) -> web.Response:
    raise RuntimeError("a bug")


@takes_bearer
async def _reload(request: web.Request) -> web.Response:
    if request.headers["Authorization"] != f"Bearer {TOKEN}":
        raise web.HTTPUnauthorized(text="the handler refuses")
    return web.Response(text="Reloaded.\n")


@contextmanager
def events(name: str) -> Iterator[list[dict[str, object]]]:
    """The events of a name that are logged meanwhile."""
    with capture_logs() as logs:

        class Named(list[dict[str, object]]):
            def __iter__(self) -> Iterator[dict[str, object]]:
                return iter([dict(event) for event in logs if event["event"] == name])

            def __len__(self) -> int:
                return len(list(iter(self)))

        yield Named()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


# The format


AGREED = {
    "empty": "",
    "empty blocks": "tls_server_config:\nbasic_auth_users:\n",
    "TLS": TLS,
    "users": ALICE,
    "users of other tools": f"basic_auth_users:\n  a: $2y{hashed(b'x')[3:]}\n  b: $2a{hashed(b'x')[3:]}\n",
    "clients": TLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n",
    "clients with a choice": TLS + "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: clients.pem\n",
    "no clients": TLS + "  client_auth_type: NoClientCert\n",
}

REFUSED = {
    "unknown key": ("tls_config: {}\n", "1: tls_config: unknown key; did you mean tls_server_config?"),
    "unknown key inside": (
        TLS + "  certfile: x\n",
        "4: tls_server_config.certfile: unknown key; did you mean cert_file?",
    ),
    "not a mapping": ("- a\n", "1: must be a mapping; write `key: value` lines below it"),
    "not YAML": (
        "a: [\n",
        "2: is not valid YAML: expected the node content, but found '<stream end>'; fix the line or the one before it",
    ),
    "written twice": (TLS + TLS, "4: tls_server_config: is written twice, first on line 1; remove one"),
    "no key": (
        "tls_server_config:\n  cert_file: server.pem\n",
        "1: tls_server_config: has no key_file; write `key_file: ...` below it",
    ),
    "no certificate": (
        "tls_server_config:\n  key_file: server.key\n",
        "1: tls_server_config: has no cert_file; write `cert_file: ...` below it",
    ),
    "missing certificate": (
        TLS.replace("server.pem", "none.pem"),
        "2: tls_server_config.cert_file: cannot be read (No such file or directory); "
        "write the path of a file with certificates in PEM form",
    ),
    "missing key": (
        TLS.replace("server.key", "none.key"),
        "3: tls_server_config.key_file: cannot be read (No such file or directory); "
        "write the path of a file with the private key in PEM form",
    ),
    "a key for a certificate": (
        TLS.replace("server.pem", "server.key"),
        "2: tls_server_config.cert_file: holds no certificate; write the path of a file with certificates in PEM form",
    ),
    "a certificate for a key": (
        TLS.replace("server.key", "server.pem"),
        "3: tls_server_config.key_file: holds no private key that can be used; write the path of a file with a "
        "private key in PEM form",
    ),
    "another's key": (
        TLS.replace("server.key", "other.key"),
        "3: tls_server_config.key_file: is not the key of the certificate in cert_file; write the paths of a pair",
    ),
    "an encrypted key": (
        TLS.replace("server.key", "encrypted.key"),
        "3: tls_server_config.key_file: is encrypted; write the path of a key without a password, readable by this "
        "service only",
    ),
    "authority without a policy": (
        TLS + "  client_ca_file: clients.pem\n",
        "4: tls_server_config.client_ca_file: means nothing without client certificates; "
        "write client_auth_type: RequireAndVerifyClientCert",
    ),
    "unknown policy": (
        TLS + "  client_auth_type: Always\n",
        "4: tls_server_config.client_auth_type: write NoClientCert, VerifyClientCertIfGiven or "
        "RequireAndVerifyClientCert",
    ),
    "not a hash": (
        "basic_auth_users:\n  alice: hunter2\n",
        "2: basic_auth_users.alice: is not a bcrypt hash; write one that begins with $2y$ or $2b$, as `htpasswd -nBC "
        "10 USER` prints it",
    ),
    "no hash": (
        "basic_auth_users:\n  alice:\n",
        "2: basic_auth_users.alice: is empty; write a value, or remove the key",
    ),
}
"""What both refuse."""

CHOICES = {
    "min_version": ("TLS13", "TLS 1.2 and 1.3 are spoken"),
    "max_version": ("TLS12", "TLS 1.2 and 1.3 are spoken"),
    "cipher_suites": ("[TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]", "the suites are OpenSSL's own choice"),
    "prefer_server_cipher_suites": ("false", "the order of the suites is the server's"),
    "curve_preferences": ("[X25519]", "the curves are OpenSSL's own choice"),
}
"""Options of TLS that are not there, with a value and what holds instead."""

HTTP = (
    "http_server_config: is not supported here; remove it; the service speaks HTTP/1.1 and sets its security headers "
    "itself"
)

OURS = {
    **{
        key: (
            f"{TLS}  {key}: {value}\n",
            f"4: tls_server_config.{key}: is not supported here; remove it; {instead}",
        )
        for key, (value, instead) in CHOICES.items()
    },
    "HTTP/2": ("http_server_config:\n  http2: false\n", f"1: {HTTP}"),
    "headers": ("http_server_config:\n  headers:\n    X-Frame-Options: deny\n", f"1: {HTTP}"),
    "an empty block": ("http_server_config:\n", f"1: {HTTP}"),
    "no authority": (
        TLS + "  client_auth_type: RequireAndVerifyClientCert\n",
        "4: tls_server_config.client_auth_type: means nothing without client_ca_file; write client_ca_file: PATH of "
        "the clients' authority",
    ),
    "a version without a certificate": (
        "tls_server_config:\n  min_version: TLS13\n",
        "1: tls_server_config: has no cert_file; write `cert_file: ...` below it\n"
        "1: tls_server_config: has no key_file; write `key_file: ...` below it\n"
        "2: tls_server_config.min_version: is not supported here; remove it; TLS 1.2 and 1.3 are spoken",
    ),
    "a number for a user": (
        f"basic_auth_users:\n  123: {hashed(b'x')}\n",
        "2: basic_auth_users: has a key that is not text; put it into quotes",
    ),
    **{
        policy: (
            TLS + f"  client_auth_type: {policy}\n",
            "4: tls_server_config.client_auth_type: is not supported here: it lets any certificate in, unverified; "
            "write RequireAndVerifyClientCert",
        )
        for policy in ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
    },
}
"""What exporter-toolkit takes, but this service has not, or not safely."""

NEWER = {
    "inline certificate": (
        TLS + "  cert: x\n",
        "4: tls_server_config.cert: is not supported here; write the certificate into a file, and cert_file: PATH",
    ),
    "inline key": (
        TLS + "  key: x\n",
        "4: tls_server_config.key: is not supported here; write the key into a file, and key_file: PATH",
    ),
    "inline authority": (
        TLS + "  client_ca: x\n",
        "4: tls_server_config.client_ca: is not supported here; write the certificates into a file, and "
        "client_ca_file: PATH",
    ),
    "names of clients": (
        TLS + "  client_allowed_sans: [x]\n",
        "4: tls_server_config.client_allowed_sans: is not supported here; remove it, and name an authority of these "
        "clients alone in "
        "client_ca_file",
    ),
    "rate": (
        "rate_limit:\n  interval: 1s\n  burst: 2\n",
        "1: rate_limit: is not supported here; remove it, and limit the rate in a proxy before the service",
    ),
}
"""What newer versions of exporter-toolkit take; Debian's promtool knows no such keys."""


def judge(promtool: str, site: Site, text: str) -> bool:
    """Whether promtool takes the file."""
    site.write(text)
    site.trust_clients_of(site.authority)
    other = site.authority.issue_cert("other.example.com").private_key_pem.bytes()
    (site.folder / "other.key").write_bytes(other)
    encrypt = ["openssl", "pkey", "-in", "server.key", "-aes256", "-passout", "pass:secret", "-out", "encrypted.key"]
    subprocess.run(encrypt, cwd=site.folder, check=True)
    return (
        subprocess.run([promtool, "check", "web-config", str(site.path)], capture_output=True, check=False).returncode
        == 0
    )


@pytest.mark.parametrize("text", AGREED.values(), ids=AGREED)
def test_takes_what_promtool_takes(site: Site, program: Callable[[str], str], text: str) -> None:
    """What promtool finds good is good."""
    taken = judge(program("promtool"), site, text)

    assert taken
    assert [] == site.problems()


@pytest.mark.parametrize(("text", "problem"), REFUSED.values(), ids=REFUSED)
def test_refuses_what_promtool_refuses(site: Site, program: Callable[[str], str], text: str, problem: str) -> None:
    """What promtool finds wrong is refused, with its place and what to write."""
    taken = judge(program("promtool"), site, text)

    assert not taken
    assert [problem] == site.problems()


@pytest.mark.parametrize(("text", "problem"), OURS.values(), ids=OURS)
def test_refuses_what_is_not_supported(site: Site, program: Callable[[str], str], text: str, problem: str) -> None:
    """What promtool finds good but is not there, or not safe, is refused by name."""
    taken = judge(program("promtool"), site, text)

    assert taken
    assert problem.splitlines() == site.problems()


@pytest.mark.parametrize(("text", "problem"), NEWER.values(), ids=NEWER)
def test_refuses_newer_keys_by_name(site: Site, text: str, problem: str) -> None:
    """Keys of newer versions of the format are known, and refused with what to write."""
    site.write(text)

    assert [problem] == site.problems()


def test_every_problem_at_once(site: Site) -> None:
    """One look names every problem of the file in the order of its lines."""
    site.write("basic_auth_users: {alice: hunter2}\nrate_limit: {}\n" + TLS + "  min_version: TLS12\n")

    places = [problem.split(": ")[1] for problem in site.problems()]

    assert ["basic_auth_users.alice", "rate_limit", "tls_server_config.min_version"] == places


def test_a_missing_file_says_how_to_name_one(site: Site) -> None:
    """A file that is not there says which settings name it."""
    expected = [
        "1: cannot be read (No such file or directory); name a file that exists with --web.config.file or "
        "http.web_config_file"
    ]

    assert expected == site.problems()


def test_no_hash_gets_out(site: Site) -> None:
    """Neither what is loaded nor a problem shows a hash, a key or what was written in their place."""
    site.write(ALICE)
    shown = repr(load(site.path))
    site.write("basic_auth_users: {alice: hunter2}\nhttp_server_config: {headers: {X-Frame-Options: hunter2}}\n")

    assert "$2" not in shown
    assert "hunter2" not in "".join(site.problems())


def test_paths_start_at_the_file(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths in the file are relative to it, wherever the service was started."""
    site.write(TLS)
    (site.folder / "elsewhere").mkdir()
    monkeypatch.chdir(site.folder / "elsewhere")

    assert load(Path("../web.yml")).tls is not None


# Basic auth


async def test_the_right_password_gets_in(site: Site) -> None:
    """A user of the file gets in with the password; without one, or with a wrong one, a challenge comes back."""
    site.write(ALICE)
    async with site.served():
        status, text, headers = await site.ask()

        assert (401, 'Basic realm="impulse-monitor", charset="UTF-8"') == (status, headers["WWW-Authenticate"])
        assert "up 1" not in text
        assert 200 == await site.status(basic("alice", "wonder"))
        assert 401 == await site.status(basic("alice", "wonde"))
        assert 401 == await site.status(basic("Alice", "wonder"))
        assert 401 == await site.status(basic("bob", "wonder"))


async def test_an_unknown_user_with_a_known_password(site: Site) -> None:
    """A name that is not in the file never gets in, also with a password of it, and also the second time."""
    site.write(ALICE)
    async with site.served():
        statuses = [await site.status(basic(name, "wonder")) for name in ("bob", "bob", "", "alice")]

        assert [401, 401, 401, 200] == statuses


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic YWxpY2U=",
        "Basic /w==",
        "Basic //86d29uZGVy",
        "Bearer x",
        "YWxpY2U6d29uZGVy",
        "Basic YWxp!Y2U6d29uZGVy",
        "Basic é",
    ],
)
async def test_malformed_credentials(site: Site, header: str) -> None:
    """Whatever is not a user and a password is answered like a wrong one."""
    site.write(ALICE)
    async with site.served():
        assert 401 == await site.status({"Authorization": header})


async def test_passwords_that_are_not_plain(site: Site) -> None:
    """Colons, other scripts, and what exceeds bcrypt's 72 bytes are taken as htpasswd and Go take them."""
    long = "x" * 100
    site.write(
        f"basic_auth_users: {{a: {hashed(b'a:b:')}, b: {hashed('пароль'.encode())}, c: {hashed(long.encode()[:72])}}}\n"
    )
    async with site.served():
        statuses = [await site.status(basic(*pair)) for pair in (("a", "a:b:"), ("b", "пароль"), ("c", long))]

        assert [200, 200, 200] == statuses


async def test_every_path_is_protected(site: Site) -> None:
    """Nothing can be asked without a password, not even whether a path exists."""
    site.write(ALICE)
    async with site.served():
        asked = [
            ("/metrics", "GET"),
            ("/metrics", "POST"),
            ("/none", "GET"),
            ("/open", "POST"),
            ("/-/reload", "POST"),
            ("/crash", "GET"),
        ]
        statuses = [(await site.ask(path, method))[0] for path, method in asked]

        assert [401] * len(asked) == statuses


async def test_a_bearer_reaches_its_handlers_only(site: Site) -> None:
    """A bearer token goes to the handlers that check it, which have the last word; elsewhere it opens nothing."""
    site.write(ALICE)
    right, wrong = {"Authorization": f"Bearer {TOKEN}"}, {"Authorization": "bearer no"}
    async with site.served():
        assert (200, "Reloaded.\n") == (await site.ask("/-/reload", "POST", right))[:2]
        assert (401, "the handler refuses") == (await site.ask("/-/reload", "POST", wrong))[:2]
        assert (401, "the handler refuses") == (await site.ask("/-/reload", "POST", basic("alice", "wonder")))[:2]
        assert 401 == await site.status(right)
        assert 401 == await site.status(right, path="/open", method="POST")
        assert 401 == await site.status(right, path="/none")


async def test_no_users_no_challenge(site: Site) -> None:
    """A file without users, or no file, asks for nothing."""
    site.write("")
    async with site.served():
        assert 200 == await site.status()
    unprotected = await Security.open(None)

    assert (None, "http", True) == (unprotected.tls, unprotected.scheme, await unprotected.reload())
    await asyncio.wait_for(unprotected.watch(), PATIENCE)


def held_up(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Hold up each check of a password until the second event is set; the first one is set once a check has begun."""
    entered, free, real = threading.Event(), threading.Event(), bcrypt.checkpw

    def waiting(password: bytes, hashed_password: bytes) -> bool:
        entered.set()
        assert free.wait(PATIENCE)
        return real(password, hashed_password)

    monkeypatch.setattr(bcrypt, "checkpw", waiting)
    return entered, free


async def test_checking_leaves_the_loop_free(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a password is checked the loop goes on."""
    site.write(ALICE)
    entered, free = held_up(monkeypatch)
    async with site.served(poll=60):
        request = asyncio.create_task(site.status(basic("alice", "wonder")))
        await until(entered.is_set)  # never, were the loop held up by the check
        assert not request.done()
        free.set()

        assert 200 == await request


async def test_an_unknown_user_takes_as_long(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of an answer does not say whether a user exists: an unknown one costs one check too, and one as dear."""
    site.write(f"basic_auth_users: {{alice: {hashed(b'wonder', 11)}}}\n")
    costs: list[bytes] = []
    real = bcrypt.checkpw

    def noted(password: bytes, hashed_password: bytes) -> bool:
        costs.append(hashed_password[:7])
        return real(password, hashed_password)

    monkeypatch.setattr(bcrypt, "checkpw", noted)
    async with site.served(poll=60):
        for user in ("alice", "bob", "alice", "bob"):
            assert 401 == await site.status(basic(user, "wrong"))

    assert [b"$2b$11$"] * 4 == costs


async def test_right_passwords_are_remembered_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A right password costs one check, a wrong one a check each time, and the longest unused right
    one is forgotten.
    """
    monkeypatch.setattr(passwords, "KEPT", 2)
    checked: list[bytes] = []
    real = bcrypt.checkpw

    def counted(password: bytes, hashed_password: bytes) -> bool:
        checked.append(password)
        return real(password, hashed_password)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    users = {name: hashed(name.encode()).encode() for name in ("a", "b", "c")}
    checker = passwords.Passwords()

    async def ask(name: str, password: bytes) -> bool:
        return await checker.match(users, name, password)

    for name in ("a", "a", "b", "a", "c", "a", "b"):
        assert await ask(name, name.encode())
    for _ in range(2):
        assert not await ask("a", b"wrong")
        assert not await ask("nobody", b"a")

    assert [b"a", b"b", b"c", b"b", b"wrong", b"a", b"wrong", b"a"] == checked


async def test_one_check_serves_all_who_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser's six connections with one password cost one check."""
    checked: list[bytes] = []
    real = bcrypt.checkpw

    def counted(password: bytes, hashed_password: bytes) -> bool:
        checked.append(password)
        return real(password, hashed_password)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    users = {"alice": hashed(b"wonder", 8).encode()}
    checker = passwords.Passwords()

    answers = await asyncio.gather(*(checker.match(users, "alice", b"wonder") for _ in range(6)))

    assert [True] * 6 == answers
    assert [b"wonder"] == checked


async def test_a_flood_is_turned_away(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """More wrong passwords at once than may wait are answered at once; who is known gets in all the while."""
    monkeypatch.setattr(passwords, "WAITING", 2)
    site.write(ALICE)
    async with site.served():
        assert 200 == await site.status(basic("alice", "wonder"))
        _, free = held_up(monkeypatch)
        flood = [asyncio.create_task(site.ask(headers=basic("alice", f"wrong{number}"))) for number in range(8)]
        await until(lambda: sum(task.done() for task in flood) == 6)

        assert 200 == await site.status(basic("alice", "wonder"))
        free.set()
        answers = await asyncio.gather(*flood)
        assert [401] * 2 + [503] * 6 == sorted(status for status, _, _ in answers)
        assert {"5"} == {headers["Retry-After"] for status, _, headers in answers if status == 503}


# TLS


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_https_on_both_loops(site: Site, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """HTTPS is served, and its certificate renewed, on asyncio's loop and on uvloop's."""
    site.write(TLS + ALICE)

    async def renew() -> None:
        async with site.served():
            assert "https" == site.security.scheme
            assert 200 == await site.status(basic("alice", "wonder"))
            assert 401 == await site.status()
            before = await site.certificate()
            site.certify()

            async def renewed() -> bool:
                return await site.certificate() != before

            await until(renewed)
            assert 200 == await site.status(basic("alice", "wonder"))

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(renew())


async def test_plain_http_to_the_tls_port(site: Site) -> None:
    """Who speaks plain HTTP to it gets nothing, and others go on."""
    site.write(TLS)
    async with site.served():
        url = f"http://127.0.0.1:{site.port}/metrics"
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(url)

        assert 200 == await site.status()


async def test_versions_and_suites(site: Site) -> None:
    """TLS 1.2 and 1.3 are spoken, with authenticated encryption; older versions and weaker suites are refused."""
    modern, old, ancient, weak = (site.client() for _ in range(4))
    old.maximum_version = weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA")
    ancient.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        ancient.minimum_version = ancient.maximum_version = ssl.TLSVersion.TLSv1_1
    site.write(TLS)
    async with site.served():
        assert "TLSv1.3" == (await site.shake_hands(modern)).version
        assert "TLSv1.2" == (await site.shake_hands(old)).version
        for refused in (ancient, weak):
            with pytest.raises(ssl.SSLError):
                await site.shake_hands(refused)


async def test_client_certificates_are_required(site: Site) -> None:
    """Only clients with a certificate of the authority get in."""
    friends, strangers = trustme.CA(), trustme.CA()
    site.trust_clients_of(friends)
    site.write(TLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n")
    async with site.served():
        assert 200 == (await site.ask(client=site.client(friends)))[0]
        for identity in (None, strangers):
            with pytest.raises(aiohttp.ClientError):
                await site.ask(client=site.client(identity))


async def test_client_certificates_if_given(site: Site) -> None:
    """Clients without a certificate get in, those with another's do not."""
    friends, strangers = trustme.CA(), trustme.CA()
    site.trust_clients_of(friends)
    site.write(TLS + "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: clients.pem\n")
    async with site.served():
        assert 200 == (await site.ask(client=site.client(friends)))[0]
        assert 200 == (await site.ask(client=site.client()))[0]
        with pytest.raises(aiohttp.ClientError):
            await site.ask(client=site.client(strangers))


async def test_an_authority_that_is_no_root(site: Site) -> None:
    """As in Go, what client_ca_file holds is trusted, also where it is an intermediate authority."""
    friends = trustme.CA().create_child_ca()
    site.trust_clients_of(friends)
    site.write(TLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n")
    async with site.served():
        assert 200 == (await site.ask(client=site.client(friends)))[0]


async def test_an_authority_that_was_replaced(site: Site) -> None:
    """Clients of an authority that is no longer trusted stay out, also by resuming a session from before."""
    before, after = trustme.CA(), trustme.CA()
    site.trust_clients_of(before)
    site.write(TLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n")
    async with site.served():
        old = site.client(before)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        session = (await site.shake_hands(old)).session
        assert (await site.shake_hands(old, session)).resumed
        with events("web_config.reloaded") as reloads:
            site.trust_clients_of(after)
            await until(lambda: len(reloads))

        with pytest.raises(ssl.SSLError):
            await site.shake_hands(old, session)
        assert 200 == (await site.ask(client=site.client(after)))[0]


# Changes while running


async def test_users_change_while_running(site: Site) -> None:
    """A new password counts and the old one no longer does, although it was remembered."""
    site.write(ALICE)
    async with site.served():
        assert 200 == await site.status(basic("alice", "wonder"))
        with events("web_config.reloaded") as reloads:
            site.write(f"basic_auth_users: {{alice: {hashed(b'glass')}}}\n")
            await until(lambda: len(reloads))

        assert 401 == await site.status(basic("alice", "wonder"))
        assert 200 == await site.status(basic("alice", "glass"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda site: site.write("basic_auth_users: {alice: hunter2}\n"),
        lambda site: site.write("a: ["),
        lambda site: site.path.unlink(),
        lambda site: (site.folder / "server.key").write_text("no key"),
        lambda site: (site.folder / "server.pem").unlink(),
        lambda site: site.write(ALICE),
    ],
    ids=["users", "YAML", "no file", "key", "no certificate", "TLS off"],
)
async def test_a_bad_change_keeps_the_last_good_one(site: Site, spoil: Callable[[Site], None], clock: Clock) -> None:
    """What cannot be used is logged once and changes nothing; the next good one is taken."""
    site.write(TLS + ALICE)
    async with site.served():
        with events("web_config.rejected") as rejections:
            spoil(site)
            await until(lambda: len(rejections))
            await asyncio.sleep(5)

            assert 1 == len(rejections)
            (rejection,) = rejections
            problems = rejection["problems"]
            assert isinstance(problems, list)
            (problem,) = problems
            assert problem.startswith(f"{site.path}:")
            assert (False, [False]) == (site.security.good, site.told)
        assert 200 == await site.status(basic("alice", "wonder"))
        assert 401 == await site.status()
        with events("web_config.reloaded") as reloads:
            site.certify()
            site.write(TLS + f"basic_auth_users: {{bob: {hashed(b'builder')}}}\n")
            await until(lambda: len(reloads))
        assert [401, 200] == [await site.status(basic(*pair)) for pair in (("alice", "wonder"), ("bob", "builder"))]
        assert site.security.good
        assert site.told[-1]


async def test_tls_is_not_switched_on_by_a_change(site: Site) -> None:
    """TLS that is written while plain HTTP is served needs a restart, and the log says so."""
    site.write(ALICE)
    async with site.served(poll=60):
        site.write(TLS + ALICE)
        with events("web_config.rejected") as rejections:
            assert not await site.security.reload()
        (rejection,) = rejections
        expected = (
            f"{site.path}:1: tls_server_config: can be switched on or off only at a start; restart the "
            "service, or undo the change"
        )

        assert [expected] == rejection["problems"]
        assert 200 == await site.status(basic("alice", "wonder"))


@pytest.mark.parametrize(
    "left", ["", "# nothing\n", "basic_auth_users: {}\n", "basic_auth_users:\n", "basic_auth_u"], ids=repr
)
async def test_a_file_that_lost_its_users_opens_nothing(site: Site, left: str) -> None:
    """A file that was emptied or cut off for good keeps the password on; a change that leaves a user is taken."""
    site.write(ALICE)
    async with site.served(poll=60):
        site.path.write_text(left)
        with events("web_config.rejected") as rejections:
            assert not await site.security.reload()

        assert 1 == len(rejections)
        assert not site.security.good
        assert [401, 200] == [await site.status(), await site.status(basic("alice", "wonder"))]
        site.write(f"basic_auth_users: {{bob: {hashed(b'builder')}}}\n")
        assert await site.security.reload()
        assert [401, 200] == [await site.status(), await site.status(basic("bob", "builder"))]


async def test_a_file_that_lost_its_client_certificates_opens_nothing(site: Site) -> None:
    """Clients that had to bring a certificate still have to when the end of the file, where it says so, is cut off."""
    site.trust_clients_of(trustme.CA())
    site.write(TLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n")
    async with site.served(poll=60):
        site.write(TLS)
        with events("web_config.rejected") as rejections:
            assert not await site.security.reload()

        (rejection,) = rejections
        assert "tls_server_config.client_auth_type" in rejection["problems"][0]  # type: ignore[index]
        assert ssl.CERT_REQUIRED == site.security.protection.tls.verify_mode  # type: ignore[union-attr]


async def test_a_file_in_the_middle_of_being_written(site: Site, clock: Clock) -> None:
    """A file that is empty for a moment, as editors leave it while they write, opens nothing."""
    site.write(ALICE)
    async with site.served(poll=0.005):
        statuses = []
        for _ in range(3):
            site.path.write_text("")
            for _ in range(5):
                await asyncio.sleep(0.01)
                statuses.append(await site.status())
            site.path.write_text(ALICE)

        assert {401} == set(statuses)


async def test_a_swapped_symbolic_link(site: Site) -> None:
    """A new version that Kubernetes mounts, by swapping a link to the folder, is taken, certificates and all."""
    for version in ("one", "two"):
        (site.folder / version).mkdir()
        site.certify()
        for name in ("server.pem", "server.key"):
            (site.folder / name).rename(site.folder / version / name)
        (site.folder / version / "web.yml").write_text(TLS)
    (site.folder / "data").symlink_to("one")
    site.path = site.folder / "data" / "web.yml"
    async with site.served():
        before = await site.certificate()
        (site.folder / "next").symlink_to("two")
        with events("web_config.reloaded") as reloads:
            os.replace(site.folder / "next", site.folder / "data")
            await until(lambda: len(reloads))

        assert before != await site.certificate()


async def test_a_bad_file_at_the_start(site: Site) -> None:
    """What cannot be used at the start is raised, with every problem."""
    site.write("basic_auth_users: {alice: hunter2}\nrate_limit: {}\n")
    with pytest.raises(ConfigError) as error:
        await Security.open(site.path)

    assert 2 == len(error.value.problems)
