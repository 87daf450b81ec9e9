"""The list of targets on the first page and in the API: the tally of models, and one way to search, sort and page."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from monitor.alerts.states import AlertState, Phase
from monitor.errors import PullState
from monitor.figures.evaluation import Interval
from monitor.live.live import Live
from monitor.store import Store
from tests.factories import evaluation, quality, snapshot
from tests.growth import TURNS, Costs
from tests.web.fleet_service import add_results, alert, fleet_live, model, record, serving, sqlite, target
from tests.web.test_web_pages import Page

WORSE = target(1, "press line", team="edge")
CHANCE = target(2, "pump", team="edge")
SAME = target(3, "tank")
BETTER = target(4, "wristband")
GONE = target(5, "forklift")
OPAQUE = target(6, "bottle", team="lab")
STALE = target(7, "parts")


def watched() -> Live:
    """A target in each state."""
    now = time.time()
    error: dict[str, Any] = {"state": PullState.NO_RESULTS, "error": "No model testing results found"}
    return fleet_live(
        model(WORSE, 0.57, 1e-9),
        model(CHANCE, 0.57, 0.2),
        model(SAME, **error),
        model(BETTER, 0.97, 1e-5),
        snapshot(GONE, state=PullState.AUTH, last_pull=now, stale_after=900.0, error="refused"),
        snapshot(
            OPAQUE,
            state=PullState.OK,
            last_pull=now,
            last_success=now,
            stale_after=900.0,
            evaluation=evaluation(samples=200),
        ),
        model(STALE, at=now - 7200),
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store."""
    async with Store(sqlite(tmp_path)) as found:
        yield found


async def page(address: str, query: str = "", status: int = 200) -> Page:
    """The first page."""
    return Page(await text(address, query, status))


async def text(address: str, query: str, status: int = 200) -> str:
    """The first page, as it is sent."""
    async with aiohttp.ClientSession() as session, session.get(f"{address}{query}") as response:
        assert status == response.status
        return await response.text()


async def data(address: str, query: str) -> Any:
    """The data of the API's answer about targets."""
    async with aiohttp.ClientSession() as session, session.get(f"{address}api/v1/targets{query}") as response:
        assert 200 == response.status
        return (await response.json())["data"]


def listed(shown: Page) -> list[str]:
    """The ids of the targets in the list, in its order."""
    rows = (str(attrs.get("id", "")) for tag, attrs in shown.tags if tag == "tr")
    return [row.removeprefix("target-") for row in rows if row.startswith("target-")]


async def test_tally_is_of_models(store: Store) -> None:
    """The tally counts models; a failed pull beside good figures is told in its own column; what cannot be judged is
    said with its reason and what to do.
    """
    async with serving(watched(), store) as address:
        shown = await page(address)

    assert "1 worse 2 not watched 2 not judged 1 better 1 as its baseline" in shown.text
    assert "7 targets in 0 projects · 2 pulls fail · figures of 1 too old" in shown.text
    rows = {row["id"]: row for tag, row in shown.tags if tag == "tr" and "id" in row}
    assert "firing" == rows[f"target-{WORSE.key.id}"]["class"]
    assert "Accuracy is worse by 35.0 points, which may be chance. Add samples" in shown.text
    assert "200 samples, without documented scores. Studio documents no scores" in shown.text
    assert "No good pull yet (auth). Put a key in place that works" in shown.text
    assert "Its figures are too old." in shown.text
    assert "no_results No model testing results found" in shown.text


async def test_no_green_beside_a_loss(store: Store) -> None:
    """A model that lost 35 points is never shown in green, whether chance may explain it or not."""
    async with serving(watched(), store) as address:
        html = (await page(address)).html
    rows = re.findall(r'<tr id="target-(\S+)".*?</tr>', html, re.DOTALL)
    cells = dict(zip(rows, re.findall(r'<tr id="target-.*?</tr>', html, re.DOTALL), strict=True))

    for lost in (WORSE, CHANCE):
        assert "−35.0 points" in cells[lost.key.id]
        assert "badge good" not in cells[lost.key.id]
    assert "badge good" in cells[SAME.key.id]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("?q=PRESS", [WORSE]),
        ("?q=press+edge", [WORSE]),
        ("?q=press+lab", []),
        ("?state=worse", [WORSE]),
        ("?state=worse&state=better", [WORSE, BETTER]),
        ("?project=pump", [CHANCE]),
        ("?project=2", [CHANCE]),
        ("?project=pum", []),
        ("?label=team:edge", [WORSE, CHANCE]),
        ("?label=team:edge&state=worse", [WORSE]),
        ("?label=team:ed", []),
        ("?pull=failing", [GONE, SAME]),
        ("?sort=name&label=team:edge", [WORSE, CHANCE]),
        ("?sort=-name&label=team:edge", [CHANCE, WORSE]),
        ("?sort=change&state=better&state=as_baseline&state=worse", [WORSE, SAME, BETTER]),
        ("?sort=age&project=parts", [STALE]),
        ("?q=%25", []),
    ],
)
async def test_one_query_for_page_and_api(store: Store, query: str, wanted: list[Any]) -> None:
    """The same query gives the same targets on the page and in the API, in the same order where one is asked for."""
    ids = [each.key.id for each in wanted]
    async with serving(watched(), store) as address:
        assert ids == listed(await page(address, query))
        found = await data(address, query)

    assert (ids if "sort" in query else sorted(ids)) == [each["id"] for each in found["targets"]]
    assert len(ids) == found["total"]


