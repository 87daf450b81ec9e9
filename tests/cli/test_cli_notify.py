"""`notify test` and what `check` says of receivers, the certificate and the store, against real servers."""

from __future__ import annotations

import datetime
import sqlite3
import ssl
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import trustme
import yaml

from monitor.store.schema import VERSION_TABLE
from tests.cli.commands import run_beside
from tests.notify.notify_parts import Inbox, free_port

ROOT = Path(__file__).parents[2]
SECRET = "T0K3N-of-the-hook"

# One of Apprise's modules looks whether it is there.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


async def run(*arguments: str) -> tuple[int, str, str]:
    """One command to its end: exit code, stdout, stderr."""
    result = await run_beside(*arguments, NO_PROXY="127.0.0.1")
    return result.exit_code, result.stdout, result.stderr


def write(folder: Path, notify: list[dict[str, Any]], **sections: Any) -> str:
    """A configuration without projects; answers its path."""
    path = folder / "monitor.yaml"
    path.write_text(yaml.safe_dump({"notify": notify, **sections}, sort_keys=False), encoding="utf-8")
    return str(path)


async def test_each_receiver_gets_a_message(tmp_path: Path) -> None:
    """Each receiver is sent one message of its kind; nothing is created, no service and no store is needed."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    (tmp_path / "token").write_text(SECRET, encoding="utf-8")
    async with Inbox() as alertmanager, Inbox(tls=context) as hook, Inbox() as chat:
        receivers: list[dict[str, Any]] = [
            {"alertmanager": {"url": f"http://127.0.0.1:{alertmanager.port}/prefix"}},
            {"name": "hook", "webhook": {"url": hook.url(), "ca_file": "ca.pem", "bearer_token_file": "token"}},
            {"name": "chat", "apprise": {"url": f"json://127.0.0.1:{chat.port}/{SECRET}"}},
        ]
        config = write(tmp_path, receivers)
        code, out, errors = await run("notify", "test", "--config", config)
        one = await run("notify", "test", "hook", "--config", config)
    (alert,) = alertmanager.requests[0].json
    schema = yaml.safe_load((ROOT / "config" / "webhook.schema.json").read_text(encoding="utf-8"))

    assert (0, "") == (code, errors)
    assert [
        f"alertmanager-127.0.0.1:{alertmanager.port}: delivered",
        "hook: delivered",
        "chat: delivered",
    ] == out.splitlines()
    assert ("/prefix/api/v2/alerts", "ImpulseMonitorTest") == (
        alertmanager.requests[0].path,
        alert["labels"]["alertname"],
    )
    assert alert["startsAt"] < alert["endsAt"]
    jsonschema.validate(hook.requests[0].json, schema)
    assert f"Bearer {SECRET}" == hook.requests[0].headers["Authorization"]
    assert "Firing: Test message of Impulse Monitor." == chat.requests[0].json["title"]
    assert (0, "hook: delivered\n") == one[:2]
    assert (1, 2, 1) == (len(alertmanager.requests), len(hook.requests), len(chat.requests))
    assert {"monitor.yaml", "ca.pem", "token"} == {path.name for path in tmp_path.iterdir()}


async def test_what_came_of_it(tmp_path: Path) -> None:
    """A receiver that fails is a line with why, in the order of the configuration, and exit code 1;
    no secret is shown.
    """
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    nobody = free_port()
    (tmp_path / "url").write_text(f"no-such-service://{SECRET}", encoding="utf-8")
    async with (
        Inbox([404]) as wrong,
        Inbox([503]) as ill,
        Inbox(tls=context) as private,
        Inbox([500]) as chat,
        Inbox() as well,
    ):
        receivers = [
            {"name": "wrong", "webhook": {"url": wrong.url(f"/{SECRET}")}},
            {"name": "ill", "webhook": {"url": ill.url(f"/{SECRET}")}},
            {"name": "private", "webhook": {"url": private.url(f"/{SECRET}")}},
            {"name": "nobody", "alertmanager": {"url": f"http://127.0.0.1:{nobody}/{SECRET}"}},
            {"name": "chat", "apprise": {"url": f"json://127.0.0.1:{chat.port}/{SECRET}"}},
            {"name": "none", "apprise": {"url_file": "url"}},
            {"name": "well", "webhook": {"url": well.url()}},
        ]
        code, out, errors = await run("notify", "test", "--config", write(tmp_path, receivers))
    said = dict(line.split(": ", 1) for line in out.splitlines())

    assert 1 == code
    assert [each["name"] for each in receivers] == list(said)
    assert f"failed: http://127.0.0.1:{wrong.port} refused it with 404; check its URL" == said["wrong"]
    assert f"failed: http://127.0.0.1:{ill.port} answered 503" == said["ill"]
    assert said["private"].endswith("name the file with its authority's certificate in ca_file of the receiver private")
    assert said["nobody"].startswith(f"failed: no connection to http://127.0.0.1:{nobody}")
    assert said["chat"].startswith("failed: Apprise could not deliver; try the URL by hand")
    assert said["none"].startswith("failed: the URL is none that Apprise can use")
    assert "delivered" == said["well"]
    assert SECRET not in out + errors


async def test_unknown_receiver(tmp_path: Path) -> None:
    """A name that no receiver has is exit code 1 with the one that may be meant, else with all; so is a configuration
    without any.
    """
    config = write(tmp_path, [{"name": "on-call", "webhook": {"url": "http://127.0.0.1:1/"}}])
    near, far = (
        await run("notify", "test", "oncall", "--config", config),
        await run("notify", "test", "zzz", "--config", config),
    )
    none = await run("notify", "test", "--config", write(tmp_path, []))

    assert (1, "", "no receiver is called oncall; did you mean on-call?\n") == near
    assert (1, "", "no receiver is called zzz; there are: on-call\n") == far
    assert (1, "") == none[:2]
    assert "nobody is notified of alerts" in none[2]


async def test_check_validates_apprise_urls(tmp_path: Path) -> None:
    """A URL that Apprise cannot use is a problem at its line, from a file too; nothing is sent, and nothing of it
    shown.
    """
    (tmp_path / "url").write_text(f"no-such-service://{SECRET}", encoding="utf-8")
    async with Inbox() as chat:
        good = {"apprise": {"url": f"json://127.0.0.1:{chat.port}/{SECRET}"}}
        bad: list[dict[str, Any]] = [
            {"apprise": {"url": f"tgram://{SECRET}"}, "name": "half"},
            {"apprise": {"url_file": "url"}},
        ]
        config = write(tmp_path, [good, *bad])
        wrong = await run("check", "--config", config)
        right = await run("check", "--config", write(tmp_path, [good]))

    usable = "none that Apprise can use; write one as https://github.com/caronc/apprise/wiki has it for the service"
    assert 1 == wrong[0]
    assert [
        f"{config}:5: notify[1].apprise.url: is {usable}",
        f"{config}:8: notify[2].apprise.url_file: names a file whose URL is {usable}",
    ] == [line for line in wrong[1].splitlines() if "(warning)" not in line]
    assert 0 == right[0], right
    assert [] == chat.requests
    assert SECRET not in "".join(map(str, (*wrong, *right)))


async def test_check_warns_where_nobody_is_told(tmp_path: Path) -> None:
    """Without a receiver `check` warns at the line of `notify`, and the configuration is valid all the same."""
    config = write(tmp_path, [])
    code, out, _ = await run("check", "--config", config)

    assert 0 == code
    assert (
        f"{config}:1: notify: no receiver is configured, so nobody is notified of alerts; write one below notify: "
        "(warning)" in out
    )


@pytest.mark.parametrize(("days", "code", "said"), [(-1, 1, "expired at "), (5, 0, "expires at "), (60, 0, "")])
async def test_check_says_when_the_certificate_expires(tmp_path: Path, days: int, code: int, said: str) -> None:
    """An expired certificate of the service's own is a problem at its line, one that soon does a warning."""
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    certificate = trustme.CA().issue_cert("127.0.0.1", not_after=end)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    (tmp_path / "web.yml").write_text(
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.pem\n", encoding="utf-8"
    )
    found, out, _ = await run("check", "--config", write(tmp_path, [], http={"web_config_file": "web.yml"}))
    lines = [line for line in out.splitlines() if line.startswith(f"{tmp_path / 'web.yml'}:")]

    assert code == found, out
    assert len(lines) == bool(said)
    assert all(line.startswith(f"{tmp_path / 'web.yml'}:2: tls_server_config.cert_file: {said}") for line in lines)
    assert all(line.endswith("(warning)") for line in lines) or code == 1


