"""From an alert in a webhook's body to the samples that it is about, in a browser, against the whole service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from monitor.simulator import Studio, projects, serve
from monitor.simulator.scenarios import regressing
from tests.browser.looking import opened
from tests.notify.notify_parts import Inbox, free_port
from tests.service_process import Service
from tests.waiting import until
from tests.web.web_service import ONE, pull, start

pytestmark = pytest.mark.acceptance


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A service that watches a model which is worse at step 1; its configuration is not written yet."""
    studio = Studio([projects.classification(sizes={"testing": 300}, scenario=regressing(at=1, by=1.6, over=1))])
    studio.timeline.pin(0)
    async with serve(studio) as url:
        found = Service(tmp_path / "monitor.yaml", studio, url)
        found.content["schedule"] = {"every": "1h"}
        yield found
        await found.app.stop()


@pytest.mark.parametrize("link", ["url", "event_url"])
async def test_to_the_samples_in_two_clicks(service: Service, browser: Any, link: str) -> None:
    """Both links of a webhook's body lead to the list of the newly wrong samples in two clicks at most."""
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    service.content["http"] = {"listen": f"127.0.0.1:{port}", "external_url": address.rstrip("/")}
    async with Inbox() as inbox:
        service.content["notify"] = [{"webhook": {"url": inbox.url()}}]
        await start(service, ONE)
        await pull(service, ONE, step=1)
        await until(lambda: inbox.requests)
        body = inbox.requests[0].json
    wrong = body["details"]["changed_samples"]["newly_wrong"]
    async with opened(browser, address) as tab:
        await tab.goto(body["url"] if link == "url" else body["annotations"]["event_url"])
        if link == "event_url":
            await tab.get_by_role("link", name=f"{wrong} samples newly wrong").first.click()
        else:
            await tab.locator("a[href*=samples][href*=newly_wrong]").first.click()
        assert f"/targets/{ONE}" in tab.url
        assert "kind=newly_wrong" in tab.url
        assert await tab.locator("table.samples tbody tr").count() > 0