async def test_pages(store: Store) -> None:
    """Fifty targets are on a page; every target is on one of them once; a page that there is not is the last one."""
    live = fleet_live(*(model(target(number, team="edge")) for number in range(1, 121)))
    async with serving(live, store) as address:
        pages = [await page(address, f"?sort=name&label=team:edge&page={number}") for number in (1, 2, 3)]
        beyond = await page(address, "?sort=name&page=9")
        found = await data(address, "?page=3")
        everything = await data(address, "")

    assert [50, 50, 20] == [len(listed(each)) for each in pages]
    assert 120 == len({name for each in pages for name in listed(each)})
    assert "?label=team%3Aedge&page=2&sort=name" in pages[0].links
    assert "120 targets, page 1 of 3" in pages[0].text
    assert listed(pages[2]) == listed(beyond)
    assert (20, 120, 3, 3) == (len(found["targets"]), *(found[name] for name in ("total", "page", "pages")))
    assert 120 == len(everything["targets"])


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?state=ill", "state=ill is not one of worse, not_watched, not_judged, better, as_baseline"),
        ("?sort=colour", "sort=colour is not one of"),
        ("?sort=name&sort=age", "sort stands 2 times; send one of"),
        ("?label=edge", "label=edge is not KEY:VALUE"),
        ("?label=:edge", "label=:edge is not KEY:VALUE"),
        ("?page=0", "page=0 is not a number from 1 to"),
        ("?limit=1001", "limit=1001 is not a number from 1 to 1000"),
    ],
)
async def test_wrong_queries(store: Store, query: str, words: str) -> None:
    """A filter, order or page that there is not is refused with what there is, on the page and in the API."""
    async with serving(watched(), store) as address:
        assert words in (await page(address, query, status=400)).text
        async with aiohttp.ClientSession() as session, session.get(f"{address}api/v1/targets{query}") as response:
            assert (400, True) == (response.status, words in (await response.json())["error"])


async def test_model_in_the_api(store: Store) -> None:
    """The API has what the page shows of a model: its state, the reason and the remedy, the figure, its change, and
    the cause.
    """
    async with serving(watched(), store) as address:
        found = await data(address, "")
    models = {each["id"]: each["model"] for each in found["targets"]}

    assert {"worse": 1, "not_watched": 2, "not_judged": 2, "better": 1, "as_baseline": 1} == found["tally"]
    assert ("worse", None, "accuracy", "model") == tuple(
        models[WORSE.key.id][name] for name in ("state", "reason", "headline", "cause")
    )
    assert pytest.approx(-0.35) == models[WORSE.key.id]["change"]
    assert "chance" in models[CHANCE.key.id]["reason"]
    assert models[OPAQUE.key.id]["headline"] is None


async def test_results_are_drawn(store: Store) -> None:
    """A row has a line of its distinct result sets, with the baseline, and says it in words; one of a single result set
    is a point.
    """
    await add_results(store, WORSE, (0.92, 0.91, 0.57), time.time() - 600)
    await add_results(store, BETTER, (0.97,), time.time() - 600)
    async with serving(watched(), store) as address:
        html = (await page(address)).html
    lines = re.findall(r'<svg class="results".*?</svg>', html, re.DOTALL)

    assert 2 == len(lines)
    worse = next(line for line in lines if "3 result sets" in line)
    assert 'aria-label="Accuracy of 3 result sets, 0.920 → 0.570; the baseline is 0.920"' in worse
    points = [tuple(map(float, point.split(","))) for point in known_points(worse)]
    assert 3 == len(points)
    assert points[0][1] < points[1][1] < points[2][1]  # y goes down
    assert 'class="base"' in worse
    single = next(line for line in lines if line is not worse)
    assert "polyline" not in single
    assert "Accuracy of one result set, 0.970; the baseline is 0.920" in single


def known_points(svg: str) -> list[str]:
    """The points of a line."""
    found = re.search(r'points="([^"]*)"', svg)
    assert found is not None
    return found[1].split()


