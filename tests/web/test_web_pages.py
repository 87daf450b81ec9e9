"""The pages of a running service: what they say, that they escape what Studio sends, and how a real
browser takes them.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest

from monitor.compare.change import CAUSES
from monitor.compare.error_evidence import ErrorEvidence
from monitor.results import UNCERTAIN
from monitor.simulator import Impulse, Revision, Studio, projects, serve
from monitor.simulator.faults import Refuse
from monitor.simulator.generated import GeneratedProject
from monitor.simulator.kinds import Classification
from monitor.views.charts import BAR_WIDTH
from tests.live.live_parts import shown_as
from tests.service_process import Service
from tests.web.web_service import ONE, THREE, pull, start

pytestmark = pytest.mark.usefixtures("clock")

STARTED_ONCE = "it has started once for this model"
STARTED_TWICE = "it has started 2 times for this model"
REFUSED = "No model testing results found, run 'startClassifyJob' first"
EVIL = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """A page's tags, links and visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.links: list[str] = []
        self._texts: list[str] = []
        self._hidden = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.links += [value for name, value in attrs if name in ("href", "src") and value]
        self._hidden += tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag == "style"

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._texts.append(data)

    @property
    def text(self) -> str:
        """Words with single spaces."""
        return " ".join(" ".join(self._texts).split())

    @property
    def is_harmless(self) -> bool:
        """Whether the only script is the service's own, nothing else is loaded, and no attribute runs anything."""
        scripts = [attrs.get("src") or "" for tag, attrs in self.tags if tag == "script"]
        return (
            all(re.fullmatch(r"(\.\./)*static/monitor\.js\?v=[0-9a-f]{12}", source) for source in scripts)
            and {"img", "iframe", "object", "embed"}.isdisjoint(tag for tag, _ in self.tags)
            and not any(name.startswith("on") for _, attrs in self.tags for name in attrs)
            and not any(link.lower().lstrip().startswith("javascript:") for link in self.links)
        )


async def page(service: Service, path: str, status: int = 200) -> Page:
    """A page of the service."""
    found, html = await service.get(path)
    assert status == found, html[:500]
    return Page(html)


async def test_worst_first(service: Service) -> None:
    """A firing alert comes before a failing pull, and that before a target that is well; each with its figures."""
    service.studio.add(projects.gmm())
    service.content["projects"] = [service.entry(104), service.entry(103), service.entry(101)]
    await start(service, ONE, THREE, "104-1-int8-testing")
    await pull(service, ONE, step=1)
    service.studio.fail(Refuse(REFUSED), "result/page", 103, times=None)
    await pull(service, THREE)
    shown = await page(service, "/")
    accuracy = service.app.live.snapshots[ONE].evaluation.quality.accuracy  # type: ignore[union-attr]

    order = [str(attrs["id"]) for tag, attrs in shown.tags if tag == "tr" and "id" in attrs]
    assert [f"target-{ONE}", f"target-{THREE}", "target-104-1-int8-testing"] == order
    assert "1 worse 2 as their baseline" in shown.text
    assert "1 pull fails" in shown.text
    assert f"accuracy {accuracy:.3f}" in shown.text
    assert REFUSED in shown.text
    assert "EdgeImpulseAccuracyRegressed" in shown.text
    assert "Accuracy fell by" in shown.text
    assert re.search(r"▼ −\d+\.\d points", shown.text)


