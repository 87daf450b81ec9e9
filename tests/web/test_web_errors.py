"""Errors: pages with a way back for browsers, a line for others."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urljoin

import bcrypt
import pytest
from structlog.testing import capture_logs

from tests.service_process import Service
from tests.web.web_client import PAGES, Answer, allow, client
from tests.web.web_service import ONE, start

pytestmark = pytest.mark.usefixtures("clock")


def is_a_way_back(answer: Answer) -> bool:
    """Whether an answer is a page that leads to the first one."""
    first = f'<a href="{"../" * answer.path.partition("?")[0].removeprefix("/").count("/") or "./"}">All targets</a>'
    return answer.headers["Content-Type"].startswith("text/html") and f"<p>{first}</p>" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/none", 404),
        ("GET", "/targets/x/y/z", 404),
        ("GET", f"/targets/{ONE}/samples?kind=%3Cb%3E", 400),
        ("POST", f"/targets/{ONE}/pull", 400),
        ("POST", "/", 405),
        ("DELETE", "/config", 405),
        ("POST", "/-/reload", 403),
    ],
)
async def test_pages_for_browsers(service: Service, method: str, path: str, status: int) -> None:
    """Who takes pages gets one that leads back, with the status and the headers of the error; others get a line."""
    await start(service)
    async with client(service) as browser:
        page = await browser.ask(method, path)
        line = await browser.ask(method, path, headers={"Accept": "*/*"})

    assert (status, status) == (page.status, line.status)
    assert is_a_way_back(page)
    assert f"Status {status}" in page.text
    assert "<b>" not in page.text.partition("<h1>")[2].partition("<dl>")[0]
    assert line.headers["Content-Type"].startswith("text/plain")
    assert page.headers.get("Allow") == line.headers.get("Allow")
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]


async def test_the_apis_errors_are_json(service: Service) -> None:
    """Also for those who would take a page."""
    await start(service)
    async with client(service) as browser:
        for path in ("/api/v1/none", "/api/", f"/api/v1/targets/{ONE}/runs?limit=x"):
            assert (await browser.get(path)).headers["Content-Type"].startswith("application/json")


async def test_a_wrong_password(service: Service, tmp_path: Path) -> None:
    """Who is not let in gets a page that still asks for the password, and learns nothing of the service."""
    hashed = bcrypt.hashpw(b"wonder", bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{alice: '{hashed}'}}", encoding="utf-8")
    service.content["http"]["web_config_file"] = "web.yml"
    await start(service, ONE)
    async with client(service) as browser:
        answer = await browser.get(f"/targets/{ONE}")

    assert (401, True) == (answer.status, is_a_way_back(answer))
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert "gesture" not in answer.text


async def test_what_is_not_possible_comes_back(service: Service) -> None:
    """A button that cannot do its work leads back to its page, which says why."""
    allow(service)
    await start(service)
    async with client(service) as browser:
        await browser.log_in()
        answer = await browser.send(f"/targets/{ONE}/pin")
        gone = await browser.send("/targets/none/pin")

    assert answer.path.startswith(f"/targets/{ONE}?")
    assert answer.said.startswith("Not done: the store has no good run of target")
    assert (404, True) == (gone.status, is_a_way_back(gone))


async def test_a_bug(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the service is a page that says so, and no more; the log has it."""
    await start(service)
    monkeypatch.setattr(service.app.live, "targets", None)
    async with client(service) as browser:
        with capture_logs() as logged:
            page = await browser.get(f"/targets/{ONE}")
            line = await browser.get(f"/targets/{ONE}", headers={})
        monkeypatch.undo()

    assert (500, True) == (page.status, is_a_way_back(page))
    assert (500, "The log says more.\n") == (line.status, line.text)
    assert "NoneType" not in page.text
    assert ["http.crashed"] * 2 == [each["event"] for each in logged if each["log_level"] == "error"]


async def test_links_of_errors(service: Service) -> None:
    """Below a proxy's prefix they lead to the first page, too."""
    await start(service)
    async with client(service) as browser:
        for path in ("/none", "/a/b/c", "/targets/x/y"):
            answer = await browser.get(path, headers=PAGES)
            way = answer.text.partition('<p><a href="')[2].partition('"')[0]
            assert "http://proxy.example.com/monitor/" == urljoin(f"http://proxy.example.com/monitor{path}", way)
