"""The whole service with a PostgreSQL that wants a password, and every other kind of secret, at debug level through
failures.
"""

from __future__ import annotations

import asyncio
import base64
import html
import json
import os
import signal
import ssl
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import bcrypt
import pytest
import trustme
import yaml
from aiohttp import web

from monitor.simulator import Studio, projects, serve
from monitor.simulator.faults import Refuse, Status
from tests.store.postgres_server import DATABASE, Server, pooling, running

WATCHER = "watcher"
PASSWORD = "pw/of the@store%7e"
"""With characters that a URL escapes: it must appear neither as it is nor as it is written."""
WRONG = "wrong:pw@of the store"
UNESCAPED = "tail-of@an-unescaped-pw"
LONG = 240
"""Seconds to wait for what takes one on a machine that does nothing else."""
KEY_IN_ENVIRONMENT = "IMPULSE_MONITOR_TEST_KEY"
PATHS = (
    "/",
    "/metrics",
    "/-/ready",
    "/-/healthy",
    "/nowhere",
    "/targets/101-1-int8-testing",
    "/targets/102-1-int8-testing",
)
API = (
    "targets",
    "alerts",
    "targets/101-1-int8-testing",
    "targets/101-1-int8-testing/runs",
    "targets/102-1-int8-testing",
)

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def guarded(program: Callable[[str], str]) -> Iterator[Server]:
    """A server that wants passwords, with a database of a user who has one."""
    with running(program, "pw-of-the-superuser") as server:
        for statement in (
            f"CREATE ROLE {WATCHER} LOGIN PASSWORD '{PASSWORD}'",
            f"CREATE DATABASE {DATABASE} OWNER {WATCHER}",
        ):
            asyncio.run(server.execute(statement))
        yield server