async def test_units(service: Service) -> None:
    """A target's page says which unit it takes and why; where there are too few groups to tell, both pages say so, and
    the API has it.
    """
    service.studio.add(projects.classification(112, "few", sizes={"testing": 30}))
    service.content["projects"] = [service.entry(112, group_by="metadata.batch"), service.entry(103)]
    few = "112-1-int8-testing"
    await start(service, few, THREE)
    batches, days = await page(service, f"/targets/{few}"), await page(service, f"/targets/{THREE}")
    status = await page(service, "/")
    _, text = await service.get("/api/v1/targets")
    evaluation = service.app.live.snapshots[THREE].evaluation
    units = {each["id"]: each["units"] for each in json.loads(text)["data"]["targets"]}

    (batch, day) = (
        re.search(r"Accuracy (sample|group) (\d+) (\S+) (\S+) (\S+)", each.text) for each in (batches, days)
    )
    assert batch is not None
    assert batch.groups()[2:] == ("–", "–", "–")
    assert int(batch[2]) < 10  # no sample has one: they are a group each week
    assert "Cannot tell yet whether samples of one batch (metadata) are alike: that takes 10 groups" in batches.text
    assert 1 == status.text.count("Cannot tell yet whether samples of one batch (metadata) are alike.")
    assert day is not None
    assert evaluation is not None
    choice = evaluation.units["accuracy"]
    assert (day[1], int(day[2])) == (choice.unit, choice.groups)
    assert "Cannot tell" not in days.text
    assert (choice.icc, choice.unit) == tuple(units[THREE]["accuracy"][key] for key in ("icc", "unit"))
    assert units[few]["accuracy"]["icc"] is None


async def test_project_without_targets(service: Service) -> None:
    """A project whose key is refused is named on the status page with what to do."""
    service.content["projects"][1]["api_key"] = "ei_wrong"
    await start(service, ONE)
    shown = await page(service, "/")

    assert "Project 103: discovery ended with auth" in shown.text
    assert "1 target in 2 projects" in shown.text


async def test_why_a_figure_changed(service: Service) -> None:
    """A target's page says what changed, by how much, and whose fault it is; counts are those of the data; runs come
    newest first.
    """
    await start(service, ONE)
    before = service.app.live.snapshots[ONE].evaluation.quality.accuracy  # type: ignore[union-attr]
    await pull(service, ONE, step=1)
    service.studio.fail(Refuse(REFUSED), "result/page", 101, times=None)
    await pull(service, ONE)
    snapshot = service.app.live.snapshots[ONE]
    shown = await page(service, f"/targets/{ONE}")
    ground = service.studio.ground(101)
    assert ground is not None
    assert snapshot.evaluation is not None
    assert snapshot.evaluation.quality is not None
    now = snapshot.evaluation.quality.accuracy
    scored = [
        (sample.label, window) for sample in ground.samples for window in sample.windows if window.correct is not None
    ]

    _, _, why = shown.text.partition("Why: change since the baseline")
    assert f"Accuracy: {before:.3f} → {now:.3f} (−{(before - now) * 100:.1f} points)" in why
    assert f"−{(before - now) * 100:.1f} on the 300 samples both runs share: the model changed, not the data" in why
    assert "the model was trained again since the baseline" in why
    missed = r"A drop under \d\.\d points by another training would be missed here more than one time in five"
    assert re.search(missed, why)
    assert "can hardly fire" not in why  # of a loss of 5 points it misses a third
    assert {"total", "model"} == {str(bar["class"]) for bar in cause_bars(shown) if float(bar["width"] or "")}
    assert "EdgeImpulseAccuracyRegressed" in shown.text
    assert snapshot.error in shown.text
    uncertain = sum(window.prediction == UNCERTAIN for label, window in scored if label == "idle")
    row = confusion_row(shown, "idle")
    assert uncertain == row[-1]
    assert sum(label == "idle" for label, _ in scored) == sum(row)
    changes = shown.text[shown.text.index("What the pulls said") :]
    said = re.findall(r"accuracy 0\.\d{3}|no_results result_page", changes[: changes.index("This history as JSON")])
    assert ["no_results result_page", f"accuracy {now:.3f}", f"accuracy {before:.3f}"] == said


def cause_bars(shown: Page) -> list[dict[str, str | None]]:
    """The bars of the causes of all figures that a page shows."""
    return [attrs for tag, attrs in shown.tags if tag == "rect" and attrs.get("class") in CAUSES]


