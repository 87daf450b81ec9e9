"""One retraining is one event, through the simulator, the pipeline and the outbox to a webhook."""

from __future__ import annotations

from collections.abc import AsyncIterator, Set
from pathlib import Path
from typing import Any

import pytest

from monitor.alerts.states import AlertState, Phase
from monitor.live import alert_clock
from monitor.simulator import Studio, demo_studio, projects, serve
from monitor.simulator.project import Impulse
from tests.notify.notify_parts import Inbox
from tests.service_process import Service

pytestmark = pytest.mark.usefixtures("clock")

INT8, FLOAT32 = "101-1-int8-testing", "101-1-float32-testing"
FIGURES = ("EdgeImpulseAccuracyRegressed", "EdgeImpulseMeanF1Regressed")
EVENT = {(name, target) for name in FIGURES for target in (INT8, FLOAT32)}


@pytest.fixture
async def hook() -> AsyncIterator[Inbox]:
    """A webhook."""
    async with Inbox() as inbox:
        yield inbox


@pytest.fixture
async def service(tmp_path: Path, hook: Inbox, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """A service that watches two variants of a classifier and tells the webhook, not started yet."""
    monkeypatch.setattr(alert_clock, "TICK", 0.2)
    both = (Impulse(1, "spectral", variants=projects.BOTH),)
    studio = Studio([projects.classification(sizes={"testing": 400}, impulses=both)])
    async with serve(studio) as url:
        service = Service(tmp_path / "monitor.yaml", studio, url)
        service.content["projects"] = [service.entry(101, variants=["int8", "float32"])]
        service.content["notify"] = [{"webhook": {"url": hook.url()}}]
        service.write()
        yield service
        await service.app.stop()


async def event(
    service: Service, phase: Phase = Phase.FIRING, expected: Set[tuple[str, str]] = EVENT
) -> dict[tuple[str, str], AlertState]:
    """The alerts of the event, once all stand there."""

    def there() -> bool:
        alerts = service.app.live.alerts
        return all(key in alerts and alerts[key].phase is phase for key in expected)

    await service.until(there, within=120)
    return {key: state for key, state in service.app.live.alerts.items() if key in expected}


async def told(service: Service, hook: Inbox, status: str) -> list[dict[str, Any]]:
    """The messages about the event, once the webhook knows of all four alerts."""

    def messages() -> list[dict[str, Any]]:
        taken = [request.json for request in hook.requests]
        return [each for each in taken if each["status"] == status and each["alert"] in FIGURES]

    await service.until(lambda: sum(len(each["alerts"]) for each in messages()) >= len(EVENT), within=120)
    return messages()


async def test_a_retraining_of_two_variants_is_one_event(service: Service, hook: Inbox) -> None:
    """Four alerts, of two figures of two variants, have one cause and arrive in one message; the next training is
    another event.
    """
    await service.app.start()
    await service.pulled(INT8, FLOAT32)
    service.studio.generated(101).edit(quality=-1.5, training=1, trained_step=1)
    states = await event(service)
    (message,) = await told(service, hook, "firing")
    (cause,) = {state.labels["cause_id"] for state in states.values()}

    assert cause.startswith("training-")
    assert cause == message["cause_id"]
    assert EVENT == {(each["alert"], each["target"]) for each in message["alerts"]}

    service.studio.generated(101).edit(quality=0.0, training=0, trained_step=2)
    await event(service, Phase.RESOLVED)
    service.studio.generated(101).edit(quality=-1.6, training=3, trained_step=3)
    (later,) = {state.cause_id for state in (await event(service)).values()}

    assert cause != later


async def test_the_demos_retraining_is_one_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's model that regresses in two variants does so in one training: four alerts with one cause."""
    monkeypatch.setattr(alert_clock, "TICK", 0.2)
    studio = demo_studio()
    studio.timeline.pin(0)
    targets = ("103-1-int8-testing", "103-1-float32-testing")
    expected = {(name, target) for name in FIGURES for target in targets}
    async with serve(studio) as url:
        service = Service(tmp_path / "monitor.yaml", studio, url)
        service.content["projects"] = [service.entry(103, variants=["int8", "float32"], group_by="none")]
        service.write()
        await service.app.start()
        try:
            await service.pulled(*targets)
            for step in range(11, 18):
                studio.timeline.pin(step)
                seen = {target: service.app.live.snapshots[target].last_pull for target in targets}
                await service.until(
                    lambda seen=seen: all(service.app.live.snapshots[key].last_pull > at for key, at in seen.items())
                )
            causes = {state.cause_id for state in (await event(service, expected=expected)).values()}
        finally:
            await service.app.stop()

    assert len(causes) == 1
    assert causes.pop().startswith("training-")


async def test_relabelled_samples_are_one_event(service: Service) -> None:
    """Samples that get other labels have one cause in both variants."""
    await service.app.start()
    await service.pulled(INT8, FLOAT32)
    service.studio.generated(101).edit(relabelled=0.2)
    (cause,) = {state.cause_id for state in (await event(service)).values()}

    assert cause.startswith("data-")


async def test_a_restart_keeps_cause_and_severity(service: Service, hook: Inbox) -> None:
    """An alert that lasts over a restart keeps the cause and the severity that it began with, also when another
    training makes it worse; it resolves with them.
    """
    await service.app.start()
    await service.pulled(INT8, FLOAT32)
    service.studio.generated(101).edit(quality=-1.5, training=1, trained_step=1)
    before = await event(service)
    await told(service, hook, "firing")
    await service.restart()
    service.studio.generated(101).edit(quality=-2.5, training=4, trained_step=4)
    await service.until(lambda: all(service.app.live.alerts[key].details != before[key].details for key in EVENT))
    after = await event(service)
    service.studio.generated(101).edit(quality=0.0, training=0, trained_step=2)
    ended = await told(service, hook, "resolved")

    assert {key: state.labels for key, state in before.items()} == {key: state.labels for key, state in after.items()}
    assert {tuple(sorted(state.labels.items())) for state in before.values()} == {
        tuple(sorted(each["labels"].items())) for message in ended for each in message["alerts"]
    }
