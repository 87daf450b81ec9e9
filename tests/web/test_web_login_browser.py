"""Logging in with a real browser: forms without a script, and other sites that would use a session."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from tests.browser.looking import log_in
from tests.notify.notify_parts import Inbox
from tests.service_process import Service
from tests.waiting import PATIENCE
from tests.web.web_client import allow
from tests.web.web_service import ONE, start

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.acceptance]

WIDTHS = (320, 390, 768, 1024, 1440, 1920)


@pytest.mark.parametrize(("scheme", "scripts"), [("light", True), ("dark", False)])
async def test_buttons(service: Service, browser: Any, scheme: str, scripts: bool) -> None:
    """Each button does its work and says so, with scripts and without; nothing is complained of, and every page fits
    every width.
    """
    allow(service)
    async with Inbox() as inbox:
        service.content["notify"] = [{"name": "a" * 100, "webhook": {"url": inbox.url()}}]
        await start(service, ONE)
        base = f"http://{service.app.address}"
        context = await browser.new_context(color_scheme=scheme, java_script_enabled=scripts)
        shown = await context.new_page()
        complaints: list[str] = []
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        said = shown.get_by_role("status")

        await log_in(shown, f"{base}/", f"targets/{ONE}")
        assert f"{base}/targets/{ONE}" == shown.url
        for button, words in (
            ("Pull now", "It is pulled now"),
            ("Pin as baseline", "is the baseline; the next pull is compared with it"),
            ("Unpin", "The baseline is no longer pinned"),
        ):
            await shown.get_by_role("button", name=button).click()
            assert words in await said.inner_text()
        await shown.get_by_role("navigation", name="Pages").get_by_role("link", name="Configuration").click()
        await shown.get_by_role("button", name="Send a test message").click()
        assert "delivered" in await said.inner_text()
        service.path.write_text(service.path.read_text() + f"{'x' * 200}: 1\n")
        await shown.get_by_role("button", name="Reload").click()
        assert "Not reloaded" in await said.inner_text()
        for path in ("/config", "/login", f"/targets/{ONE}"):
            await shown.goto(base + path)
            for width in WIDTHS:
                await shown.set_viewport_size({"width": width, "height": 800})
                room = await shown.locator("html").evaluate("each => each.scrollWidth") if scripts else width
                assert width == room, path
        await shown.get_by_role("button", name="Log out").click()
        assert "You are logged out." == await said.inner_text()
        await shown.goto(f"{base}/targets/{ONE}")
        assert 0 == await shown.get_by_role("button", name="Pull now").count()
        assert (1, []) == (len(inbox.requests), complaints)
        await context.close()


async def test_another_site_does_nothing(service: Service, browser: Any) -> None:
    """A page of another site cannot use the session: neither a form nor a request of its script has the cookie."""
    allow(service)
    await start(service, ONE)
    base = f"http://{service.app.address}"
    api = f"{base}/api/v1/targets/{ONE}/baseline"

    async def evil(_request: web.Request) -> web.Response:
        form = f'<form id="f" method="post" action="{base}/targets/{ONE}/pin"><input name="csrf" value="x"></form>'
        script = (
            f"fetch('{api}', {{method: 'POST', credentials: 'include', mode: 'no-cors'}}).finally(() => f.submit())"
        )
        return web.Response(text=f"{form}<script>{script}</script>", content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/", evil)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    context = await browser.new_context()
    context.set_default_timeout(PATIENCE * 1000)
    shown = await context.new_page()
    statuses: dict[str, int] = {}
    shown.on("response", lambda answer: statuses.update({urlsplit(answer.url).path: answer.status}))
    await log_in(shown, f"{base}/")
    await shown.goto(f"http://localhost:{runner.addresses[0][1]}/")
    await shown.wait_for_url(f"{base}/targets/{ONE}/pin")

    assert 401 == statuses[f"/targets/{ONE}/pin"] == statuses[urlsplit(api).path]
    assert "Who are you?" in await shown.content()
    await context.close()
    await runner.cleanup()