def confusion_row(shown: Page, name: str) -> list[int]:
    """The counts of a true class's row of the confusion matrix."""
    row = re.search(
        rf'<th scope="row"><bdi>{name}</bdi></th>((?:<td class="(?:zero|hit|miss).*?</td>)+.*?)</tr>', shown.html
    )
    assert row is not None
    return [int(count.replace(",", "")) for count in re.findall(r"<td[^>]*>(?:<a[^>]*>)?([\d,]+)", row[1])]


async def test_causes_against_each_other(service: Service) -> None:
    """Causes that work against each other are shown on both sides of the bar, and none of them is made the culprit."""
    worse = Revision(added=300, shift=1.0, relabelled=0.015, removed=0.1, quality=0.8, training=1, trained_step=1)
    scenario = (Revision(), worse).__getitem__
    service.studio.add(projects.classification(112, "mixed", sizes={"testing": 900}, scenario=scenario))
    service.content["projects"] = [service.entry(112)]
    target_id = "112-1-int8-testing"
    await start(service, target_id)
    await pull(service, target_id, step=1)
    shown = await page(service, f"/targets/{target_id}")
    comparison = service.app.live.snapshots[target_id].comparison
    assert comparison is not None
    causes = comparison.changes[0].causes
    bars = cause_bars(shown)[: len(causes)]
    lines = [attrs for tag, attrs in shown.tags if tag == "line" and attrs["class"] == "axis"]
    zero = next(float(attrs["x1"] or "") for attrs in lines if attrs["y1"] == "-4")
    size = max(0.0, *causes.values()) - min(0.0, *causes.values())

    assert (
        "several causes, some against each other; relabelled and trained again: the two cannot be separated"
        in shown.text
    )
    assert causes.keys() == {rect["class"] for rect in bars} >= {"total", "model", "labels", "added", "removed"}
    for rect in bars:
        value, x, width = causes[str(rect["class"])], float(rect["x"] or ""), float(rect["width"] or "")
        assert pytest.approx(abs(value) / size * BAR_WIDTH, abs=0.1) == width
        assert x >= zero - 0.1 if value > 0 else x + width <= zero + 0.1


@pytest.fixture
async def every_kind(tmp_path: Path) -> AsyncIterator[Service]:
    """A service that watches a project of every kind."""
    studio = Studio([kind() for kind in projects.KINDS])
    async with serve(studio) as url:
        service = Service(tmp_path / "monitor.yaml", studio, url)
        service.content["projects"] = [service.entry(number, slices=["metadata.site"]) for number in studio.projects]
        service.content["schedule"] = {"every": "1s"}
        service.write()
        await service.app.start()
        await service.until(lambda: len(service.app.live.snapshots) == len(projects.KINDS))
        yield service
        await service.app.stop()


async def test_every_kind(every_kind: Service) -> None:
    """The page of every kind of project has what applies to it, and nothing of what does not."""
    wanted = {
        101: ("Confusion", "Calibration", "Slices"),
        104: ("Anomaly block", "Drift of the scores", "Evidence 0.00 from 0 new samples", STARTED_ONCE),
        106: ("Detection", "F1, pooled"),
        107: ("Detection", "mAP at IoU 0.50:0.95", "AP"),
        108: ("mean absolute error",),
        109: ("Result set and model",),
    }
    for target_id in every_kind.app.live.watched:
        shown = await page(every_kind, f"/targets/{target_id}")
        for words in wanted.get(int(target_id.partition("-")[0]), ()):
            assert words in shown.text
    assert "Confusion" not in (await page(every_kind, "/targets/107-1-int8-testing")).text
    assert "Anomaly block" not in (await page(every_kind, f"/targets/{ONE}")).text


