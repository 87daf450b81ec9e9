"""A target's page beside what the API answers and what the simulator knows: nothing on the page that the API lacks."""

from __future__ import annotations

import csv
import io
import json
import re
from html import unescape
from typing import Any
from urllib.parse import urlencode, urljoin

import pytest

from monitor.compare.side_kinds import VARIANT_GAINED, VARIANT_LOST
from monitor.simulator import Revision, projects
from monitor.simulator.faults import Refuse
from monitor.store import Store
from tests.factories import known
from tests.service_process import Service
from tests.web.test_web_pages import REFUSED, Page, page
from tests.web.web_service import ONE, pull, start

pytestmark = pytest.mark.usefixtures("clock")

FOMO, BOXES = "106-1-int8-testing", "107-1-int8-testing"
WORSE = Revision(quality=-0.5, training=1, trained_step=1, relabelled=0.1)


async def answer(service: Service, target_id: str, what: str, status: int = 200) -> Any:
    """The data of an answer about a target, or its error."""
    found, text = await service.get(f"/api/v1/targets/{target_id}/{what}")
    assert status == found, text
    body = json.loads(text)
    return body["data"] if status == 200 else (body["errorType"], body["error"])


async def two_steps(service: Service, project: Any, target_id: str) -> None:
    """Start with a project at step 0, and pull it again at step 1, at which it is worse."""
    service.studio.add(project)
    service.content["projects"] = [service.entry(int(target_id.partition("-")[0]))]
    await start(service, target_id)
    await pull(service, target_id, step=1)


def at_step_one(step: int) -> Revision:
    """The scenario of these projects."""
    return WORSE if step else Revision()


def section(shown: Page, name: str) -> str:
    """The markup of a section."""
    found = re.search(rf'<section id="{name}">(.*?)</section>', shown.html, re.DOTALL)
    assert found is not None, name
    return found[1]


def rows(markup: str) -> list[list[str]]:
    """The texts of the cells of the first table in it, row by row."""
    body = re.search(r"<tbody>(.*?)</tbody>", markup, re.DOTALL)
    assert body is not None
    found = re.findall(r"<tr>(.*?)</tr>", body[1], re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in found]
    return [[" ".join(unescape(re.sub(r"<[^>]*>", " ", cell)).split()) for cell in row] for row in cells]


async def test_history(service: Service) -> None:
    """Equal pulls are one row and one point, a failure between them is a range; page and API say the same, the page of
    the figure that is asked for; what is not of the range is not there.
    """
    await start(service, ONE)
    await pull(service, ONE)
    service.studio.fail(Refuse(REFUSED), "result/page", 101, times=2)
    await pull(service, ONE)
    await pull(service, ONE)
    await pull(service, ONE)
    await pull(service, ONE, step=1)
    found = await answer(service, ONE, "history?range=all")
    shown = await page(service, f"/targets/{ONE}?range=all&metric=mean_f1")
    snapshot = known(service.app.live.snapshots[ONE])
    quality = known(known(snapshot.evaluation).quality)

    sets = found["result_sets"]
    assert [3, 1] == [each["pulls"] for each in sets]
    assert snapshot.fingerprint == sets[-1]["fingerprint"] != sets[0]["fingerprint"]
    assert (quality.accuracy, quality.mean_f1) == tuple(
        sets[-1]["figures"][name]["value"] for name in ("accuracy", "mean_f1")
    )
    assert known(snapshot.comparison).baseline.values["accuracy"] == sets[-1]["baseline"]["values"]["accuracy"]
    assert [("no_results", 2)] == [(each["state"], each["pulls"]) for each in found["failures"]]
    assert ["trained"] == [each["what"] for each in found["markers"]]
    assert {"EdgeImpulseAccuracyRegressed", "EdgeImpulseMeanF1Regressed"} == {
        each["alertname"] for each in found["alerts"] if each["end"] is None
    }

    table = rows(section(shown, "history"))
    assert [f"accuracy {each['figures']['accuracy']['value']:.3f}" for each in sets[::-1]] == [
        row[0].partition(" ,")[0] for row in table if row[0].startswith("accuracy")
    ]
    assert ["1", "2", "3"] == [row[1] for row in table]
    assert ("no_results", True) == (table[1][0].partition(" ")[0], REFUSED in table[1][0])
    chart = next(attrs for tag, attrs in shown.tags if tag == "svg" and "desk" in str(attrs.get("class")))
    assert str(chart["aria-label"]).startswith("Mean F1 over time, 2 result sets")
    marks = section(shown, "history")
    assert 2 == len(re.findall(r"<circle", marks[: marks.index("</svg>")]))
    assert "an alert fires" in marks

    kind, error = await answer(service, ONE, "history?range=1y", status=400)
    assert ("bad_data", True) == (kind, "24h, 7d, 30d, all" in error)
    assert 404 == (await service.get("/api/v1/targets/1-1-int8-testing/history"))[0]
    for wrong in ("range=1y", "metric=beauty"):
        assert 400 == (await service.get(f"/targets/{ONE}?{wrong}"))[0]


