"""Samples that changed sides, as a running service lists them, beside the simulator's own books."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest

from monitor import text
from monitor.compare.changed_windows import ChangedSamples, ChangedWindow
from monitor.compare.side_kinds import NEWLY_WRONG
from monitor.simulator import Revision, projects
from monitor.simulator.ground import Ground
from monitor.store import Store
from tests.cli.commands import run_beside
from tests.cli.test_cli_samples import HOSTILE
from tests.factories import known
from tests.service_process import Service
from tests.web.test_web_pages import Page
from tests.web.web_service import ONE, THREE, pull, start

pytestmark = pytest.mark.usefixtures("clock")

CHANGES = {
    111: Revision(relabelled=0.1),
    112: Revision(added=60, shift=2.0, removed=0.1),
    113: Revision(relabelled=0.3, training=1, trained_step=1, quality=-0.5),
}
"""What happens to each project at step 1; project 101 is trained again."""

FILE = r"\w+\.[0-9a-f]{6}"
"""What the simulator calls files."""

Windows = set[tuple[int, int]]


def two_steps(number: int, change: Revision) -> Any:
    """A classifier to which something happens at step 1."""

    def scenario(step: int) -> Revision:
        return change if step else Revision()

    return projects.classification(number, f"project-{number}", sizes={"testing": 300}, scenario=scenario)


def books(before: Ground, after: Ground) -> dict[str, Windows]:
    """The (sample, start) pairs of each kind, from what the simulator knows."""
    old, new = (
        {(sample.id, window.start_ms): window for sample in ground.samples for window in sample.windows}
        for ground in (before, after)
    )
    shared = old.keys() & new.keys()
    return {
        "newly_wrong": {each for each in shared if old[each].correct is True and new[each].correct is False},
        "fixed": {each for each in shared if old[each].correct is False and new[each].correct is True},
        "relabelled": {each for each in shared if old[each].label != new[each].label},
        "added_wrong": {each for each in new.keys() - shared if new[each].correct is False},
        "removed_wrong": {each for each in old.keys() - shared if old[each].correct is False},
    }


async def changed(service: Service, number: int) -> tuple[Ground, Ground]:
    """Start with the project at step 0, pull it again at step 1; what was and what is."""
    if number not in service.studio.projects:
        service.studio.add(two_steps(number, CHANGES[number]))
    service.content["projects"] = [service.entry(number)]
    target_id = f"{number}-1-int8-testing"
    await start(service, target_id)
    before = known(service.studio.ground(number))
    await pull(service, target_id, step=1)
    return before, known(service.studio.ground(number))


async def listed(service: Service, query: str = "", target_id: str = ONE, status: int = 200) -> Any:
    """The answer's data, or its error."""
    found, text = await service.get(f"/api/v1/targets/{target_id}/samples{query}")
    assert status == found, text
    answer = json.loads(text)
    return answer["data"] if status == 200 else (answer["errorType"], answer["error"])


@pytest.mark.parametrize("number", [101, 111, 112])
async def test_lists_are_what_was_done(service: Service, number: int) -> None:
    """Each list of a model trained again, of labels changed and of a set that grew and shrank holds exactly the windows
    that the simulator's books name, with names, labels and predictions then and now.
    """
    before, after = await changed(service, number)
    of = {
        (sample.id, window.start_ms, when): (sample, window)
        for when, ground in (("before", before), ("now", after))
        for sample in ground.samples
        for window in sample.windows
    }
    expected = books(before, after)
    assert sum(map(len, expected.values())) > 20
    for kind, windows in expected.items():
        found = await listed(service, f"?kind={kind}&limit=1000", f"{number}-1-int8-testing")
        rows = {(row["id"], row["start_ms"]): row for row in found["samples"]}
        assert (kind, None, len(found["samples"])) == (found["kind"], found["next"], len(windows))
        assert windows == rows.keys()
        assert len({sample for sample, _ in windows}) == found["counts"][kind]
        for place, row in rows.items():
            sample, _ = of.get((*place, "now")) or of[(*place, "before")]
            assert sample.filename == row["filename"]
            assert f"{service.url.removesuffix('/v1')}/studio/{number}/impulse/1/validation" == row["url"]
            for when, suffix in (("now", ""), ("before", "_before")):
                said = (row["label" + suffix], row["prediction" + suffix], row["confidence" + suffix])
                if (there := of.get((*place, when))) is None:
                    assert (None, None, None) == said
                    continue
                window = there[1]
                assert (window.label, window.prediction) == said[:2]
                assert pytest.approx(max(known(window.confidences).values())) == said[2]