async def test_evidence_of_errors(service: Service) -> None:
    """The page says how often new samples are wrong, whether that alarms, and how often the evidence has started, with
    what each start risks where that is known.
    """
    await start(service, ONE)
    live = service.app.live.targets[ONE]
    assert live.snapshot is not None
    assert live.snapshot.comparison is not None
    assert "Evidence of errors" not in (await page(service, f"/targets/{ONE}")).text
    for alarm in (False, True):
        errors = ErrorEvidence(2.125, alarm, 0.05, 0.2, 0.005, 1250, 200, 1_790_000_000.0, "sample", alarm, 2)
        live.snapshot = replace(live.snapshot, comparison=replace(live.snapshot.comparison, errors=errors))
        shown = (await page(service, f"/targets/{ONE}")).text

        assert "Evidence of errors 2.12 from 1,250 new samples" in shown
        assert "20.0 % of the last 200, 5.0 % of the current model's first results" in shown
        assert alarm == ("they are wrong more often" in shown)
        assert alarm == (f"{STARTED_TWICE}, each time with a chance of a false alarm of at most 1 %." in shown)
        assert alarm != (f"{STARTED_TWICE}." in shown)


async def test_class_limit(service: Service) -> None:
    """Of many classes the largest are shown, and it is said how many are not; no window is lost."""
    service.content["limits"] = {"classes": 2}
    await start(service, ONE)
    shown = await page(service, f"/targets/{ONE}")
    quality = service.app.live.snapshots[ONE].evaluation.quality  # type: ignore[union-attr]
    largest = max(quality.classes, key=lambda name: quality.classes[name].windows)  # type: ignore[union-attr]

    assert "2 smaller classes are not shown" in shown.text
    assert quality.classes[largest].windows == sum(confusion_row(shown, largest))  # type: ignore[union-attr]


async def test_unknown_target(service: Service) -> None:
    """A target that is not watched is a 404 that says why that may be, and leads to similar ones."""
    await start(service, ONE)
    shown = await page(service, "/targets/101-2-int8-testing", status=404)

    assert "No target 101-2-int8-testing is watched" in shown.text
    assert f"../targets/{ONE}" in shown.links
    assert "&lt;b&gt;" in (await page(service, "/targets/%3Cb%3E", status=404)).html


async def test_before_the_first_pull(service: Service) -> None:
    """A target that was not pulled yet is there, without figures."""
    await start(service)

    assert "none yet" in (await page(service, "/")).text
    assert "It has not been pulled yet" in (await page(service, f"/targets/{ONE}")).text


async def test_stale_figures(service: Service) -> None:
    """Figures that are too old to be exported say so on both pages."""
    service.content["stale_after"] = "1s"
    await start(service, ONE)
    await asyncio.sleep(1.1)

    assert "figures of 1 too old to be exported" in (await page(service, "/")).text
    assert "These figures are too old to be exported" in (await page(service, f"/targets/{ONE}")).text


async def test_store_down(service: Service, tmp_path: Path) -> None:
    """Without a store both pages show the figures and name the problem; the target's says that runs cannot be read."""
    (tmp_path / "impulse-monitor.db").write_bytes(b"no database" * 1000)
    service.content["schedule"] = {"every": "1s"}
    service.write()
    await service.app.start()
    await service.until(lambda: ONE in service.app.live.snapshots)
    for path in ("/", f"/targets/{ONE}"):
        shown = await page(service, path)
        assert "The store cannot be used" in shown.text
        assert "impulse-monitor.db" in shown.text
        assert re.search(r"accuracy 0\.\d{3}", shown.text)

    assert "The runs cannot be read" in shown.text


async def test_everything_is_escaped(service: Service) -> None:
    """Whatever Studio or an error calls itself is text: no name becomes a tag or an attribute, not even one that cannot
    be encoded.
    """
    evil = Classification(labels=(EVIL, "idle"), kmeans=True)
    project = GeneratedProject(120, EVIL, evil, impulses=[Impulse(1, EVIL)])
    service.studio.add(project)
    service.content["projects"] = [service.entry(120, labels={"team": EVIL}, slices=["device_name"])]
    target_id = "120-1-int8-testing"
    await start(service, target_id)
    service.studio.fail(Refuse(EVIL), "result/page", 120, times=None)
    await pull(service, target_id)
    for path in ("/", f"/targets/{target_id}"):
        shown = await page(service, path)
        assert EVIL in unescape(shown.html)
        assert EVIL in shown.text
        assert shown.is_harmless

    shown_as(service.app.live, target_id, error="cut \ud800 off")
    assert "cut \N{REPLACEMENT CHARACTER} off" in (await page(service, "/")).text
    assert "cut ? off" in (await page(service, f"/targets/{target_id}")).text