async def test_one_card_for_one_cause(store: Store) -> None:
    """Alerts of one cause are one card: figures, since when, why, samples and how many look mislabelled, what to do,
    Studio; an alert that is pending has one of its own, below.
    """
    began = time.time() - 300
    twin = replace(WORSE, key=WORSE.key._replace(variant="float32"))
    states = [
        alert(
            of, began, "training-00c0ffee00c0ffee", annotations={"summary": "s", "runbook_url": "https://run.book/it"}
        )
        for of in (WORSE, twin)
    ]
    pending = alert(CHANCE, began, phase=Phase.PENDING)
    await record(store, *states)
    live = fleet_live(model(WORSE, 0.57, 1e-9), model(twin, 0.57, 1e-9), model(CHANCE), alerts=[*states, pending])
    async with serving(live, store) as address:
        shown = await page(address)

    cards = [str(attrs["id"]) for tag, attrs in shown.tags if tag == "article"]
    assert ["event-training-00c0ffee00c0ffee", f"event-target-0000000000000002-{int(began)}"] == cards
    first = shown.text.partition("What got worse")[2].partition("pump / spectral")[0]
    assert "press line / spectral , float32 and int8 firing critical 2 alerts of one cause" in first
    assert "float32 : Accuracy 0.945 → 0.646 (−29.9 points) int8 : Accuracy" in first
    assert "(5 min ago) · The model changed" in first
    assert "54 samples newly wrong , 9 look mislabelled" in first
    for link in (
        f"targets/{WORSE.key.id}/samples?kind=newly_wrong",
        "https://run.book/it",
        "https://studio.example.com/studio/1/impulse/1/validation",
        "alerts/training-00c0ffee00c0ffee",
    ):
        assert link in shown.links
    assert shown.is_harmless


async def test_trouble_is_below(store: Store) -> None:
    """What is the matter with the service or a project as a whole, such as a key that expires, is below what got
    worse.
    """
    now = time.time()
    key = AlertState(
        "EdgeImpulseKeyExpiring",
        "project-7",
        "digest",
        Phase.FIRING,
        now,
        now,
        severity="warning",
        labels={"project_id": "7", "cause_id": "target-00c0ffee00c0ffee"},
        annotations={"summary": "An API key is about to expire: project 7."},
    )
    live = fleet_live(model(WORSE, 0.57, 1e-9), alerts=[alert(WORSE, now - 300), key])
    async with serving(live, store) as address:
        shown = await page(address)
    worse, _, trouble = shown.text.partition("Trouble of the service")

    assert "press line / spectral" in worse
    assert "An API key is about to expire" not in worse
    assert "project 7 firing warning An API key is about to expire" in trouble


async def test_hostile_names(store: Store) -> None:
    """Names and labels with tags, another direction of writing or endless length stay text, and fit into links."""
    evil = "<script>alert(1)</script>\u202e" + "x" * 100_000
    hostile = target(1, evil, **{"team": "javascript:alert(1)"})
    live = fleet_live(model(hostile, 0.5, 1e-9), alerts=[alert(hostile, time.time())])
    async with serving(live, store) as address:
        for query in ("", "?q=%3Cscript%3E", "alerts", "?label=team:javascript:alert(1)"):
            shown = await page(address, query)
            assert shown.is_harmless
            assert "<script>alert(1)</script>" in shown.text
            assert "\u202e" not in shown.html
            assert "x" * 257 not in shown.html


@pytest.mark.slow
async def test_a_thousand_targets_are_cheap(store: Store) -> None:
    """With 1,000 targets, alerts and result sets the first page costs a few times as much as with 50, not 20 times: it
    lists as many.
    """
    targets = [target(number, team="edge") for number in range(1, 1001)]
    states = [alert(each, time.time()) for each in targets[::20]]
    await record(store, *states)
    for each in targets[:20]:
        await add_results(store, each, (0.9, 0.91, 0.92, 0.93), time.time() - 600)
    figures = evaluation(quality=quality(0.92, accuracy_interval=Interval(0.9, 0.94)))
    snapshots = [model(each, evaluation=figures) for each in targets]
    costs = Costs()
    async with (
        serving(fleet_live(*snapshots[:50], alerts=states[:3]), store) as few,
        serving(fleet_live(*snapshots, alerts=states), store) as many,
    ):
        queries = ("", "?q=project", "?sort=change")
        for query, address in [(query, address) for query in queries for address in (few, many)] * TURNS:
            with costs.of((query, address)):
                sent = await text(address, query)
            assert 50 == sent.count('id="target-')

    assert max(costs.ratio((query, many), (query, few)) for query in queries) < 15