def written(secret: str) -> set[str]:
    """A secret in each form in which it might be said."""
    plain = {secret, base64.b64encode(secret.encode()).decode()}
    return plain | {
        quote(secret),
        quote(secret, safe=""),
        html.escape(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
    }


def leaks(secrets: dict[str, str], said: dict[str, str]) -> list[str]:
    """Which secrets are in what was said, and where."""
    return [
        f"{name} is in {where}"
        for where, text in said.items()
        for name, secret in secrets.items()
        for form in written(secret)
        if form in text
    ]


class WatchedService:
    """The service as a process of its own, all secrets of its configuration, and all it says.

    Attributes:
        secrets: Each with what it is.
        told: What receivers got, but for the credentials that are meant for them.
    """

    def __init__(self, folder: Path, studio: Studio, port: int, store: str) -> None:
        self.folder, self.studio, self.store = folder, studio, store
        self.address = f"https://127.0.0.1:{port}"
        self.told: list[str] = []
        self.authority = trustme.CA()
        self._certificate = self.authority.issue_cert("127.0.0.1")
        self._said: dict[str, str] = {}
        self.process: Process | None = None
        basic = {name: f"pw-of-{name}-4e1c" for name in ("reader", "proxy", "alertmanager", "apprise")}
        key = self._certificate.private_key_pem.bytes().decode().splitlines()[1:-1]
        self.secrets = {
            "the store's password": PASSWORD,
            "the store's wrong password": WRONG,
            "the store's password with an @, up to it": UNESCAPED.partition("@")[0],
            "the store's password with an @, after it": UNESCAPED.partition("@")[2],
            "the superuser's password": "pw-of-the-superuser",
            "the admin token": "token-of-the-admin-5f2e",
            "the bearer token": "token-of-the-receiver-c0a8",
            "the webhook's secret": "hmac-of-the-webhook-91bc",
            "the webhook's path": "path-of-the-webhook-33de",
            "the webhook's query": "query-of-the-webhook-8a7f",
            "the hash of the reader's password": bcrypt.hashpw(basic["reader"].encode(), bcrypt.gensalt(4)).decode(),
            **{f"the password of {name}": password for name, password in basic.items()},
            **{f"{name} and its password": f"{name}:{password}" for name, password in basic.items()},
            **{f"line {number} of the TLS key": line for number, line in enumerate(key) if len(line) > 20},
            **{f"the key of {project.id}": project.api_key for project in studio.projects.values()},
        }

    def write(self, studio: str, receiver: str) -> None:
        """Put the configuration into its files, its secrets inline, in files and in the environment by turns."""
        folder, secrets = self.folder, self.secrets
        for name in ("the admin token", "the bearer token", "the webhook's secret"):
            (folder / name).write_text(secrets[name], encoding="utf-8")
        (folder / "tls.key").write_bytes(self._certificate.private_key_pem.bytes())
        (folder / "tls.crt").write_bytes(b"".join(each.bytes() for each in self._certificate.cert_chain_pems))
        users = {"reader": secrets["the hash of the reader's password"]}
        protection = {"tls_server_config": {"cert_file": "tls.crt", "key_file": "tls.key"}, "basic_auth_users": users}
        (folder / "web.yml").write_text(yaml.safe_dump(protection), encoding="utf-8")
        first, second, third = self.studio.projects.values()
        (folder / "key").write_text(f"{second.api_key}\n", encoding="utf-8")
        host = receiver.removeprefix("http://")
        hook = "".join((receiver, "/", secrets["the webhook's path"], "?token=", secrets["the webhook's query"]))
        content = {
            "studio": {
                "url": studio,
                "proxy": studio.replace("http://", f"http://proxy:{secrets['the password of proxy']}@").removesuffix(
                    "/v1"
                ),
            },
            "schedule": {"every": "5s"},
            "store": self.store,
            "http": {
                "listen": self.address.removeprefix("https://"),
                "web_config_file": "web.yml",
                "admin_token_file": "the admin token",
            },
            "projects": [
                {"id": first.id, "api_key": first.api_key},
                {"id": second.id, "api_key_file": "key"},
                {"id": third.id, "api_key": f"${{{KEY_IN_ENVIRONMENT}}}"},
            ],
            "notify": [
                {"name": "hook", "webhook": {"url": hook, "secret_file": "the webhook's secret"}},
                {
                    "name": "one",
                    "alertmanager": {"url": f"http://alertmanager:{secrets['the password of alertmanager']}@{host}"},
                },
                {"name": "two", "alertmanager": {"url": receiver, "bearer_token_file": "the bearer token"}},
                {
                    "name": "chat",
                    "apprise": {"url": f"json://apprise:{secrets['the password of apprise']}@{host}/chat"},
                },
            ],
        }
        (folder / "monitor.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")

    async def take(self, request: web.Request) -> web.Response:
        """Be a receiver; every other message is refused with all that came, as a careless one would."""
        body = (await request.read()).decode()
        self.told.append(body + repr([pair for pair in request.headers.items() if pair[0] != "Authorization"]))
        if len(self.told) % 2:
            return web.Response(status=500, text=f"{request.url} {dict(request.headers)} {body}")
        return web.Response()

    async def command(self, *words: str) -> str:
        """What a command prints."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "monitor", *words, "--config", str(self.folder / "monitor.yaml")),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment(),
        )
        printed, _ = await process.communicate()
        self._said[" ".join(words)] = text = printed.decode()
        return text

    def _environment(self) -> dict[str, str]:
        return {**os.environ, KEY_IN_ENVIRONMENT: self.secrets["the key of 103"]}

    async def get(self, path: str) -> str:
        """Status and text of a page, for who has the password."""
        trusted = ssl.create_default_context()
        self.authority.configure_trust(trusted)
        login = base64.b64encode(self.secrets["reader and its password"].encode()).decode()
        headers = {"Authorization": f"Basic {login}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(self.address + path, ssl=trusted) as response,
        ):
            assert response.status not in (401, 403), path
            text = f"{response.status} {response.headers} {await response.text()}"
        self._said[path] = self._said.get(path, "") + text
        return text

    async def until(self, path: str, text: str) -> None:
        """Wait until a page holds a text."""
        async with asyncio.timeout(LONG):
            while True:
                try:
                    if text in await self.get(path):
                        return
                except aiohttp.ClientConnectionError:  # it starts
                    assert self.process is not None
                    assert self.process.returncode is None, (self.folder / "err").read_text()
                await asyncio.sleep(0.2)

    async def told_something(self) -> None:
        """Wait until each receiver was told something, and one more time."""
        async with asyncio.timeout(LONG):
            while len(self.told) < 5:
                await asyncio.sleep(0.1)

    async def everything(self) -> dict[str, str]:
        """All that was said until now, and is said when asked for, by where."""
        for path in (*PATHS, *(f"/api/v1/{each}" for each in API)):
            await self.get(path)
        files = {name: (self.folder / name).read_text(encoding="utf-8") for name in ("out", "err")}
        return self._said | files | {"what receivers were told": "\n".join(self.told)}


@asynccontextmanager
async def watched(folder: Path, port: int, store: str) -> AsyncIterator[WatchedService]:
    """The service, running, with three projects, of which one is refused with its key, and another one now and then."""
    studio = Studio([projects.classification(number, sizes={"testing": 10}) for number in (101, 102, 103)])
    service = WatchedService(folder, studio, port, store)
    for number, fault in (
        (102, Refuse(f"the key {studio.projects[102].api_key} may not")),
        (103, Status(500, studio.projects[103].api_key)),
    ):
        studio.fail(fault, "result/page", project=number, times=None if number == 102 else 3)
    async with AsyncExitStack() as stack:
        receivers = web.Application()
        receivers.router.add_route("*", "/{path:.*}", service.take)
        runner = web.AppRunner(receivers, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        service.write(await stack.enter_async_context(serve(studio)), f"http://127.0.0.1:{runner.addresses[0][1]}")
        service.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "monitor", "run", "--config", str(folder / "monitor.yaml")),
            *("--log.level", "debug", "--log.format", "json"),
            stdout=stack.enter_context((folder / "out").open("wb")),
            stderr=stack.enter_context((folder / "err").open("wb")),
            env=service._environment(),
        )
        try:
            await service.until("/-/healthy", "healthy")
            yield service
        finally:
            if service.process.returncode is None:
                service.process.terminate()
            await service.process.wait()


def url(host: str | Path, password: str = PASSWORD, database: str = DATABASE, options: str = "") -> str:
    """The URL of a store."""
    return f"postgresql://{WATCHER}:{quote(password, safe='')}@/{database}?host={host}{options}"


async def test_a_server_that_stops_and_comes_back(guarded: Server, tmp_path: Path, unused_tcp_port: int) -> None:
    """While all is well, while PostgreSQL is stopped, with a configuration that is refused, and after it came back: no
    secret is said.
    """
    async with watched(tmp_path, unused_tcp_port, url(guarded.folder)) as service:
        await service.told_something()
        await service.until("/metrics", "impulse_monitor_store_up 1.0")
        await service.until("/api/v1/targets", "***")  # the key that Studio repeated
        await service.command("notify", "test")
        guarded.control("-m", "immediate", "stop")
        try:
            await service.until("/metrics", "impulse_monitor_store_up 0.0")
            await service.until("/", "cannot be reached")
            assert "cannot be reached" in await service.command("check", "--online")
            assert "cannot be reached" in await service.command("history")
            file = tmp_path / "monitor.yaml"
            good = file.read_text(encoding="utf-8")
            content: dict[str, Any] = yaml.safe_load(good)
            content["store"] = f"postgresql://{WATCHER}:{UNESCAPED}@db.example/monitor"
            file.write_text(yaml.safe_dump(content), encoding="utf-8")
            assert service.process is not None
            service.process.send_signal(signal.SIGHUP)
            await service.until("/", "%40")
            assert "%40" in await service.command("check")
            file.write_text(good, encoding="utf-8")
        finally:
            guarded.start()
        await service.until("/metrics", "impulse_monitor_store_up 1.0")
        said = await service.everything()

    said["err"] = (tmp_path / "err").read_text(encoding="utf-8")  # the end of it included
    assert "store.failed" in said["err"]
    assert "store.recovered" in said["err"]
    assert "EdgeImpulsePullFailing" in said["what receivers were told"]
    assert "***" in said["what receivers were told"]
    assert [] == leaks(service.secrets, said)


@pytest.mark.parametrize(
    "trouble", ["wrong password", "no database", "wrong password file", "pooler", "pooler and wrong password"]
)
async def test_a_store_that_cannot_be_used(
    guarded: Server, program: Callable[[str], str], tmp_path: Path, unused_tcp_port: int, trouble: str
) -> None:
    """A password that is refused, a database that does not exist, a pooler without the option for it: said everywhere,
    without a secret.
    """
    async with AsyncExitStack() as stack:
        host: str | Path = guarded.folder
        if "pooler" in trouble:
            users = f'"{WATCHER}" "{PASSWORD}"\n'
            host = await stack.enter_async_context(pooling(guarded, program, ["auth_type = scram-sha-256"], users))
        passfile = tmp_path / "pgpass"
        passfile.write_text("*:*:*:*:" + WRONG.replace(":", "\\:"), encoding="utf-8")
        passfile.chmod(0o600)
        store, advice = {
            "wrong password": (url(host, WRONG), "refuses this user"),
            "no database": (url(host, database="absent"), "does not exist"),
            "wrong password file": (
                f"postgresql://{WATCHER}@/{DATABASE}?host={host}&passfile={passfile}",
                "refuses this user",
            ),
            "pooler": (url(host), "prepared_statements=off"),
            "pooler and wrong password": (url(host, WRONG, options="&prepared_statements=off"), "refuses this user"),
        }[trouble]
        service = await stack.enter_async_context(watched(tmp_path, unused_tcp_port, store))
        await service.until("/", advice)
        await service.until("/metrics", "impulse_monitor_store_up 0.0")
        assert advice in await service.command("check", "--online")
        assert advice in await service.command("history")
        said = await service.everything()

    said["err"] = (tmp_path / "err").read_text(encoding="utf-8")  # the end of it included
    assert advice in said["err"]
    assert [] == leaks(service.secrets, said)


def test_what_is_searched_for_is_found(tmp_path: Path) -> None:
    """The search knows a secret as it is, as a URL, HTML or JSON writes it, and encoded as a header is."""
    service = WatchedService(tmp_path, Studio([projects.classification(103, sizes={"testing": 1})]), 1, "")

    for name, secret in service.secrets.items():
        for form in (
            secret,
            quote(secret, safe=""),
            html.escape(secret),
            json.dumps(secret),
            base64.b64encode(secret.encode()).decode(),
        ):
            assert f"{name} is in the log" in leaks(service.secrets, {"the log": f"before {form} after"})
