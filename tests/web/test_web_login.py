"""Logging in: what a session may do, how long, and what does not pass for one."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from monitor.store import Store
from monitor.web.sessions import COOKIE, LASTS, MESSAGE_LASTS, Signer
from monitor.web.tries import ADDRESSES, Tries
from tests.factories import known
from tests.service_process import TOKEN, Service
from tests.web.web_client import PAGES, allow, client
from tests.web.web_service import ONE, pull, start

pytestmark = pytest.mark.usefixtures("clock")

PULL = f"/targets/{ONE}/pull"


async def test_a_session_may_what_the_token_may(service: Service) -> None:
    """Who logs in gets to the page that was wanted, sees buttons there, and is told what they did; a session ends with
    its logout.
    """
    allow(service)
    await start(service, ONE)
    async with client(service) as browser:
        before = await browser.get(f"/targets/{ONE}")
        shown = await browser.log_in(wanted=f"targets/{ONE}")
        pulled = await browser.send(PULL)
        again = await browser.get(f"/targets/{ONE}")
        cookie = browser.cookie
        ended = await browser.send("/logout")

        assert ("<form" in before.text, f'href="../login?next=targets/{ONE}"' in before.text) == (False, True)
        assert (200, f"/targets/{ONE}") == (shown.status, shown.path)
        assert f'action="../targets/{ONE}/pull"' in shown.text
        assert "form-action 'self'" in shown.headers["Content-Security-Policy"]
        assert "form-action 'none'" in before.headers["Content-Security-Policy"]
        assert (200, "It is pulled now; its new figures are here in a moment.") == (pulled.status, pulled.said)
        assert ("", "You are logged out.", None) == (again.said, ended.said, browser.cookie)
        assert cookie is not None
        assert "<form" not in (await browser.get(f"/targets/{ONE}")).text


async def test_any_run_can_be_pinned(service: Service) -> None:
    """Each result set of the history has a button that makes its run the baseline; without a run it is the last good
    one, and what is no run of the target changes nothing.
    """
    allow(service)
    await start(service, ONE)
    await pull(service, ONE, step=1)
    async with client(service) as browser, Store(f"sqlite:///{service.path.parent}/impulse-monitor.db") as store:
        await browser.log_in()
        shown = await browser.get(f"/targets/{ONE}")
        later, first = map(int, re.findall(r'name="run" value="(\d+)"', shown.text))
        baselines = []
        for run in ("", str(first)):
            answer = await browser.send(f"/targets/{ONE}/pin", data={"run": run})
            baselines.append(known(await store.baseline(ONE, "pinned")).run_id)
            assert f"Run {baselines[-1]} of " in answer.said
        gone = await browser.send(f"/targets/{ONE}/pin", data={"run": str(later + 1000)})
        wrong = await browser.send(f"/targets/{ONE}/pin", data={"run": "1_0"})
        last = known(await store.baseline(ONE, "pinned")).run_id

    assert [later, first, first] == [*baselines, last]
    assert "Not done" in gone.said
    assert (400, True) == (wrong.status, "run=1_0 is not a number from 1 to" in wrong.text)


async def test_nothing_without_a_session(service: Service) -> None:
    """Buttons of others do nothing, whatever token their form has."""
    allow(service)
    await start(service, ONE)
    async with client(service) as browser:
        for path in (PULL, f"/targets/{ONE}/pin", f"/targets/{ONE}/unpin", "/config/reload", "/receivers/x/test"):
            answer = await browser.send(path, token="x")
            assert (401, "Who are you?" in answer.text) == (answer.status, True)


async def test_cookie(service: Service) -> None:
    """The cookie is out of reach of scripts and other sites, holds for 12 hours, and keeps to the folder that a proxy
    serves the pages below; under TLS, also a proxy's, it is never sent without.
    """
    allow(service)
    await start(service, ONE)
    async with client(service) as browser:
        plain = await browser.log_in(allow_redirects=False)
        forwarded = await browser.log_in(allow_redirects=False, headers=PAGES | {"X-Forwarded-Proto": "https"})
    parts = plain.headers["Set-Cookie"].split("; ")

    assert parts[0].startswith(f"{COOKIE}=")
    assert ["HttpOnly", "Max-Age=43200", "SameSite=Strict"] == parts[1:]
    assert "Secure" in forwarded.headers["Set-Cookie"].split("; ")
    assert "./" == plain.headers["Location"]


async def test_secure_where_the_address_is(service: Service) -> None:
    """Where users reach the service by https, as the configuration says, the cookie is for that alone."""
    allow(service)
    service.content["http"]["external_url"] = "https://monitor.example.com"
    await start(service)
    async with client(service) as browser:
        form = (await browser.get("/login")).headers["Set-Cookie"]

    assert "Secure" in form.split("; ")


async def test_what_is_no_session(service: Service) -> None:
    """A cookie with any character changed, another key's, a message and a form's token are no sessions."""
    allow(service)
    await start(service, ONE)
    async with client(service) as browser:
        await browser.log_in()
        good = browser.cookie
        assert good is not None
        token = (await browser.get("/")).form_token
        signer, now = Signer(SecretStr(TOKEN)), time.time()
        changed = [good[:i] + ("A" if good[i] != "A" else "B") + good[i + 1 :] for i in range(0, len(good) - 1, 3)]
        others = [
            Signer(SecretStr("x" + TOKEN)).new_session(now).value,
            signer.new_session(now - LASTS).value,
            signer.new_session(now + 3600).value,
            signer.new_message(f"{int(now)} text", now),
            signer.form_token(good),
            good.partition(".")[0],
            good.upper(),
            "." * 100,
            "é",
            "x" * 4000,
        ]
        for value in (*changed, *others):
            browser.cookie = value
            assert 401 == (await browser.send(PULL, token=token)).status, value
            assert "Log out" not in (await browser.get("/")).text
        browser.cookie = good
        assert 200 == (await browser.send(PULL)).status


async def test_another_token_ends_all_sessions(service: Service) -> None:
    """A session outlives the process that gave it, so that any replica takes it; it ends when the token is changed."""
    allow(service)
    await start(service, ONE)
    async with client(service) as browser:
        await browser.log_in()
        await service.restart()
        await service.until(lambda: service.app.watchlist.pull_now(ONE))
        token = (await browser.get("/")).form_token
        assert 200 == (await browser.send(PULL)).status

        (service.path.parent / "token").write_text("another-token", encoding="utf-8")
        assert 401 == (await browser.send(PULL, token=token)).status
        assert 401 == (await browser.log_in()).status
        assert 200 == (await browser.log_in("another-token")).status


def test_a_session_lasts_twelve_hours() -> None:
    """It holds until then, and not a second longer; a message is shown for a minute."""
    signer = Signer(SecretStr(TOKEN))
    session, message = signer.new_session(1000.0), signer.new_message("done", 1000.0)

    assert 1000.0 + 12 * 3600 == session.until
    assert signer.session(session.value, 1000.0 + LASTS - 1) is not None
    assert signer.session(session.value, 1000.0 + LASTS) is None
    assert ("done", "") == tuple(signer.message(message, 1000.0 + at) for at in (MESSAGE_LASTS - 1, MESSAGE_LASTS))


async def test_forms_of_other_sites(service: Service) -> None:
    """A request with the session's cookie does nothing without the token that its forms have; programs send that as a
    header.
    """
    allow(service)
    await start(service, ONE)
    async with client(service) as browser, client(service) as other:
        await browser.log_in()
        await other.log_in()
        mine, foreign = (await browser.get("/")).form_token, (await other.get("/")).form_token
        api = f"/api/v1/targets/{ONE}/pull"
        with capture_logs() as logged:
            for token in ("", "x", foreign, mine[:-1], "é"):
                assert 403 == (await browser.send(PULL, token=token)).status
            assert 403 == (await browser.send("/logout", token=foreign)).status
            assert 403 == (await browser.ask("POST", api)).status
            assert 403 == (await browser.ask("POST", api, headers={"X-CSRF-Token": foreign})).status

        assert mine != foreign
        assert 8 == sum(each["event"] == "http.forged_form" for each in logged)
        assert 202 == (await browser.ask("POST", api, headers={"X-CSRF-Token": mine})).status
        assert f'<meta name="csrf-token" content="{mine}">' in (await browser.get("/")).text
        assert 400 == (await browser.ask("POST", PULL, json={"csrf": mine})).status


async def test_a_thousand_wrong_tries(service: Service) -> None:
    """Five of an address are looked at in a minute; then not even the right token is, until the minute is over. The log
    says so, in a few lines.
    """
    allow(service)
    await start(service)
    connector = aiohttp.TCPConnector(limit=50)
    async with client(service, connector=connector) as browser:
        form = {"csrf": (await browser.get("/login")).form_token}
        with capture_logs() as logged:
            tries = (browser.ask("POST", "/login", data=form | {"token": f"guess{i}"}) for i in range(1000))
            answers = await asyncio.gather(*tries)
            right = await browser.log_in()
        lines = [each["event"] for each in logged if each["event"].startswith("login.")]

        assert {401: 5, 429: 995} == {status: [each.status for each in answers].count(status) for status in (401, 429)}
        assert 429 == right.status
        assert 0 < int(right.headers["Retry-After"]) <= 60
        assert (["login.failed"] * 5, ["login.blocked"]) == (sorted(lines)[1:], sorted(lines)[:1])
        assert {"127.0.0.1"} == {each["address"] for each in logged if each["event"].startswith("login.")}
        await asyncio.sleep(60)
        assert 200 == (await browser.log_in()).status


def test_tries_of_a_network_count_together() -> None:
    """Addresses of one IPv6 network share their tries, others do not; those of very many are forgotten one by one."""
    tries = Tries(lambda: 0.0)
    for number in range(5):
        tries.was_wrong(f"2001:db8::{number}")

    assert tries.wait("2001:db8::ffff") == 60.0
    assert tries.wait("2001:db8:0:1::1") == tries.wait("192.0.2.1") == tries.wait("") == 0.0
    for number in range(ADDRESSES):
        tries.was_wrong(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert tries.wait("2001:db8::1") == 0.0


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "\\\\evil.example",
        "/\\evil.example",
        "../../x",
        "targets//evil.example",
        "x\r\nSet-Cookie: a=b",
        "x?said=y",
        "@evil.example",
        "a" * 60_000 + ":",
    ],
)
async def test_a_login_leads_nowhere_else(service: Service, wanted: str) -> None:
    """What is no path of this service leads to its first page, and into no header."""
    allow(service)
    await start(service)
    async with client(service) as browser:
        answer = await browser.log_in(wanted=wanted, allow_redirects=False)

    assert (303, "./") == (answer.status, answer.headers["Location"])
    assert "a" not in answer.headers


async def test_bodies_that_are_no_forms(service: Service) -> None:
    """Large, broken and foreign bodies are refused by what they are; nothing crashes."""
    allow(service)
    await start(service)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    async with client(service) as browser:
        bodies: list[tuple[int, Any, dict[str, str]]] = [
            (413, b"token=" + b"x" * 70_000, form),
            (400, b"&".join(b"a%d=1" % number for number in range(1000)), form),
            (400, b"token=\xff\xfe", form),
            (400, b'{"token": "x"}', {"Content-Type": "application/json"}),
            (400, b"--x\r\n", {"Content-Type": "multipart/form-data; boundary=x"}),
            (403, b"", form),
        ]
        with capture_logs() as logged:
            for status, body, headers in bodies:
                answer = await browser.ask("POST", "/login", data=body, headers=headers | PAGES)
                assert (status, True) == (answer.status, "All targets" in answer.text), body[:20]

    assert not [each for each in logged if each["event"] == "http.crashed"]


async def test_no_names_in_headers(service: Service) -> None:
    """A name with line ends is a name that nobody knows, and stays within its line."""
    allow(service)
    await start(service, ONE)
    async with client(service) as browser:
        await browser.log_in()
        token = (await browser.get("/")).form_token
        for path, status in (("/targets/x%0d%0aEvil:%201/pull", 404), ("/receivers/x%0d%0aEvil:%201/test", 303)):
            answer = await browser.send(path, token, allow_redirects=False)
            assert (status, None) == (answer.status, answer.headers.get("Evil"))


async def test_messages_are_ours(service: Service) -> None:
    """A page says nothing that another site put into its address."""
    allow(service)
    await start(service)
    forged = base64.urlsafe_b64encode(f"{int(time.time())} Call 0900".encode()).decode()
    async with client(service) as browser:
        for said in ("Call 0900", forged, f"{forged}.{'A' * 43}"):
            assert "" == (await browser.get(f"/?said={said}")).said


async def test_without_a_token(service: Service) -> None:
    """Where there is no admin token the page says how to set one, and a login is refused."""
    await start(service)
    async with client(service) as browser:
        shown = await browser.get("/login")
        refused = await browser.ask("POST", "/login", data={"token": TOKEN})

    assert (200, True) == (shown.status, "admin_token_file: admin-token" in shown.text)
    assert "<form" not in shown.text
    assert 403 == refused.status


async def test_in_place_of_a_password(service: Service, tmp_path: Path) -> None:
    """Where pages want a password, a session replaces it for what changes something, and for nothing else."""
    allow(service)
    users = f"basic_auth_users: {{alice: '{bcrypt.hashpw(b'wonder', bcrypt.gensalt(4)).decode()}'}}"
    (tmp_path / "web.yml").write_text(users, encoding="utf-8")
    service.content["http"]["web_config_file"] = "web.yml"
    await start(service, ONE)
    password = {"Authorization": aiohttp.encode_basic_auth("alice", "wonder")}
    async with client(service, headers=password) as known, client(service) as unknown:
        assert 200 == (await known.log_in()).status
        token = (await known.get("/")).form_token
        assert known.cookie is not None
        unknown.cookie = known.cookie

        assert 401 == (await unknown.get("/")).status
        assert 401 == (await unknown.get("/login")).status
        assert 401 == (await unknown.ask("POST", "/login", data={"token": TOKEN})).status
        assert 303 == (await unknown.send(PULL, token, allow_redirects=False)).status
        assert 403 == (await unknown.send(PULL, "x", allow_redirects=False)).status
        headers = {"X-CSRF-Token": token}
        assert 202 == (await unknown.ask("POST", f"/api/v1/targets/{ONE}/pull", headers=headers)).status
        unknown.cookie = "x"
        assert 401 == (await unknown.send(PULL, token, allow_redirects=False)).status


async def test_one_visitor_after_the_other(service: Service) -> None:
    """Requests of one connection know nothing of each other: a proxy sends those of all people over it."""
    allow(service)
    await start(service)
    connector = aiohttp.TCPConnector(limit=1)
    async with client(service, connector=connector) as browser:
        await browser.log_in()
        cookie = browser.cookie
        for path in ("/", "/config", "/none"):
            assert "Log out" in (await browser.get(path)).text
            browser.cookie = ""
            assert "Log out" not in (await browser.get(path)).text
            assert cookie is not None
            browser.cookie = cookie
