"""The first page and the pages of alerts in a browser: layout, accessibility, filters, refreshing, without script."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from monitor.alerts.states import Phase
from monitor.errors import PullState
from monitor.live.live import Live
from monitor.store import Notification, Store
from monitor.targets import Target
from tests.browser.looking import OVERLAPS, WIDTHS, opened, violations
from tests.factories import known, snapshot
from tests.web.fleet_service import add_results, alert, fleet_live, model, record, serving, sqlite, target

pytestmark = pytest.mark.acceptance

CAUSE = "training-00c0ffee00c0ffee"
LONG = "an-impulse-with-a-name-that-nobody-would-break-anywhere-and-that-goes-on-and-on"
ERROR = "result_page (/api/103/classify/all/result/page): No model testing results found, run 'startClassifyJob' first"


def targets() -> list[Target]:
    """Sixty targets, with names and labels of every length."""
    found = [target(number, team="edge" if number % 2 else "cloud", site="north-hall") for number in range(1, 61)]
    found[1] = target(2, LONG, owner=LONG)
    found[2] = target(3, "قياس الاهتزاز")
    return found


def watched() -> Live:
    """Models in every state, an event of two targets, and an alert that is pending."""
    now = time.time()
    each = targets()
    alerts = [
        alert(each[0], now - 900, CAUSE),
        alert(each[1], now - 800, CAUSE),
        alert(each[2], now, phase=Phase.PENDING),
    ]
    shown = [model(of) for of in each]
    shown[0], shown[1] = model(each[0], 0.646, 1e-9), model(each[1], 0.646, 1e-9)
    shown[3] = model(each[3], 0.57, 0.3)
    shown[4] = model(each[4], state=PullState.NO_RESULTS, error=ERROR)
    shown[5] = snapshot(each[5], state=PullState.AUTH, last_pull=now, stale_after=900.0, error=ERROR)
    shown[6] = model(each[6], at=now - 7200)
    return fleet_live(*shown, alerts=alerts)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store that knows results, past events, and who was told."""
    now = time.time()
    each = targets()
    async with Store(sqlite(tmp_path)) as found:
        await add_results(found, each[0], (0.92, 0.91, 0.646), now - 900)
        firing = [alert(each[0], now - 900, CAUSE), alert(each[1], now - 800, CAUSE)]
        await record(found, *firing)
        ended = alert(each[3], now - 90_000)
        await record(found, ended, alert(each[3], now - 90_000, phase=Phase.RESOLVED, ends_at=now - 80_000))
        async with found.transaction() as tx:
            await tx.record_notifications(
                [
                    Notification(known(state.transition).id, "chat", now - 900, now - 899, "rejected", ERROR)
                    for state in firing
                ]
            )
        yield found


@pytest.fixture
async def address(store: Store) -> AsyncIterator[str]:
    """Where the pages are."""
    async with serving(watched(), store) as found:
        yield found


PAGES = ("", "?state=not_judged", "alerts", f"alerts/{CAUSE}", "targets/none")


async def test_layout(browser: Any, address: str) -> None:
    """At every width from a phone to a wall nothing is printed over anything else, nothing is cut off, and no page
    scrolls sideways, alerts in full included; in the other theme colours alone differ, as `test_every_page.py` sees.
    """
    async with opened(browser, address) as tab:
        for path in PAGES[:-1]:
            await tab.goto(f"{address}{path}")
            await tab.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            for width in WIDTHS:
                await tab.set_viewport_size({"width": width, "height": 900})
                assert width == await tab.evaluate("document.documentElement.scrollWidth"), (path, width)
                assert [] == await tab.evaluate(OVERLAPS), (path, width)


async def test_what_overlaps_is_found(browser: Any, address: str) -> None:
    """The measure finds texts over each other and beyond the edge, so that the test above says something."""
    async with opened(browser, address) as tab:
        await tab.goto(address)
        cell = tab.locator(".targets tbody tr td:nth-child(4)").first
        await cell.evaluate("(each) => { each.style.position = 'relative'; each.style.left = '-180px'; }")
        assert any("points" in each for each in await tab.evaluate(OVERLAPS))
        await cell.evaluate("(each) => { each.style.left = '-2000px'; }")
        assert any(each.startswith("beyond the edge") for each in await tab.evaluate(OVERLAPS))


async def test_accessible(browser: Any, address: str) -> None:
    """axe-core finds nothing on any page, wide or narrow, in either theme, whose colours are those of any width."""
    async with opened(browser, address) as tab:
        for path in PAGES[:-1]:
            await tab.goto(f"{address}{path}")
            await tab.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            for scheme, width in (("light", 390), ("light", 1440), ("dark", 1440)):
                await tab.emulate_media(color_scheme=scheme)
                await tab.set_viewport_size({"width": width, "height": 900})
                assert [] == await violations(tab), (path, scheme, width)


