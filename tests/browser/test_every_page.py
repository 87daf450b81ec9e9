"""Every page of a service that watches models of several kinds, looked at from a phone to a wall, in both themes.

With the environment variable `SCREENSHOTS`, screenshots of all are left in the folder that it names.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.simulator import Revision, Studio, projects, serve
from monitor.simulator.project import Impulse
from tests.browser.looking import OVERLAPS, WIDTHS, log_in, opened, violations
from tests.service_process import Service
from tests.web.web_client import allow
from tests.web.web_service import pull, start

pytestmark = pytest.mark.acceptance

CLASSES, ANOMALIES, COUNTS, BOXES, VALUES = (f"{number}-1-int8-testing" for number in (101, 104, 106, 107, 108))
PAGES = {
    "first": "",
    "alerts": "alerts",
    "event": "alerts/{event}",
    "classes": f"targets/{CLASSES}",
    "anomalies": f"targets/{ANOMALIES}",
    "counts": f"targets/{COUNTS}",
    "boxes": f"targets/{BOXES}",
    "values": f"targets/{VALUES}",
    "samples": f"targets/{CLASSES}/samples",
    "box-samples": f"targets/{BOXES}/samples",
    "config": "config",
    "login": "login",
    "target-buttons": f"targets/{VALUES}",
    "config-buttons": "config",
    "missing-target": "targets/101-9-int8-testing",
    "missing-event": "alerts/none",
    "missing-page": "nowhere",
    "bad-query": "?sort=bogus",
}
"""Every page, by the name of its screenshots; `{event}` is the event of the worse classifier."""

BUTTONS = {"target-buttons": "Pin as baseline", "config-buttons": "Reload"}
"""Pages as who is logged in sees them, and a button there."""

ERRORS = {"missing-target": 404, "missing-event": 404, "missing-page": 404, "bad-query": 400}
SCHEMES = ("light", "dark")
SHOT = (390, 1440)
"""Widths of the screenshots, and those at which axe-core looks."""

HOSTILE = "<script>alert(1)</script> \u202eمرحبا javascript:alert(2) " + "x" * 100_000


def worse(step: int) -> Revision:
    """From step 1 on the model is worse after a training, some labels are others, and there are new samples."""
    if not step:
        return Revision()
    return Revision(quality=-1.2, training=1, trained_step=1, relabelled=0.05, added=10)


def drifting(step: int) -> Revision:
    """From step 1 on there are new samples that are unlike the others."""
    return Revision(added=60 * step, shift=1.5)


def several_kinds() -> Studio:
    """A classifier in two variants, an anomaly detector, FOMO, a detector of boxes and a regression, at step 0."""
    both = (Impulse(1, "spectral", variants=projects.BOTH),)
    studio = Studio(
        [
            projects.classification(sizes={"testing": 150}, impulses=both, scenario=worse),
            projects.gmm(sizes={"testing": 120}, scenario=drifting),
            projects.fomo(sizes={"testing": 60}, scenario=worse),
            projects.box_detector(sizes={"testing": 60}, scenario=worse),
            projects.regression(sizes={"testing": 100}, scenario=worse),
        ]
    )
    studio.timeline.pin(0)
    return studio


async def watched(service: Service) -> str:
    """Start, and pull each target at step 0 and at step 1; the event of the classifier."""
    each = (CLASSES.replace("int8", "float32"), CLASSES, ANOMALIES, COUNTS, BOXES, VALUES)
    await start(service, *each, alone=True)
    for target_id in each:
        await pull(service, target_id, step=1)
    status, text = await service.get("/api/v1/events")
    assert 200 == status
    found = json.loads(text)["data"]["events"]
    return str(next(event["id"] for event in found if CLASSES in event["targets"]))


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A service that watches models of several kinds; not started yet."""
    studio = several_kinds()
    async with serve(studio) as url:
        found = Service(tmp_path / "monitor.yaml", studio, url)
        found.content["schedule"] = {"every": "1h"}
        allow(found)
        yield found
        await found.app.stop()


async def fits(tab: Any, name: str, width: int) -> None:
    """The page in the tab does not scroll sideways, prints nothing over anything else, and cuts off no column that
    people come for.
    """
    await tab.set_viewport_size({"width": width, "height": 900})
    assert width == await tab.evaluate("document.documentElement.scrollWidth"), (name, width)
    assert [] == await tab.evaluate(OVERLAPS), (name, width)
    cut = """() => [...document.querySelectorAll('.samples, .targets')]
        .filter(each => each.parentElement.scrollWidth > each.parentElement.clientWidth + 1)
        .map(each => each.className)"""
    assert [] == await tab.evaluate(cut), (name, width)


async def photographed(tab: Any, name: str) -> None:
    """Leave screenshots of the page in the tab, in both themes, where the environment asks for them."""
    if folder := os.environ.get("SCREENSHOTS"):
        for scheme in SCHEMES:
            await tab.emulate_media(color_scheme=scheme)
            for width in SHOT:
                await tab.set_viewport_size({"width": width, "height": 900})
                await tab.screenshot(path=Path(folder) / f"{name}-{scheme}-{width}.png", full_page=True)


async def test_every_page(service: Service, browser: Any) -> None:
    """Each page fits each width with all details open, axe-core finds nothing in either theme, and the browser neither
    complains nor asks anybody else.
    """
    event = await watched(service)
    root = f"http://{service.app.address}/"
    for name, path in PAGES.items():
        refused = f"the server responded with a status of {ERRORS[name]}" if name in ERRORS else ""
        async with opened(browser, root, refused=refused) as tab:
            if name in BUTTONS:
                await log_in(tab, root, path)
                assert await tab.get_by_role("button", name=BUTTONS[name], exact=True).is_visible()
            else:
                answer = await tab.goto(root + path.format(event=event))
                assert ERRORS.get(name, 200) == answer.status, name
            if name == "bad-query":
                assert "is not one of worst," in await tab.locator("main").inner_text()
            await photographed(tab, name)
            await tab.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            await tab.emulate_media(color_scheme="light")
            for width in WIDTHS:
                await fits(tab, name, width)
                if width in SHOT:
                    assert [] == await violations(tab), (name, width)
            await tab.emulate_media(color_scheme="dark")  # differs in colours alone, which are those of any width
            for width in SHOT:
                await fits(tab, name, width)
            assert [] == await violations(tab), name


async def test_hostile_names(service: Service, browser: Any) -> None:
    """Names with markup, from right to left, without end and like an address are text on every page, which still fits
    a phone.
    """
    for project in service.studio.projects.values():
        project.name = HOSTILE
        project.impulses = tuple(replace(each, name=HOSTILE) for each in project.impulses)
    event = await watched(service)
    root = f"http://{service.app.address}/"
    for name, path in {**PAGES, "missing-target": f"targets/{HOSTILE[:1000]}"}.items():
        if name in BUTTONS:
            continue
        refused = f"the server responded with a status of {ERRORS[name]}" if name in ERRORS else ""
        async with opened(browser, root, refused=refused, viewport={"width": 320, "height": 900}) as tab:
            dialogs: list[str] = []
            tab.on("dialog", lambda dialog, found=dialogs: found.append(dialog.message))
            await tab.goto(root + path.format(event=event))
            await fits(tab, name, 320)
            assert 0 == await tab.locator("main script, a[href^='javascript:' i]").count(), name
            assert [] == dialogs