async def test_page_by_page(service: Service) -> None:
    """All pages together are the list, in its order; a filter by class keeps what anyone calls so, and pages too."""
    await changed(service, 101)
    whole = (await listed(service, "?limit=1000"))["samples"]
    assert len(whole) > 20
    for of_class in ("", "&class=idle"):
        wanted = [row for row in whole if not of_class or "idle" in (row[key] for key in row if "l" in key)]
        found: list[Any] = []
        after = ""
        while after is not None:
            page = await listed(service, f"?limit=7{of_class}" + (f"&after={after}" if after else ""))
            after = page["next"]
            assert len(page["samples"]) == min(7, len(wanted) - len(found))
            found += page["samples"]
        assert wanted == found
    assert 0 < len(wanted) < len(whole)
    assert [] == (await listed(service, "?class=nobody"))["samples"]
    assert 50 >= len((await listed(service))["samples"]) > 20


async def test_a_cursor_of_lists_that_are_gone(service: Service) -> None:
    """A cursor goes on only in the list that it is of: after another run it is a conflict, in another list an error."""
    await changed(service, 101)
    after = (await listed(service, "?limit=5"))["next"]
    assert after is not None
    for query in ("?kind=fixed&after=" + after, "?class=idle&after=" + after, "?after=7", "?after=x-y-z"):
        kind, error = await listed(service, query, status=400)
        assert ("bad_data", True) == (kind, error.startswith("after=")), query
    assert 5 == len((await listed(service, f"?limit=5&after={after}"))["samples"])
    await pull(service, ONE, step=2)
    kind, error = await listed(service, f"?after={after}", status=409)
    assert ("conflict", True) == (kind, "have been replaced" in error)
    comparison = known(service.app.live.snapshots[ONE].comparison)
    newer = await listed(service)
    assert (comparison.changed_samples, comparison.suspect_labels) == (newer["counts"], newer["suspect_labels"])


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ("kind=newly-wrong", "newly_wrong, fixed, relabelled, added_wrong, removed_wrong, suspect_label"),
        ("format=xml", "json, csv"),
        ("limit=0", "1 to 1000"),
        ("limit=1001", "1 to 1000"),
    ],
)
async def test_wrong_arguments(service: Service, query: str, allowed: str) -> None:
    """An argument that is wrong is refused by name, with those that are allowed."""
    await start(service)
    kind, error = await listed(service, f"?{query}", status=400)
    assert ("bad_data", True) == (kind, error.startswith(query.partition("-")[0]))
    assert allowed in error


async def test_targets_without_lists(service: Service) -> None:
    """A target that nobody knows is not found; one that was never compared has no lists, which is no error."""
    await start(service, ONE, alone=True)
    kind, error = await listed(service, target_id="1-1-int8-testing", status=404)
    assert ("not_found", True) == (kind, "/api/v1/targets lists" in error)
    waiting = await listed(service, target_id=THREE)
    assert ({}, [], None, None) == tuple(waiting[name] for name in ("counts", "samples", "next", "baseline"))
    first = await listed(service)
    assert {"newly_wrong": 0} == {kind: count for kind, count in first["counts"].items() if kind == "newly_wrong"}
    assert first["baseline"] == first["current"] == service.app.live.snapshots[ONE].fingerprint


async def test_csv(service: Service) -> None:
    """CSV has the same windows, the next page behind a link, and links into the Studio that is configured."""
    service.content["studio"]["site"] = "https://studio.example.com/"
    await changed(service, 101)
    rows = (await listed(service, "?limit=7"))["samples"]
    url = f"http://{service.app.address}/api/v1/targets/{ONE}/samples?format=csv&limit=7"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        text, following = await response.text(), response.links["next"]["url"]
        assert ("text/csv", "utf-8") == (response.content_type, response.charset)
        assert "attachment" in response.headers["Content-Disposition"]
    async with aiohttp.ClientSession() as session, session.get(following) as response:
        rest = list(csv.DictReader(io.StringIO(await response.text())))
    found = list(csv.DictReader(io.StringIO(text)))
    assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows] == found
    assert {"https://studio.example.com/studio/101/impulse/1/validation"} == {row["url"] for row in found}
    after = (await listed(service, "?limit=7"))["next"]
    assert [str(row["id"]) for row in (await listed(service, f"?limit=7&after={after}"))["samples"]] == [
        row["id"] for row in rest
    ]


