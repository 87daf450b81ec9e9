"""The page and the API of the running configuration: what they say, and what they never show."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml

from tests.notify.notify_parts import Inbox
from tests.service_process import TOKEN, Service
from tests.web.web_client import allow, client
from tests.web.web_service import start

pytestmark = pytest.mark.usefixtures("clock")


async def config(service: Service) -> Any:
    """The data of `/api/v1/config`."""
    status, text = await service.get("/api/v1/config")
    assert 200 == status, text
    return json.loads(text)["data"]


async def test_no_secret_is_shown(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, tokens, URLs of receivers, files' contents and what the environment says are not on the page, not in the
    API, wherever they are written.
    """
    key, other = (service.studio.projects[number].api_key for number in (101, 103))
    secrets = {
        "KEY": key,
        "PASSWORD": "pass-w0rd",
        "TEAM": "team-of-the-environment",
        "CONTACT": "person@environment.example",
        "HOST": "host-of-the-environment",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(f"CONFIG_TEST_{name}", value)
    allow(service)
    (tmp_path / "hook").write_text("http://127.0.0.1:9/path-in-file?token=in-file", encoding="utf-8")
    more = {"id": 103, "api_key": other, "labels": {"team": "${CONFIG_TEST_TEAM}", "note": other}}
    (tmp_path / "more.yaml").write_text(yaml.safe_dump({"projects": [more]}), encoding="utf-8")
    service.content["projects"] = [{"id": 101, "api_key": "${CONFIG_TEST_KEY}", "labels": {"a": "${CONFIG_TEST_TEAM}"}}]
    service.content["include"] = ["more.yaml"]
    service.content["studio"]["proxy"] = "http://user:${CONFIG_TEST_PASSWORD}@127.0.0.1:9/proxy-path"
    service.content["studio"]["site"] = "https://${CONFIG_TEST_HOST}.example"
    service.content["alerts"] = [
        {
            "alert": "EdgeImpulseAccuracyRegressed",
            "annotations": {"contact": "mail ${CONFIG_TEST_CONTACT}"},
            "for": "2 pulls",
        }
    ]
    service.content["notify"] = [
        {"webhook": {"url": "http://me:in-url@127.0.0.1:9/in-path?token=in-query"}, "name": "one"},
        {"webhook": {"url_file": "hook"}},
        {"apprise": {"url": "json://user:in-apprise@127.0.0.1:9/in-path"}, "name": "chat"},
    ]
    await start(service)
    found = await config(service)
    status, page = await service.get("/config")
    running = found["running"]

    assert 200 == status
    for text in (json.dumps(found), page):
        for secret in (*secrets.values(), key, other, TOKEN, "in-url", "in-path", "in-query", "in-apprise", "in-file"):
            assert secret not in text, secret
    assert ("${CONFIG_TEST_KEY}", "***") == tuple(project["api_key"] for project in running["projects"])
    assert {"a": "${CONFIG_TEST_TEAM}"} == running["projects"][0]["labels"]
    assert {"team": "${CONFIG_TEST_TEAM}", "note": "***"} == running["projects"][1]["labels"]
    assert ("***", "https://${CONFIG_TEST_HOST}.example") == (running["studio"]["proxy"], running["studio"]["site"])
    assert "mail ${CONFIG_TEST_CONTACT}" == running["alerts"][0]["annotations"]["contact"]
    assert "2 pulls" == running["alerts"][0]["for"]
    assert ["http://127.0.0.1:9", None, "***"] == [
        each.get("webhook", each.get("apprise")).get("url") for each in running["notify"]
    ]
    assert [str(service.path), str(tmp_path / "more.yaml")] == found["files"]


async def test_a_password_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a PostgreSQL store user, host and database are shown, and nothing of what the environment says."""
    from monitor.config import load
    from monitor.config.shown import shown

    monkeypatch.setenv("CONFIG_TEST_PASSWORD", "pass-w0rd")
    path = tmp_path / "monitor.yaml"
    stores = {
        "postgresql://me:plain-w0rd@db/figures": "postgresql://me@db/figures",
        "postgresql://me:${CONFIG_TEST_PASSWORD}@db/figures": "***",
        "sqlite:///figures.db": f"sqlite:///{tmp_path / 'figures.db'}",
    }
    for written, expected in stores.items():
        path.write_text(f"store: '{written}'\n", encoding="utf-8")
        assert expected == shown(load(path))["store"]


async def test_a_rejected_edit(service: Service) -> None:
    """What is wrong with the last edit is there with file, line, key and what to write, until it is put right; the
    digest is that of what is running.
    """
    allow(service)
    await start(service)
    before = await config(service)
    good = service.path.read_text(encoding="utf-8")
    service.path.write_text(good + "retantion: 7d\nlimits: {classes: <b>}\n", encoding="utf-8")
    async with client(service) as browser:
        await browser.log_in()
        answer = await browser.send("/config/reload")
        after = await config(service)
        service.path.write_text(good.replace("stale_after: 10m", "stale_after: 20m"), encoding="utf-8")
        better = await browser.send("/config/reload")
    last = await config(service)
    lines = good.count("\n")

    assert "Not reloaded: what is wrong is below." == answer.said
    assert [(lines + 1, "retantion"), (lines + 2, "limits.classes")] == [
        (each["line"], each["key"]) for each in after["rejected"]["problems"]
    ]
    assert {str(service.path)} == {each["file"] for each in after["rejected"]["problems"]}
    assert "did you mean retention?" in answer.text
    assert "did you mean retention?" in after["rejected"]["problems"][0]["message"]
    assert before["digest"] == after["digest"]
    assert (before["running"], None) == (after["running"], before["rejected"])
    assert ("Reloaded.", None, "20m") == (better.said, last["rejected"], last["running"]["stale_after"])
    assert last["digest"] != before["digest"]


async def test_what_needs_a_restart(service: Service) -> None:
    """A section that a reload does not apply is named until a restart, or until the edit is undone."""
    await start(service)
    service.content["limits"] = {"classes": 7}
    service.write()
    assert await service.app.reload()
    changed = await config(service)
    assert await service.app.reload()
    assert ["limits"] == changed["need_restart"] == (await config(service))["need_restart"]
    del service.content["limits"]
    service.write()
    assert await service.app.reload()
    assert [] == (await config(service))["need_restart"]


async def test_receivers(service: Service) -> None:
    """Each receiver is listed with what became of its last message; a test message is sent past the queue, by the
    button and by the API, and says what came of it.
    """
    allow(service)
    async with Inbox() as well, Inbox([500, 500]) as ill:
        service.content["notify"] = [
            {"name": "well & good", "webhook": {"url": well.url()}},
            {"name": "ill", "webhook": {"url": ill.url()}},
        ]
        await start(service)
        async with client(service) as browser:
            await browser.log_in()
            page = await browser.get("/config")
            done = await browser.send("/receivers/well%20%26%20good/test")
            failed = await browser.send("/receivers/ill/test")
            missing = await browser.send("/receivers/wel/test")
            headers = {"Authorization": f"Bearer {TOKEN}"}
            answer = await browser.ask("POST", "/api/v1/receivers/ill/test", headers=headers)
            unknown = await browser.ask("POST", "/api/v1/receivers/il/test", headers=headers)
    found = await config(service)

    assert 'action="receivers/well%20%26%20good/test"' in page.text
    assert "Test message to well & good: delivered" == done.said
    assert failed.said.startswith("Test message to ill: failed: ")
    assert missing.said.startswith("Not done: no receiver is called wel; ")
    assert (1, 2) == (len(well.requests), len(ill.requests))
    assert {"receiver": "ill", "delivered": False} == {
        key: value for key, value in json.loads(answer.text)["data"].items() if key != "error"
    }
    assert (404, "did you mean ill?") == (unknown.status, json.loads(unknown.text)["error"].rpartition("; ")[2])
    assert ["not used yet", "not used yet"] == [each["state"] for each in found["receivers"]]


async def test_what_became_of_a_receiver(service: Service) -> None:
    """Alerts that arrived, and those that did not, show in the state of the receiver."""
    async with Inbox() as well:
        service.content["notify"] = [
            {"name": "well", "alertmanager": {"url": well.url()}},
            {"name": "gone", "alertmanager": {"url": "http://127.0.0.1:9"}},
        ]
        service.content["alerts"] = [{"alert": "EdgeImpulseAccuracyHigh", "metric": "accuracy", "above": 0.1}]
        await start(service, "101-1-int8-testing")
        found = await config(service)
        while any(each["state"] == "not used yet" for each in found["receivers"]):
            await asyncio.sleep(1)
            found = await config(service)
        _, page = await service.get("/config")
    first, second = found["receivers"]

    assert ("alertmanager", "delivered", None) == (first["kind"], first["state"], first["error"])
    assert first["last_delivered"] is not None
    assert ("failing", None) == (second["state"], second["last_delivered"])
    assert "127.0.0.1:9" in second["error"] and second["failing_since"] is not None
    assert "no connection to http://127.0.0.1:9" in page


async def test_web_configuration(service: Service, tmp_path: Path) -> None:
    """How many users there are is shown, without a name or a hash, and why an edit was refused."""
    hashed = bcrypt.hashpw(b"wonder", bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{alice: '{hashed}'}}", encoding="utf-8")
    service.content["http"]["web_config_file"] = "web.yml"
    await start(service)
    password = {"Authorization": "Basic YWxpY2U6d29uZGVy"}
    _, before = await service.get("/api/v1/config", headers=password)
    (tmp_path / "web.yml").write_text("basic_auth_users: {}", encoding="utf-8")
    assert not await service.app.reload()
    _, text = await service.get("/config", headers=password)
    _, after = await service.get("/api/v1/config", headers=password)
    shown = json.loads(before)["data"]["web"]

    assert (str(tmp_path / "web.yml"), False, 1, None) == tuple(
        shown[name] for name in ("file", "tls", "users", "rejected")
    )
    assert ["basic_auth_users"] == [each["key"] for each in json.loads(after)["data"]["web"]["rejected"]["problems"]]
    assert "no longer names any user" in text
    assert not [secret for secret in ("alice", hashed, hashed[:20]) if secret in text + after]
