"""What is the matter with the service itself is on the status page and at /api/v1/status, the worst first, with what to
do.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import sqlite3
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest
import trustme
import yaml
from prometheus_client.parser import text_string_to_metric_families

from monitor.service import store_upkeep
from monitor.service.app import App
from monitor.simulator import Studio, projects, serve
from monitor.web import security
from tests.notify.notify_parts import Inbox, free_port
from tests.service_process import Service
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("clock")

SECRET = "T0K3N-of-the-hook"
TARGET = "101-1-int8-testing"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A service of one project that is told nobody of anything yet; not started, its configuration not written."""
    studio = Studio([projects.classification(sizes={"testing": 100})])
    async with serve(studio) as url:
        service = Service(tmp_path / "monitor.yaml", studio, url)
        service.content["schedule"] = {"every": "1h"}
        yield service
        await service.app.stop()


async def status(service: Service) -> dict[str, Any]:
    """The API's answer."""
    code, text = await service.get("/api/v1/status")
    assert 200 == code
    data: dict[str, Any] = json.loads(text)["data"]
    return data


async def kinds(service: Service) -> list[str]:
    """What is the matter, in order."""
    return [problem["kind"] for problem in (await status(service))["problems"]]


async def becomes(service: Service, *wanted: str) -> None:
    """Wait until just this is the matter."""

    async def so() -> bool:
        return list(wanted) == await kinds(service)

    await until(so)


async def test_nobody_is_told(service: Service) -> None:
    """Without a receiver both say that nobody is notified, and how to change that; with one, and where there is no
    alert, they do not.
    """
    service.write()
    await service.app.start()
    await service.until(lambda: service.app.ready)
    (problem,) = (await status(service))["problems"]
    _, page = await service.get("/")

    assert ("no_receiver", "warning", None, None) == tuple(
        problem[name] for name in ("kind", "severity", "since", "receiver")
    )
    assert problem["title"] in page
    assert "alertmanager: {url: http://127.0.0.1:9093}" in page
    assert (True, None) == ((await status(service))["ready"], (await status(service))["unready"])
    service.content["defaults"] = "off"
    service.write()
    assert await service.app.reload()
    assert [] == await kinds(service)
    del service.content["defaults"]
    service.content["notify"] = [{"webhook": {"url": f"http://127.0.0.1:{free_port()}/"}}]
    service.write()
    assert await service.app.reload()
    assert [] == await kinds(service)
    assert problem["title"] not in (await service.get("/"))[1]


async def test_rejected_configuration(service: Service) -> None:
    """A file that was not taken over is shown with each problem at its line, since when, and no
    longer once it is good.
    """
    service.content["notify"] = [{"webhook": {"url": f"http://127.0.0.1:{free_port()}/{SECRET}"}}]
    service.write()
    await service.app.start()
    good = service.path.read_text(encoding="utf-8")
    service.path.write_text(
        f"unknown: 1\nprojects: [{{id: x}}]\nnotify: [{{webhook: {{url: 'ftp://{SECRET}'}}}}]\n", encoding="utf-8"
    )
    assert not await service.app.reload()
    (first,) = (await status(service))["problems"]
    _, page = await service.get("/")
    await asyncio.sleep(1.1)  # times are to the second
    assert not await service.app.reload()
    (second,) = (await status(service))["problems"]
    service.path.write_text(good, encoding="utf-8")
    assert await service.app.reload()

    assert ("config", "error") == (first["kind"], first["severity"])
    assert [f"{service.path}:{line}: " for line in (1, 2, 2, 3)] == [
        detail[: len(f"{service.path}:1: ")] for detail in first["details"]
    ]
    assert "unknown key" in first["details"][0]
    assert f"{service.path}:1: unknown: unknown key" in page
    assert "the one before is running" in page
    assert first["since"] == second["since"] is not None
    assert SECRET not in json.dumps(first) + page
    assert [] == await kinds(service)