async def test_the_command_prints_what_the_api_answers(service: Service) -> None:
    """Beside the running service `samples` prints from its store what the API answers: all windows of a list as JSON
    and CSV, those of a class, and as a table as many as asked for.
    """
    before, after = await changed(service, 101)
    wrong = await listed(service, "?limit=1000")
    idle = await listed(service, "?limit=1000&class=idle")
    options = ("--config", service.path, "--limit", "1000")
    found = json.loads((await run_beside("samples", ONE, *options, "--kind", "newly-wrong", "--format", "json")).stdout)
    of_class = await run_beside("samples", ONE, *options, "--class", "idle", "--format", "csv")
    table = await run_beside("samples", ONE, "--config", service.path, "--limit", "7")

    assert wrong == found
    samples = {sample for sample, _ in books(before, after)["newly_wrong"]}
    assert samples == {row["id"] for row in found["samples"]} != set()
    rows = list(csv.DictReader(io.StringIO(of_class.stdout)))
    assert [str(row["id"]) for row in idle["samples"]] == [row["id"] for row in rows] != []
    worst = (await listed(service, "?limit=7"))["samples"]
    first, *lines = table.stdout.splitlines()
    assert first.startswith(f"{len(samples)} samples newly wrong")
    assert [str(row["id"]) for row in worst] == [line.split()[0] for line in lines if line[:1].isdigit()]
    assert 80 >= max(map(len, lines))
    assert "The list is longer: --limit " in lines[-1]


async def shown(service: Service, path: str) -> Page:
    """A page of the service."""
    status, html = await service.get(path)
    assert 200 == status, html[:500]
    return Page(html)


async def test_the_targets_page_names_samples(service: Service) -> None:
    """A target's page says how many samples changed sides, of each kind, and lists the first of the kind that is asked
    for; its links lead to the other kinds, to the next page, to one class, to JSON and CSV, and into Studio.
    """
    service.content["studio"]["site"] = "https://studio.example.com"
    await changed(service, 113)
    target_id = "113-1-int8-testing"
    path = f"/targets/{target_id}"
    rows = (await listed(service, "?limit=1000", target_id))["samples"]
    page = await shown(service, path)
    _, _, section = page.text.partition("Samples that changed sides")
    section, _, _ = section.partition("As CSV")
    found = await listed(service, target_id=target_id)
    counts, suspects = found["counts"], found["suspect_labels"]["newly_wrong"]

    assert {"samples"} <= {attributes.get("id") for _, attributes in page.tags}
    assert f"{counts['newly_wrong']} samples newly wrong, {suspects} of them look mislabelled" in section
    assert suspects > 1
    assert [row["filename"] for row in rows[:50]] == re.findall(FILE, section)
    assert sum(row["looks_like"] is not None for row in rows[:50]) == section.count("looks mislabelled") > 0
    # at the top, on the card of its event, and at each sample
    assert 2 + 50 == page.links.count("https://studio.example.com/studio/113/impulse/1/validation")
    links = [urljoin(path, link) for link in page.links]
    for kind in counts:
        assert (kind == "newly_wrong") != (f"{path}?kind={kind}#samples" in links)
    following = next(link for link in links if "after=" in link)
    assert following.startswith(f"{path}/samples?")
    rest = await shown(service, following)
    assert [row["filename"] for row in rows[50:100]] == re.findall(FILE, rest.text)
    idle = await shown(service, next(link for link in links if "class=idle" in link))
    assert {
        row["filename"] for row in rows if "idle" in (row["label"], row["prediction"], row["prediction_before"])
    } >= (names := set(re.findall(FILE, idle.text)))
    assert names
    for link in links:
        if link.startswith("/api/"):
            assert 200 == (await service.get(link))[0]
    added = await shown(service, f"{path}?kind=added_wrong")
    assert "0 samples added and wrong" in added.text
    assert 400 == (await service.get(f"{path}?kind=nonsense"))[0]
    assert 404 == (await service.get("/targets/1-1-int8-testing/samples"))[0]


