"""A target's page in a real browser: range, figure, class, pages of samples, cells; from phone to wall."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitor.simulator import Revision, projects
from tests.service_process import Service
from tests.web.web_service import ONE, pull, start

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.acceptance]

WIDTHS = (320, 390, 768, 900, 1024, 1440, 1920)
BOXES = "107-1-int8-testing"
OVERLAPS = """() => {
  const wanted = 'h1, h2, h3, p, table, svg.chart, dl, ul, details';
  const boxes = [...document.querySelector('main').querySelectorAll(wanted)]
    .filter(each => each.checkVisibility())
    .map(each => [each, each.getBoundingClientRect()])
    .filter(([each, box]) => box.width && box.height);
  const found = [];
  for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
    const [one, a] = boxes[i], [other, b] = boxes[j];
    if (one.contains(other) || other.contains(one)) continue;
    const wide = each => each.closest('.wide');
    if (wide(one) || wide(other)) continue;
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (across > 1 && down > 1) found.push(one.outerHTML.slice(0, 80) + ' | ' + other.outerHTML.slice(0, 80));
  }
  return found;
}"""


async def regressed(service: Service) -> None:
    """Start with a classifier that is worse since its second pull."""
    await start(service, ONE, alone=True)
    await pull(service, ONE, step=1)


async def test_range_figure_class_and_paging(service: Service, browser: Any) -> None:
    """Without script links choose the range and the figure of the history, the list of samples, one class and the next
    page; what is chosen elsewhere on the page stays; Back goes back. Nothing is asked of another host.
    """
    await regressed(service)
    context = await browser.new_context(java_script_enabled=False, viewport={"width": 1440, "height": 900})
    shown = await context.new_page()
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    root = f"http://{service.app.address}"
    await shown.goto(f"{root}/targets/{ONE}")
    history = shown.locator("#history")
    await history.get_by_role("link", name="30d").click()
    assert "30d" == await history.locator("[aria-current]").first.inner_text()
    await history.get_by_role("link", name="mean F1").click()
    assert ["30d", "mean F1"] == await history.locator("[aria-current]").all_inner_texts()
    assert shown.url.endswith("?range=30d&metric=mean_f1#history")
    assert 1 == await history.get_by_role("img").count()  # the chart for phones is not there for anyone

    samples = shown.locator("#samples")
    whole = json.loads((await service.get(f"/api/v1/targets/{ONE}/samples?limit=1000"))[1])["data"]["samples"]
    await samples.get_by_role("link", name="idle", exact=True).click()
    of_class = json.loads((await service.get(f"/api/v1/targets/{ONE}/samples?class=idle"))[1])["data"]["samples"]
    assert 0 < len(of_class) < len(whole)
    assert len(of_class) == await samples.locator("tbody tr").count()
    await samples.get_by_role("link", name="all", exact=True).click()
    await samples.get_by_role("link", name="Next 50").click()
    assert f"/targets/{ONE}/samples?" in shown.url
    ids = await shown.locator("tbody th a").all_inner_texts()
    assert [str(each["id"]) for each in whole[50:100]] == ids
    await shown.go_back()
    assert f"/targets/{ONE}?" in shown.url

    await shown.goto(f"{root}/targets/{ONE}")
    cell = shown.locator("#confusion td.hit8, #confusion td.hit9, #confusion td.hit10, #confusion td.hit7").first
    count = await cell.get_by_role("link").inner_text()
    await cell.get_by_role("link").click()
    assert f"{count} windows labelled" in await shown.locator("main").inner_text()
    assert all(url.startswith((root, "data:")) for url in asked)
    await context.close()


async def test_fits_every_width(service: Service, browser: Any) -> None:
    """From a phone to a wall nothing overlaps, the page never scrolls sideways, the history keeps its letters legible,
    and the browser has nothing to complain about; of a classifier and of a detector. In the other theme colours alone
    differ, as `test_every_page.py` sees.
    """
    worse = Revision(quality=-0.5, training=1, trained_step=1, relabelled=0.1, added=20)
    service.studio.add(projects.box_detector(scenario=lambda step: worse if step else Revision()))
    service.content["projects"] = [service.entry(101), service.entry(107)]
    await regressed(service)
    await pull(service, BOXES, step=0)
    await pull(service, BOXES, step=1)
    context = await browser.new_context()
    shown = await context.new_page()
    complaints: list[str] = []
    shown.on("console", lambda message: complaints.append(message.text))
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    for path in (ONE, f"{BOXES}?kind=relabelled", f"{ONE}/samples", f"{BOXES}/samples?kind=relabelled"):
        await shown.goto(f"http://{service.app.address}/targets/{path}")
        for width in WIDTHS:
            await shown.set_viewport_size({"width": width, "height": 900})
            assert width == await shown.evaluate("document.documentElement.scrollWidth"), path
            assert [] == await shown.evaluate(OVERLAPS), (path, width)
            letters = await shown.evaluate(
                "[...document.querySelectorAll('.chart text')].map(each => each.getBoundingClientRect().height)"
                ".filter(each => each)"
            )
            assert min(letters, default=10) >= 8, (path, width)
    assert [] == complaints
    await context.close()


async def test_every_chart_has_a_label_and_a_table(service: Service, browser: Any) -> None:
    """Each chart is an image with a name for those who do not see it, and a table or a text in its section has what it
    shows; on paper nothing of a table is cut.
    """
    await regressed(service)
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    shown = await context.new_page()
    await shown.goto(f"http://{service.app.address}/targets/{ONE}")
    charts = shown.locator("svg.chart:visible")
    assert await charts.count() >= 3
    for place in range(await charts.count()):
        chart = charts.nth(place)
        assert "img" == await chart.get_attribute("role")
        assert len(await chart.get_attribute("aria-label") or "") > 10
        section = chart.locator("xpath=ancestor::section[1]")
        assert await section.locator("table").count() >= 1
    await shown.emulate_media(media="print")
    assert [] == await shown.evaluate(
        "[...document.querySelectorAll('.wide')].filter(each => getComputedStyle(each).overflowX != 'visible')"
        ".map(each => each.ariaLabel)"
    )
    await context.close()