async def test_classes_and_confusion(service: Service) -> None:
    """Precision, recall and F1 now and in the baseline, what lost most first, and every cell with its share and change
    are those of the API, which are those of the evaluations.
    """
    await start(service, ONE)
    before = known(known(service.app.live.snapshots[ONE].evaluation).quality)
    await pull(service, ONE, step=1)
    now = known(known(service.app.live.snapshots[ONE].evaluation).quality)
    found = await answer(service, ONE, "confusion")
    shown = await page(service, f"/targets/{ONE}")

    changes = {name: now.classes[name].f1 - before.classes[name].f1 for name in now.classes}
    assert sorted(changes, key=lambda name: changes[name]) == [each["name"] for each in found["classes"]]
    counted = {(each["label"], each["prediction"]): each["windows"] for each in found["cells"]}
    assert now.confusion == {cell: windows for cell, windows in counted.items() if windows}
    assert before.confusion == {
        (each["label"], each["prediction"]): each["windows_before"] for each in found["cells"] if each["windows_before"]
    }
    for row, each in zip(rows(section(shown, "classes")), found["classes"], strict=True):
        said = [each[side][name] for name in ("f1", "precision", "recall") for side in ("now", "before")]
        assert each["name"] == row[0]
        assert f"{abs(each['change']) * 100:.1f}" in row[1]
        assert [f"{value:.3f}" for value in said] == [cell.split()[0] for cell in row[2:8]]
    cells = {(each["label"], each["prediction"]): each for each in found["cells"]}
    matrix = section(shown, "confusion")
    names = [*sorted(now.classes), "uncertain"]
    for row in rows(matrix):
        for name, text in zip(names, row[1:], strict=True):
            cell = cells.get((row[0], name), {"windows": 0})
            assert f"{cell['windows']:,}" == text.split()[0]
            if cell["windows"]:
                assert f"{cell['share'] * 100:.1f} %" in text


