"""From an alert in a webhook's body to the samples that it is about, in a browser, against the running demo."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.browser.looking import log_in, opened
from tests.notify.notify_parts import Inbox, free_port
from tests.service_process import TOKEN
from tests.waiting import until

pytestmark = pytest.mark.acceptance

PRESS = "103-1-int8-testing"
EVERY = "2s"
"""A step of the demo: at the twelfth the model of the press line is worse."""


class Demo:
    """`impulse-monitor demo` as a process.

    Attributes:
        address: Of the first page.
        config: Its configuration, which may be changed and read again.
    """

    def __init__(self, folder: Path, port: int, process: asyncio.subprocess.Process) -> None:
        self.address = f"http://127.0.0.1:{port}/"
        self.config = folder / "monitor.yaml"
        self._process = process

    def change(self, **content: Any) -> None:
        """Write other keys into the configuration, and have it read again."""
        known = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        self.config.write_text(yaml.safe_dump({**known, **content}), encoding="utf-8")
        self._process.send_signal(signal.SIGHUP)


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Demo]:
    """The demo, serving; it ends well when it is told to."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "monitor", "demo", "--listen", f"127.0.0.1:{port}", "--every", EVERY),
        *("--directory", tmp_path, "--log.level", "error"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    while b"overview" not in (line := await process.stdout.readline()):
        assert line, "the demo ended"
    yield Demo(tmp_path, port, process)
    process.send_signal(signal.SIGTERM)
    await process.communicate()
    assert 0 == process.returncode


async def test_to_the_samples_in_two_clicks(demo: Demo, browser: Any) -> None:
    """Both links of a webhook's body lead to the list of the newly wrong samples in two clicks at most. On the target's
    page who is logged in pulls and pins, and nobody else.
    """
    (demo.config.parent / "token").write_text(TOKEN, encoding="utf-8")
    async with Inbox() as inbox:
        known = yaml.safe_load(demo.config.read_text(encoding="utf-8"))
        demo.change(
            projects=[each for each in known["projects"] if each["id"] == 103],
            http={**known["http"], "admin_token_file": "token", "external_url": demo.address.rstrip("/")},
            notify=[{"webhook": {"url": inbox.url()}}],
        )
        async with opened(browser, demo.address, refused="the server responded with a status of 4") as tab:
            await tab.goto(demo.address)
            refused = await tab.request.post(f"{demo.address}targets/{PRESS}/pull", form={"csrf": "x"})
            assert 401 == refused.status
            await until(lambda: accuracy_fell(inbox))
            body = accuracy_fell(inbox)
            wrong = body["details"]["changed_samples"]["newly_wrong"]
            for link in (body["url"], body["annotations"]["event_url"]):
                await tab.goto(link)
                await tab.get_by_role("link", name=f"{wrong} samples newly wrong").first.click()
                assert "kind=newly_wrong" in tab.url
                assert f"/targets/{PRESS.replace('int8', body['labels']['variant'])}" in tab.url
                assert await tab.locator("table.samples tbody tr").count() > 0

            await tab.goto(f"{demo.address}targets/{PRESS}")
            assert 0 == await tab.get_by_role("button", name="Pull now").count()
            await log_in(tab, demo.address, f"targets/{PRESS}")
            for button, words in (("Pull now", "It is pulled now"), ("Pin as baseline", "is the baseline")):
                await tab.get_by_role("button", name=button, exact=True).click()
                assert words in await tab.get_by_role("status").inner_text()
            await tab.get_by_role("button", name="Pin run").last.click()
            assert "is the baseline" in await tab.get_by_role("status").inner_text()


def accuracy_fell(inbox: Inbox) -> Any:
    """The body that says that the accuracy fell; None where none has come."""
    bodies = (request.json for request in inbox.requests)
    return next((each for each in bodies if each["labels"]["alertname"] == "EdgeImpulseAccuracyRegressed"), None)