async def test_check_online_asks_the_receivers(tmp_path: Path) -> None:
    """Hosts of receivers are asked whether they answer, without telling them anything; one that does not is exit code
    1.
    """
    nobody = free_port()
    async with Inbox() as alertmanager, Inbox([405]) as hook, Inbox() as chat, Inbox([404]) as none:
        receivers = [
            {"name": "am", "alertmanager": {"url": f"http://127.0.0.1:{alertmanager.port}/prefix/"}},
            {"name": "hook", "webhook": {"url": hook.url(f"/{SECRET}")}},
            {"name": "chat", "apprise": {"url": f"json://127.0.0.1:{chat.port}/{SECRET}"}},
        ]
        good = await run("check", "--online", "--config", write(tmp_path, receivers))
        asked = [(request.method, request.path) for inbox in (alertmanager, hook, chat) for request in inbox.requests]
        receivers = [
            {"name": "none", "alertmanager": {"url": none.url("")}},
            {"name": "gone", "webhook": {"url": f"http://127.0.0.1:{nobody}/{SECRET}"}},
        ]
        bad = await run("check", "--online", "--config", write(tmp_path, receivers))

    assert 0 == good[0], good
    assert f"receiver am: ok, http://127.0.0.1:{alertmanager.port} is ready" in good[1]
    assert f"receiver hook: ok, http://127.0.0.1:{hook.port} answers (HTTP 405)" in good[1]
    assert "receiver chat: not asked" in good[1]
    assert [("GET", "/prefix/-/ready"), ("HEAD", "/")] == asked
    assert 1 == bad[0]
    assert f"receiver none: http://127.0.0.1:{none.port} answered 404 to /-/ready" in bad[1]
    assert f"receiver gone: no connection to http://127.0.0.1:{nobody}" in bad[1]
    assert SECRET not in "".join(map(str, (*good, *bad)))