async def test_a_cell_leads_to_its_samples(service: Service) -> None:
    """A cell's link leads to the windows that the simulator's books have of its label and prediction, page by page, as
    JSON and as CSV; after another pull a cursor is a conflict, and the page begins again.
    """
    await start(service, ONE)
    await pull(service, ONE, step=1)
    ground = known(service.studio.ground(101))
    books = [
        sample.id
        for sample in ground.samples
        for window in sample.windows
        if (window.label, window.prediction) == ("idle", "uncertain") and window.correct is not None
    ]
    query = urlencode({"label": "idle", "prediction": "uncertain"})
    shown = await page(service, f"/targets/{ONE}")
    link = next(link for link in shown.links if link.endswith(query))
    cell = await page(service, urljoin(f"/targets/{ONE}", link))
    whole = await answer(service, ONE, f"samples?{query}&limit=1000")

    assert len(books) > 10
    assert (len(books), books) == (whole["count"], [each["id"] for each in whole["samples"]])
    assert {("idle", "uncertain", None)} == {
        (each["label"], each["prediction"], each["prediction_before"]) for each in whole["samples"]
    }
    assert f"{len(books)} windows labelled idle" in cell.text.replace("  ", " ")
    assert [str(sample) for sample in books[:50]] == re.findall(r">(\d{9})</a>", cell.html)
    first = await answer(service, ONE, f"samples?{query}&limit=7")
    rest = await answer(service, ONE, f"samples?{query}&limit=1000&after={first['next']}")
    assert books == [each["id"] for each in (*first["samples"], *rest["samples"])]
    _, text = await service.get(f"/api/v1/targets/{ONE}/samples?{query}&format=csv&limit=1000")
    assert [str(sample) for sample in books] == [row["id"] for row in csv.DictReader(io.StringIO(text))]
    for wrong in ("label=idle", f"{query}&after=7", "prediction=idle"):
        assert "bad_data" == (await answer(service, ONE, f"samples?{wrong}", status=400))[0]
    await pull(service, ONE, step=2)
    assert "conflict" == (await answer(service, ONE, f"samples?{query}&after={first['next']}", status=409))[0]
    assert 200 == (await service.get(f"/targets/{ONE}/samples?{query}&after={first['next']}"))[0]
    nobody = await answer(service, ONE, "samples?label=nobody&prediction=idle")
    assert (0, [], None) == (nobody["count"], nobody["samples"], nobody["next"])