async def test_links_behind_a_prefix(service: Service) -> None:
    """Every link stays below the prefix that a proxy serves the pages under, and leads somewhere."""
    await start(service, ONE)
    prefix = "http://proxy.example.com/monitor"
    for path in ("/", f"/targets/{ONE}", f"/targets/{ONE}/samples"):
        links = [
            urljoin(prefix + path, link)
            for link in (await page(service, path)).links
            if not link.startswith(("data:", service.url.removesuffix("/v1")))  # the icon, and Studio
        ]
        assert len(links) > 5
        for link in links:
            assert link.startswith(prefix + "/")
            assert 200 == (await service.get(link.removeprefix(prefix)))[0]


async def test_headers(service: Service) -> None:
    """Pages may load nothing but their own stylesheet, whose hash they tell, and the service's script; nothing is
    sniffed, framed, kept or referred to.
    """
    await start(service, ONE)
    async with aiohttp.ClientSession() as session:
        for path in (
            "/",
            f"/targets/{ONE}",
            f"/targets/{ONE}/samples",
            "/targets/none",
            "/api/v1/targets",
            "/metrics",
            "/none",
        ):
            async with session.get(f"http://{service.app.address}{path}") as response:
                html, headers = await response.text(), response.headers
            assert "nosniff" == headers["X-Content-Type-Options"]
            assert "no-referrer" == headers["Referrer-Policy"]
            policy = headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; ")
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
            if (
                path.removesuffix("/samples").removesuffix(ONE).removesuffix("none") in ("/", "/targets/")
                and path != "/none"
            ):
                style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
                assert style is not None
                digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
                assert f"style-src 'sha256-{digest}';" in policy
                assert "; script-src 'self'; connect-src 'self'; " in policy
                assert "no-store" == headers["Cache-Control"]


@pytest.mark.acceptance
@pytest.mark.slow
async def test_in_a_browser(every_kind: Service, browser: Any) -> None:
    """Every page loads without a complaint, styled, and fits a phone; the policy keeps the scripts of others out."""
    context = await browser.new_context(color_scheme="light", viewport={"width": 390, "height": 800})
    shown = await context.new_page()
    complaints: list[str] = []
    shown.on("console", lambda message: complaints.append(message.text))
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    shown.on("requestfailed", lambda request: complaints.append(request.url))
    for path in ("/", *(f"/targets/{target_id}" for target_id in every_kind.app.live.watched)):
        for width in (390, 1280):
            await shown.set_viewport_size({"width": width, "height": 800})
            response = await shown.goto(f"http://{every_kind.app.address}{path}")
            assert 200 == response.status
            assert width == await shown.evaluate("document.documentElement.scrollWidth")
            for scheme, ground in (("dark", "rgb(20, 23, 27)"), ("light", "rgb(255, 255, 255)")):
                await shown.emulate_media(color_scheme=scheme)
                assert ground == await shown.evaluate("getComputedStyle(document.body).backgroundColor")
    assert [] == complaints

    await shown.goto(f"http://{every_kind.app.address}/")
    await shown.get_by_role("link", name="gesture-wristband").click()
    assert shown.url.endswith(f"/targets/{ONE}")
    await shown.evaluate(
        "document.body.appendChild(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
    )
    assert await shown.evaluate("window.ran === undefined")
    assert any("Content Security Policy" in complaint for complaint in complaints)
    await context.close()