async def test_the_first_list_that_has_some(service: Service) -> None:
    """Without a kind both pages open at the first list that names a sample; the API's is that of the newly wrong. Where
    there are more classes than are shown, a field takes one.
    """
    service.content["projects"] = [service.entry(101)]
    service.content["limits"] = {"classes": 2}
    service.studio.timeline.pin(1)
    await start(service, ONE)
    await pull(service, ONE, step=2)
    counts = (await listed(service))["counts"]
    fixed = [row["filename"] for row in (await listed(service, "?kind=fixed"))["samples"]]

    assert (0, True, []) == (counts["newly_wrong"], counts["fixed"] > 0, (await listed(service))["samples"])
    for path in (f"/targets/{ONE}", f"/targets/{ONE}/samples"):
        page = await shown(service, path)
        assert fixed == re.findall(FILE, page.text)
        assert "0 samples newly wrong" in page.text
        fields = {attrs.get("name"): attrs.get("value") for tag, attrs in page.tags if tag == "input"}
        assert {"kind": "fixed", "class": ""} == fields
        assert {"idle", "wave"} <= {attrs.get("value") for tag, attrs in page.tags if tag == "option"}
    idle = await shown(service, f"/targets/{ONE}/samples?kind=fixed&class=idle")
    assert 0 < len(re.findall(FILE, idle.text)) < len(fixed)


async def test_a_page_of_lists_that_are_gone(service: Service) -> None:
    """Where another run has replaced the lists, the next page is the first one of the new lists, and says so."""
    await changed(service, 101)
    after = (await listed(service))["next"]
    await pull(service, ONE, step=2)
    page = await shown(service, f"/targets/{ONE}/samples?after={after}")
    names = [row["filename"] for row in (await listed(service))["samples"]]

    assert "Another run has replaced the lists" in page.text
    assert names == re.findall(FILE, page.text) != []


async def call_badly(service: Service) -> None:
    """Start with a target in whose lists everything is called badly."""
    await start(service, ONE, alone=True)
    names = [text.shown(name) for name in (*HOSTILE, "\u05d0\u202e\u2066" * 50, "x" * 100_000)]
    windows = [
        ChangedWindow(2**63 - place, name, 0.0, 1.0, name, name, 0.5, "a", "b", 0.5, name)
        for place, name in enumerate(names, 1)
    ]
    fingerprint = service.app.live.snapshots[ONE].fingerprint
    async with Store(f"sqlite:///{service.path.parent}/impulse-monitor.db") as store, store.transaction() as tx:
        lists = ChangedSamples({NEWLY_WRONG: len(windows)}, {}, {NEWLY_WRONG: windows})
        await tx.put_changed_samples(ONE, (known(fingerprint),) * 2, lists)


async def test_hostile_names_are_text(service: Service) -> None:
    """Names of files and classes become no tag, no attribute that runs and no link that leaves; none turns the
    direction of writing; an endless name is cut.
    """
    await call_badly(service)
    for path in (f"/targets/{ONE}", f"/targets/{ONE}/samples"):
        page = await shown(service, path)
        assert page.is_harmless
        assert "<script>alert(1)</script>" in page.text
        assert "x" * 257 not in page.html
        assert set("\x1b\x9b\u202e\u2066").isdisjoint(page.html)
        for link in (link for link in page.links if "class=" in link):
            assert 200 == (await service.get(urljoin(path, link)))[0]


@pytest.mark.acceptance
async def test_hostile_names_in_a_browser(service: Service, browser: Any) -> None:
    """No name runs a script, opens a dialog, or widens the page, on a phone or a desk."""
    await call_badly(service)
    context = await browser.new_context()
    page = await context.new_page()
    events: list[str] = []
    page.on("console", lambda message: events.append(message.text))
    page.on("pageerror", lambda error: events.append(str(error)))
    page.on("dialog", lambda dialog: events.append(dialog.message))
    for path in (f"/targets/{ONE}", f"/targets/{ONE}/samples"):
        for width in (320, 390, 768, 1280):
            await page.set_viewport_size({"width": width, "height": 800})
            await page.goto(f"http://{service.app.address}{path}")
            assert width == await page.evaluate("document.documentElement.scrollWidth")
    await context.close()
    assert [] == events