@pytest.mark.parametrize("script", [True, False])
async def test_filter_sort_and_page(browser: Any, address: str, script: bool) -> None:
    """With and without JavaScript one can search, sort and page; each view is a link."""
    async with opened(browser, address, java_script_enabled=script, viewport={"width": 1440, "height": 900}) as tab:
        await tab.goto(address)
        rows = tab.locator(".targets tbody tr")
        assert 50 == await rows.count()
        await tab.get_by_role("link", name="Next").first.click()
        assert "page=2" in tab.url
        assert 10 == await rows.count()

        await tab.goto(address)
        await tab.get_by_label("Search").fill("cloud project 00")
        await tab.get_by_label("Order").select_option("name")
        await tab.get_by_role("button", name="Show").click()
        names = await tab.locator(".targets tbody th > a").all_inner_texts()
        assert sorted(names) == names
        assert 29 == len(names)
        await tab.get_by_role("link", name="Model", exact=True).click()
        assert names[::-1] == await tab.locator(".targets tbody th > a").all_inner_texts()

        await tab.goto(address)
        await tab.locator("#tally a").first.click()
        assert 3 == await rows.count()
        await tab.get_by_role("link", name="54 samples newly wrong").first.click()
        assert f"targets/{targets()[1].key.id}/samples?kind=newly_wrong" in tab.url


async def test_refreshes_in_place(browser: Any, store: Store) -> None:
    """Every 15 s the page takes what is new, and keeps scroll, focus, what was typed and opened."""
    live = watched()
    async with serving(live, store) as address, opened(browser, address) as tab:
        await tab.clock.install()
        await tab.goto(address)
        first = tab.locator(f"#event-{CAUSE}")
        await first.locator("summary").click()
        await tab.get_by_label("Search").fill("half a wo")
        await tab.evaluate("window.untouched = document.querySelector('.targets')")
        await tab.evaluate("scrollTo(0, 500)")
        top = "document.querySelector('.targets').getBoundingClientRect().top"
        before = await tab.evaluate(top)

        late = targets()[7]
        live.show_alerts(late.key.id, [alert(late, time.time())])
        await tab.clock.run_for(16_000)
        await tab.locator("article").nth(2).wait_for()
        assert 3 == await tab.locator("article").count()
        assert "4 worse" in await tab.locator("#tally").inner_text()
        assert "(4) Impulse Monitor" == await tab.title()
        assert await first.locator("details").evaluate("each => each.open")
        assert "half a wo" == await tab.get_by_label("Search").input_value()
        assert "q" == await tab.evaluate("document.activeElement.name")
        assert before == pytest.approx(await tab.evaluate(top), abs=1)  # although there is a card more above
        assert await tab.evaluate("window.untouched === document.querySelector('.targets')")


async def test_says_that_the_server_is_gone(browser: Any, store: Store) -> None:
    """A page whose server is gone says so, and since when what it shows is, until the server answers again."""
    context = await browser.new_context()
    tab = await context.new_page()
    await tab.clock.install()
    async with serving(watched(), store) as address:
        await tab.goto(address)
        assert not await tab.locator("#gone").is_visible()
    await tab.clock.run_for(16_000)
    await tab.locator("#gone:not([hidden])").wait_for()
    assert "The server does not answer. What you see is of" in await tab.locator("#gone").inner_text()
    assert 50 == await tab.locator(".targets tbody tr").count()
    await context.close()


async def test_without_javascript(browser: Any, address: str) -> None:
    """Without JavaScript the page asks the browser to refresh it; with it the browser is not asked."""
    for script, wanted in ((True, 0), (False, 1)):
        async with opened(browser, address, java_script_enabled=script) as tab:
            await tab.goto(f"{address}alerts")
            assert wanted == await tab.locator("meta[http-equiv=refresh][content='15']").count()


async def test_printed(browser: Any, address: str) -> None:
    """On paper there are the models and the events, without what only a screen can use, in dark ink on white."""
    async with opened(browser, address, color_scheme="dark") as tab:
        await tab.goto(address)
        await tab.emulate_media(media="print")
        assert not await tab.get_by_role("button", name="Show").is_visible()
        assert await tab.locator(".targets tbody tr").first.is_visible()
        assert "rgb(0, 0, 0)" == await tab.evaluate("getComputedStyle(document.body).color")
        assert "rgb(255, 255, 255)" == await tab.evaluate("getComputedStyle(document.body).backgroundColor")
