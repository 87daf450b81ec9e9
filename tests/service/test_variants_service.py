"""Two variants of an impulse in the running service: which one loses, as alert, series, API and page say it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from monitor.alerts.states import AlertState, Phase
from monitor.live import alert_clock
from monitor.simulator import Studio, projects, serve
from monitor.simulator.project import FLOAT32, INT8, Impulse, Variant
from tests.factories import known
from tests.notify.notify_parts import Inbox
from tests.service_process import Service

pytestmark = pytest.mark.usefixtures("clock")

WORSE, REFERENCE = "101-1-int8-testing", "101-1-float32-testing"
LOSS = "EdgeImpulseQuantizationLoss"


@pytest.fixture
async def hook() -> AsyncIterator[Inbox]:
    """A webhook."""
    async with Inbox() as inbox:
        yield inbox


@pytest.fixture
async def service(tmp_path: Path, hook: Inbox, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """A service that watches int8 and float32 of an impulse, not started yet."""
    monkeypatch.setattr(alert_clock, "TICK", 0.2)
    impulse = Impulse(variants=(INT8, FLOAT32))
    studio = Studio([projects.classification(impulses=[impulse], sizes={"testing": 400})])
    async with serve(studio) as url:
        service = Service(tmp_path / "monitor.yaml", studio, url)
        service.content["notify"] = [{"webhook": {"url": hook.url()}}]
        service.content["schedule"] = {"every": "4s"}
        service.write()
        yield service
        await service.app.stop()


def alert(service: Service, target_id: str) -> AlertState | None:
    """Where the alert of a target stands."""
    return service.app.live.alerts.get((LOSS, target_id))


def phase(service: Service, target_id: str) -> Phase | None:
    """The same in a word."""
    state = alert(service, target_id)
    return state.phase if state is not None else None


async def gaps(service: Service) -> dict[str, float]:
    """The exported gaps by target and figure."""
    found = {}
    for family in service.app.registry.collect():
        for sample in family.samples:
            if sample.name == "edge_impulse_variant_gap_ratio":
                labels = sample.labels
                found[f"{labels['variant']} {labels['metric']} {labels['against']}"] = sample.value
    return found


async def differing(service: Service, kind: str) -> list[dict[str, Any]]:
    """A list of the samples on which the two differ, page by page, as the API has it; as CSV it has as many rows."""
    rows: list[dict[str, Any]] = []
    after = ""
    while after is not None:
        path = f"/api/v1/targets/{WORSE}/samples?kind={kind}&limit=7&after={after}"
        data = json.loads((await service.get(path))[1])["data"]
        assert (data["against"], data["baseline"] != data["current"]) == ("float32", True)
        rows += data["samples"]
        after = data["next"]
    text = (await service.get(f"/api/v1/targets/{WORSE}/samples?kind={kind}&limit=1000&format=csv"))[1]
    table = list(csv.DictReader(io.StringIO(text)))
    assert [(str(row["id"]), row["prediction_reference"]) for row in rows] == [
        (row["id"], row["prediction_reference"]) for row in table
    ]
    return rows


async def test_only_the_variant_that_loses_has_the_alert(service: Service, hook: Inbox) -> None:
    """Where int8 becomes worse its alert fires, once, and says by how much, against what, and on how many samples;
    float32 has none; the alert resolves once int8 is as good again.
    """
    await service.app.start()
    await service.pulled(WORSE, REFERENCE)
    await service.until(lambda: phase(service, WORSE) is not None)
    before = phase(service, WORSE)
    project = service.studio.generated(101)
    project.impulses = (Impulse(variants=(Variant("int8", quality=-2.0, jitter=0.5), FLOAT32)),)
    await service.until(lambda: phase(service, WORSE) is Phase.FIRING, within=120)
    snapshot = service.app.live.snapshots[WORSE]
    variants = known(known(snapshot.comparison).variants)
    gap = max(variants.gaps, key=lambda each: each.size)
    status, page = await service.get(f"/targets/{WORSE}")
    reply = json.loads((await service.get("/api/v1/targets"))[1])
    shown = {row["id"]: row["comparison"]["variants"] for row in reply["data"]["targets"]}
    exported = await gaps(service)
    lists = {kind: await differing(service, kind) for kind in ("variant_lost", "variant_gained")}
    section = (await service.get(f"/targets/{WORSE}/samples?kind=variant_lost"))[1]

    def told(status: str) -> list[dict[str, object]]:
        messages = {request.key: request.json for request in hook.requests if request.reply == 200}.values()
        alerts = [alert for message in messages for alert in message["alerts"]]  # one event is one message
        return [alert for alert in alerts if alert["alert"] == LOSS and alert["status"] == status]

    await service.until(lambda: told("firing"), within=120)
    project.impulses = (Impulse(variants=(INT8, FLOAT32)),)
    await service.until(lambda: phase(service, WORSE) is Phase.RESOLVED, within=120)
    await service.until(lambda: told("resolved"), within=120)
    (message,) = told("firing")

    assert before is Phase.INACTIVE
    assert gap.size > 0.1
    assert gap.pvalue <= 0.01
    assert [alert["target"] for alert in (message, *told("resolved"))] == [WORSE, WORSE]
    assert "float32" in json.dumps(message)
    assert f"{gap.size * 100:.1f} points" in json.dumps(message)
    assert exported.keys() == {"int8 accuracy float32", "int8 mean_f1 float32"}
    assert exported[f"int8 {gap.metric} float32"] == pytest.approx(gap.size)
    assert shown[WORSE]["lost"] == variants.lost > variants.gained
    assert shown[REFERENCE] is None
    assert status == 200
    assert "Against float32 on the same 400 samples" in page
    assert phase(service, REFERENCE) is Phase.INACTIVE
    for kind, samples in (("variant_lost", variants.lost), ("variant_gained", variants.gained)):
        assert len({row["id"] for row in lists[kind]}) == samples
        wrong, right = ("prediction", "prediction_reference")[:: 1 if kind == "variant_lost" else -1]
        assert all(row[wrong] != row["label"] == row[right] == row["label_reference"] for row in lists[kind])
    assert f"{variants.lost} samples that only the reference variant gets right" in section
    assert str(lists["variant_lost"][0]["id"]) in section
    assert "?kind=variant_lost#samples" in page
    assert (await service.get(f"/api/v1/targets/{REFERENCE}/samples?kind=variant_lost"))[0] == 200
    assert "not compared with a reference variant" in (await service.get(f"/targets/{REFERENCE}?kind=variant_lost"))[1]