async def test_scores(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Histograms count every window now and in the baseline, the threshold is the block's; drift is said in plain words
    before its numbers. Reliability adds up to the calibration error. No result set is read for that.
    """
    read: list[object] = []
    original = Store.results_with

    async def counted(store: Store, *arguments: Any) -> Any:
        read.append(arguments)
        return await original(store, *arguments)

    service.studio.add(projects.gmm(113, scenario=at_step_one))
    service.content["projects"] = [service.entry(101), service.entry(113)]
    target_id = "113-1-int8-testing"
    await start(service, ONE, target_id)
    for each in (ONE, target_id):
        await pull(service, each, step=1)
    monkeypatch.setattr(Store, "results_with", counted)
    confident = await answer(service, ONE, "scores")
    scored = await answer(service, target_id, "scores")
    evaluation = known(service.app.live.snapshots[target_id].evaluation)
    calibration = known(known(service.app.live.snapshots[ONE].evaluation).calibration)
    shown = [await page(service, f"/targets/{each}") for each in (ONE, target_id)]

    assert [] == read
    windows = sum(each["windows"] for each in confident["reliability"])
    gaps = (each["windows"] * abs(each["accuracy"] - each["confidence"]) for each in confident["reliability"])
    assert pytest.approx(calibration.expected_error) == sum(gaps) / windows
    (own,) = confident["histograms"]
    assert (None, None, windows) == (own["block_id"], own["threshold"], sum(own["now"]))
    (block,) = scored["histograms"]
    (anomaly,) = evaluation.anomalies
    assert anomaly.block.thresholds["min_anomaly_score"] == block["threshold"]
    assert (evaluation.windows, True) == (sum(block["now"]), sum(block["before"]) > 0)
    assert len(block["edges"]) == len(block["now"]) + 1 == len(block["before"]) + 1
    for found, each in zip(shown, (own, block), strict=True):
        scores = section(found, "scores")
        table = rows(scores)
        assert [(f"{now:,}", f"{before:,}") for now, before in zip(each["now"], each["before"], strict=True)] == [
            (row[1], row[2]) for row in table
        ]
    text = section(shown[1], "scores")
    assert text.index("samples") < text.index("Wasserstein")
    assert "reliability" not in section(shown[1], "scores")


@pytest.mark.parametrize("target_id", [FOMO, BOXES])
async def test_images(service: Service, target_id: str) -> None:
    """Classes of a detector have their objects, and bounds of their recall; samples that changed sides have a frame of
    the image's shape with the boxes that the simulator knows, as the page draws it.
    """
    kind = {FOMO: projects.fomo, BOXES: projects.box_detector}[target_id]
    await two_steps(service, kind(scenario=at_step_one), target_id)
    ground = {sample.id: sample for sample in known(service.studio.ground(int(target_id[:3]))).samples}
    listed = await answer(service, target_id, "samples?kind=relabelled")
    classes = {each["name"]: each["now"] for each in (await answer(service, target_id, "confusion"))["classes"]}
    shown = await page(service, f"/targets/{target_id}?kind=relabelled")

    assert len(listed["samples"]) > 5
    for row in listed["samples"]:
        sample, frame = ground[row["id"]], row["frame"]
        assert sample.size == (frame["width"], frame["height"])
        boxes = [(box.label, *map(pytest.approx, (box.x, box.y, box.width, box.height))) for box in sample.boxes]
        names = ("label", "x", "y", "width", "height")
        assert boxes == [tuple(each[name] for name in names) for each in frame["truth"]]
        assert len(frame["found"]) == sum(len(window.detections) for window in sample.windows)
    objects = [box.label for sample in ground.values() for box in sample.boxes]
    counted = {name: each["windows"] for name, each in classes.items()}
    assert {name: objects.count(name) for name in set(objects)} == counted
    for each in classes.values():
        bounds = each["recall_interval"]
        assert bounds["lower"] < each["recall"] < bounds["upper"]
        assert f"({bounds['lower']:.3f} to {bounds['upper']:.3f})" in section(shown, "classes")
    frames = [attrs for tag, attrs in shown.tags if tag == "svg" and attrs.get("class") == "frame"]
    assert len(listed["samples"]) == len(frames)
    truth = [attrs for tag, attrs in shown.tags if tag == "rect" and attrs.get("class") == "truth"]
    assert sum(len(row["frame"]["truth"]) for row in listed["samples"]) == len(truth)
    if target_id == FOMO:
        matches = [known(window.fomo) for sample in ground.values() for window in sample.windows]
        for number, name in enumerate(sorted(classes), 1):  # the simulator numbers classes by name
            hits = sum(match.y_preds[found][2] == number for match in matches for found, _, _ in match.assignments)
            missed = sum(match.y_trues[place][2] == number for match in matches for place in match.unassigned_trues)
            extra = sum(match.y_preds[place][2] == number for match in matches for place in match.unassigned_preds)
            assert pytest.approx((hits / (hits + extra), hits / (hits + missed))) == (
                classes[name]["precision"],
                classes[name]["recall"],
            )


async def test_slices_and_variants(service: Service) -> None:
    """Slices have their change since the baseline; the variants of an impulse stand side by side, with the gap to the
    reference, its bounds, and the samples that only one of them gets right.
    """
    service.studio.add(projects.two_impulses())
    number, impulse = 111, "111-1"
    service.content["projects"] = [service.entry(101, slices=["metadata.site"]), service.entry(number)]
    both = [f"{impulse}-float32-testing", f"{impulse}-int8-testing"]  # the reference first
    await start(service, ONE, *both)
    before = known(service.app.live.snapshots[ONE].evaluation).slices
    await pull(service, ONE, step=1)
    now = known(service.app.live.snapshots[ONE].evaluation).slices
    shown = rows(section(await page(service, f"/targets/{ONE}"), "slices"))
    compared = {each: known(service.app.live.snapshots[each].comparison).variants for each in both}
    (reduced,) = (each for each, variants in compared.items() if variants is not None)
    variants = known(compared[reduced])
    pages = {each: section(await page(service, f"/targets/{each}"), "variants") for each in both}

    changes = {value: now[key, value].accuracy - before[key, value].accuracy for key, value in now}
    assert sorted(changes, key=lambda value: changes[value]) == [row[0].split()[0] for row in shown]
    assert [f"{now['metadata.site', row[0].split()[0]].accuracy:.3f}" for row in shown] == [row[2] for row in shown]
    accuracy = {each: known(known(service.app.live.snapshots[each].evaluation).quality).accuracy for each in both}
    for markup in pages.values():
        assert {f"{value:.3f}" for value in accuracy.values()} <= set(" ".join(rows(markup)[0]).split())
    gap = known(variants.gap("accuracy"))
    assert f"{gap.size * 100:.1f}" in rows(pages[reduced])[0][1]
    assert f'href="{reduced}?kind={VARIANT_LOST}#samples"' in pages[reduced]
    for kind, samples in ((VARIANT_LOST, variants.lost_samples), (VARIANT_GAINED, variants.gained_samples)):
        markup = (await page(service, f"/targets/{reduced}/samples?kind={kind}")).html
        assert {str(sample) for sample in samples} == set(re.findall(r">(\d{9})</a>", markup))


async def test_what_does_not_apply_is_not_there(service: Service) -> None:
    """A page has a section only of what its kind of model has; every link on it to a section leads to one."""
    anomaly, regression = "104-1-int8-testing", "108-1-int8-testing"
    for project in (projects.gmm(), projects.regression()):
        service.studio.add(project)
    service.content["projects"] = [service.entry(number) for number in (101, 104, 108)]
    await start(service, ONE, anomaly, regression)
    absent = {
        ONE: {"detection", "slices", "variants"},
        anomaly: {"classes", "confusion", "slices"},
        regression: {"confusion", "scores"},
    }
    for target_id, names in absent.items():
        shown = await page(service, f"/targets/{target_id}")
        ids = {attrs["id"] for _, attrs in shown.tags if "id" in attrs}
        assert names.isdisjoint(ids)
        assert {"history", "why", "model"} <= ids
        assert {link[1:] for link in shown.links if link.startswith("#")} <= ids


async def test_it_says_how_it_stands(service: Service) -> None:
    """The first sentence says whether the model is worse, and by how much; before anything is known, that."""
    await start(service)
    assert "It has not been pulled yet." in (await page(service, f"/targets/{ONE}")).text
    await pull(service, ONE)
    assert "nothing changed" in (await page(service, f"/targets/{ONE}")).text
    before = known(known(service.app.live.snapshots[ONE].evaluation).quality).accuracy
    await pull(service, ONE, step=1)
    now = known(known(service.app.live.snapshots[ONE].evaluation).quality).accuracy
    shown = await page(service, f"/targets/{ONE}")

    points = f"−{(before - now) * 100:.1f} points"
    assert f"Results are worse than those of the baseline: accuracy {before:.3f} → {now:.3f} ({points})." in shown.text
    studio = f"{service.url.removesuffix('/v1')}/studio/101/impulse/1/validation"
    assert studio in shown.links


async def test_its_alerts_are_events(service: Service) -> None:
    """Alerts of one cause are one card, with the way to the samples, as the API has the event; once they have ended the
    page says so and leads to what was; thresholds are listed of figures that the target has.
    """
    await start(service, ONE)
    await pull(service, ONE, step=1)
    event = json.loads((await service.get(f"/api/v1/events?q={ONE}"))[1])["data"]["events"][0]
    shown = await page(service, f"/targets/{ONE}")
    alerts = section(shown, "alerts")
    assert [event["id"]] == re.findall(r'<article class="event bad" id="event-([^"]+)"', alerts)
    assert f"{len(event['alerts'])} alerts of one cause" in alerts
    assert f'href="../targets/{ONE}/samples?kind=newly_wrong">{event["samples"][0]["count"]} samples' in alerts
    assert 'class="badge good"' not in shown.html  # nothing is green beside a model that is worse
    assert "EdgeImpulseAccuracyRegressed: accuracy" in section(shown, "history")
    assert "EdgeImpulseMapRegressed" not in section(shown, "history")

    await pull(service, ONE, step=2)
    alerts = section(await page(service, f"/targets/{ONE}"), "alerts")
    assert "<article" not in alerts
    assert f"{len(event['alerts'])} alerts of the last day have ended." in alerts
    past = unescape(re.findall(r'href="([^"]+)"', alerts)[0])
    assert event["id"] in (await page(service, urljoin("/targets/x", past))).html