async def test_check_online_looks_at_the_store(tmp_path: Path) -> None:
    """Whether the store can be used is said, one that is not there yet, damaged, locked or newer included; nothing is
    written.
    """
    config, file = write(tmp_path, []), tmp_path / "impulse-monitor.db"

    async def look() -> tuple[int, str]:
        code, out, _ = await run("check", "--online", "--config", config)
        (line,) = [line for line in out.splitlines() if line.startswith("store: ")]
        return code, line

    missing = await look()
    there = file.exists()
    assert 0 == (await run("history", "--config", config))[0]
    content = file.read_bytes()
    good = await look()
    after = file.read_bytes()
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    locked = await look()
    connection.execute("ROLLBACK")
    connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    connection.close()
    newer = await look()
    file.write_bytes(b"no database" * 1000)
    damaged = await look()

    assert (0, f"store: ok, {file} does not exist yet, and is created at the start") == missing
    assert not there
    assert (0, f"store: ok, {file}") == good
    assert content == after
    assert 1 == locked[0] == newer[0] == damaged[0]
    assert "is locked by another program" in locked[1]
    assert "was written by a newer version" in newer[1]
    assert "is not a SQLite database" in damaged[1]


async def test_check_online_says_that_a_server_is_away(tmp_path: Path) -> None:
    """A PostgreSQL that nobody answers for is a line without the password."""
    url = f"postgresql://monitor:{SECRET}@127.0.0.1:{free_port()}/monitor"
    code, out, errors = await run("check", "--online", "--config", write(tmp_path, [], store=url))

    assert 1 == code
    assert "cannot be reached" in out
    assert SECRET not in out + errors
    assert "Traceback" not in errors