async def test_rejected_web_configuration(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A web configuration that lost its users is shown while those of before are still asked for; it leaves with a good
    one.
    """
    monkeypatch.setattr(security, "POLL", 0.05)
    hashed = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
    text = yaml.safe_dump({"basic_auth_users": {"alice": hashed}})
    (tmp_path / "web.yml").write_text(text, encoding="utf-8")
    service.content["http"]["web_config_file"] = "web.yml"
    service.content["defaults"] = "off"
    service.write()
    await service.app.start()
    (tmp_path / "web.yml").write_text("", encoding="utf-8")
    assert not await service.app.reload()

    async def shown() -> str:
        return (await service.get("/", headers={"Authorization": "Basic YWxpY2U6b3BlbiBzZXNhbWU="}))[1]

    assert 401 == (await service.get("/"))[0]
    assert "The web configuration was rejected" in await shown()
    assert f"{tmp_path / 'web.yml'}:1: basic_auth_users: no longer names any user" in await shown()
    assert hashed not in await shown()
    (tmp_path / "web.yml").write_text(text, encoding="utf-8")
    assert await service.app.reload()
    assert "was rejected" not in await shown()


async def test_receiver_that_fails(service: Service) -> None:
    """A receiver that gets nothing is named with why, since when and how many messages wait; the store comes before it;
    all pass.
    """
    hook = Inbox()
    service.content["notify"] = [{"name": "on call", "webhook": {"url": hook.url(f"/{SECRET}")}}]
    service.content["alerts"] = [{"alert": "Low", "metric": "accuracy", "below": 0.9999}]
    service.write()
    await service.app.start()
    await becomes(service, "receiver")
    (problem,) = (await status(service))["problems"]
    _, page = await service.get("/")
    assert ("error", "on call") == (problem["severity"], problem["receiver"])
    assert f"no connection to http://127.0.0.1:{hook.port}" in problem["details"][0]
    assert problem["since"] is not None

    async def waits() -> bool:
        return "1 message waits" in json.dumps(await status(service))

    await until(waits)
    assert "Receiver on call is not notified of alerts" in page
    assert "impulse-monitor notify test" in page
    assert SECRET not in json.dumps(problem) + page
    async with hook:
        await becomes(service)
    assert 1 <= len(hook.requests)


async def test_receiver_that_refuses(service: Service) -> None:
    """Messages that a receiver refuses for good are a failure too: they are lost."""
    async with Inbox(reply=lambda body: 404) as hook:
        service.content["notify"] = [{"webhook": {"url": hook.url()}}]
        service.content["alerts"] = [{"alert": "Low", "metric": "accuracy", "below": 0.9999}]
        service.write()
        await service.app.start()
        await becomes(service, "receiver")
        (problem,) = (await status(service))["problems"]

    assert (
        f"the last message was given up: http://127.0.0.1:{hook.port} refused it with 404; check its URL"
        == problem["details"][0]
    )


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
async def test_apprise_url_that_is_none(service: Service, tmp_path: Path) -> None:
    """An Apprise URL that cannot be used is shown before there is a message; one that can, put into its file, is taken
    as it is.
    """
    (tmp_path / "chat").write_text(f"no-such-service://{SECRET}", encoding="utf-8")
    service.content["notify"] = [{"apprise": {"url_file": "chat"}}]
    service.write()
    await service.app.start()
    await becomes(service, "receiver")
    text = json.dumps(await status(service))
    (tmp_path / "chat").write_text("json://127.0.0.1:1/", encoding="utf-8")
    await becomes(service)

    assert "the URL is none that Apprise can use" in text
    assert SECRET not in text


async def test_store_that_is_gone(service: Service, tmp_path: Path) -> None:
    """A store that cannot be used is the first of all, says since when, and no more once it can be used."""
    path = tmp_path / "impulse-monitor.db"
    path.write_bytes(b"no database" * 1000)
    service.write()
    before = time.time()
    await service.app.start()
    data = await status(service)

    assert ["store", "no_receiver"] == [problem["kind"] for problem in data["problems"]]
    assert "is not a SQLite database" in data["problems"][0]["details"][0]
    assert (False, True) == (data["ready"], "is not a SQLite database" in data["unready"])
    since = datetime.datetime.fromisoformat(data["problems"][0]["since"])
    assert before - 1 <= since.timestamp() <= time.time()
    assert "since" in (await service.get("/"))[1]
    await asyncio.sleep(2 * store_upkeep.CHECK)  # it is tried again
    assert data["problems"][0]["since"] == (await status(service))["problems"][0]["since"]
    path.unlink()
    await becomes(service, "no_receiver")


async def test_store_that_goes_later(service: Service, tmp_path: Path) -> None:
    """A store that was lost while the service runs says since when that is, not since when the service runs."""
    service.app = App(service.path, clock=lambda: time.time() + ahead)
    ahead = 0.0
    service.write()
    await service.app.start()
    await becomes(service, "no_receiver")
    ahead = 86400.0
    (tmp_path / "impulse-monitor.db").unlink()
    await becomes(service, "store", "no_receiver")
    problem = (await status(service))["problems"][0]

    assert "store" == problem["kind"]
    assert 86000 < datetime.datetime.fromisoformat(problem["since"]).timestamp() - time.time() <= 86400


async def test_run_that_is_not_recorded(service: Service, tmp_path: Path) -> None:
    """A run that a store which can be used does not take is the matter, since that run, until one is recorded."""
    service.write()
    await service.app.start()
    await becomes(service, "no_receiver")
    await service.pulled(TARGET)
    path = tmp_path / "impulse-monitor.db"
    with closing(sqlite3.connect(path)) as database:
        for change in ("INSERT", "UPDATE"):  # a run that says nothing new is counted by the one before
            database.execute(
                f"CREATE TRIGGER full_{change} BEFORE {change} ON run BEGIN SELECT RAISE(ABORT, 'no more'); END"
            )
        database.commit()
    before = service.app.live.snapshots[TARGET].last_pull
    service.app.watchlist.pull_now(TARGET)
    await service.until(lambda: service.app.live.snapshots[TARGET].last_pull > before)
    problem = (await status(service))["problems"][0]

    assert ("store", True) == (problem["kind"], "could not be recorded" in problem["title"])
    assert datetime.datetime.fromisoformat(problem["since"]).timestamp() > before - 1
    with closing(sqlite3.connect(path)) as database:
        for change in ("INSERT", "UPDATE"):
            database.execute(f"DROP TRIGGER full_{change}")
        database.commit()
    service.app.watchlist.pull_now(TARGET)
    await becomes(service, "no_receiver")


@pytest.mark.real_time  # TLS reads the real clock
async def test_certificate_that_expires(service: Service, tmp_path: Path) -> None:
    """The own certificate's end is a metric, and a trouble when it is near; a new file changes both, plain HTTP has
    neither.
    """
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)

    def certify(days: int) -> float:
        end = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(days=days)
        authority.issue_cert("127.0.0.1", not_after=end).private_key_and_cert_chain_pem.write_to_path(
            str(tmp_path / "server.pem")
        )
        return end.timestamp()

    async def ask(path: str, app: App, scheme: str = "https") -> str:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{scheme}://{app.address}{path}", ssl=context) as response,
        ):
            return await response.text()

    async def shows(wanted: list[float], app: App, scheme: str = "https") -> bool:
        families = text_string_to_metric_families(await ask("/metrics", app, scheme))
        name = "impulse_monitor_certificate_expiry_timestamp_seconds"
        return wanted == [sample.value for family in families for sample in family.samples if sample.name == name]

    async def problems(app: App) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(await ask("/api/v1/status", app))["data"]["problems"]
        return found

    soon = certify(3)
    (tmp_path / "web.yml").write_text(
        "tls_server_config: {cert_file: server.pem, key_file: server.pem}", encoding="utf-8"
    )
    service.content["defaults"] = "off"
    service.write()
    async with App(service.path) as plain:
        assert await shows([], plain, "http")
    service.content["http"]["web_config_file"] = "web.yml"
    service.write()
    await service.app.start()
    await until(lambda: shows([soon], service.app))
    (problem,) = await problems(service.app)
    assert ("certificate", "warning") == (problem["kind"], problem["severity"])
    later = certify(60)
    assert await service.app.reload()
    await until(lambda: shows([later], service.app))
    assert [] == await problems(service.app)
