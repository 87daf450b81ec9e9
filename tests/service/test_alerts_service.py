"""Alerts of the running service: raised once, explained, never lost."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.alerts.states import AlertState, Phase
from monitor.errors import PullState
from monitor.live import alert_clock, discoveries
from monitor.pipeline.baselines import pin
from monitor.service.app import App
from monitor.simulator import Studio, projects, serve
from monitor.simulator.faults import Delay, Refuse, Status
from monitor.store import Store
from tests.notify.notify_parts import Inbox, Real
from tests.service_process import Service

pytestmark = pytest.mark.usefixtures("clock")

GESTURES, PUMP = "101-1-int8-testing", "104-1-int8-testing"
ACCURACY, F1, DRIFT = "EdgeImpulseAccuracyRegressed", "EdgeImpulseMeanF1Regressed", "EdgeImpulseAnomalyDrift"
FAILING, VANISHED, EXPIRING = "EdgeImpulsePullFailing", "EdgeImpulseResultsVanished", "EdgeImpulseKeyExpiring"


@pytest.fixture
def studio() -> Studio:
    """A classifier and a Gaussian mixture."""
    return Studio([projects.classification(sizes={"testing": 400}), projects.gmm()])


@pytest.fixture
async def hook() -> AsyncIterator[Inbox]:
    """A webhook."""
    async with Inbox() as inbox:
        yield inbox


@pytest.fixture
async def service(
    studio: Studio, tmp_path: Path, hook: Inbox, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Service]:
    """A service that tells the webhook, not started yet; its clock is looked at often."""
    monkeypatch.setattr(alert_clock, "TICK", 0.2)
    async with serve(studio) as url:
        service = Service(tmp_path / "monitor.yaml", studio, url)
        service.content["projects"] = [service.entry(101, labels={"team": "edge"})]
        service.content["http"]["external_url"] = "https://monitor.example"
        service.content["notify"] = [{"webhook": {"url": hook.url()}}]
        service.write()
        yield service
        await service.app.stop()


def state(service: Service, name: str = ACCURACY, subject: str = GESTURES) -> AlertState | None:
    """Where an alert stands, as it is shown."""
    return service.app.live.alerts.get((name, subject))


def threshold(service: Service, name: str = ACCURACY, subject: str = GESTURES) -> float | None:
    """The value that the alert's rule compares with, as `/metrics` shows it; None where it shows none."""
    shown = (
        sample
        for family in service.app.registry.collect()
        if family.name == "edge_impulse_alert_threshold"
        for sample in family.samples
    )
    project, impulse, variant, category = subject.split("-")
    wanted = {"alertname": name, "project_id": project, "impulse_id": impulse, "variant": variant, "category": category}
    return next((sample.value for sample in shown if wanted.items() <= sample.labels.items()), None)


async def reaches(service: Service, phase: Phase, name: str = ACCURACY, subject: str = GESTURES) -> AlertState:
    """Wait until an alert stands there."""

    def there() -> bool:
        found = state(service, name, subject)
        return found is not None and found.phase is phase

    await service.until(there, within=120)
    found = state(service, name, subject)
    assert found is not None
    return found


async def told(service: Service, hook: Inbox, count: int, *names: str) -> list[dict[str, Any]]:
    """What the webhook was told of these alerts, each transition once, as soon as there are so many."""

    def messages() -> list[dict[str, Any]]:
        taken = [alert for request in hook.requests if request.reply == 200 for alert in request.json["alerts"]]
        found = {alert["id"]: alert for alert in taken}
        return [message for message in found.values() if message["alert"] in (names or (ACCURACY,))]

    await service.until(lambda: len(messages()) >= count, within=120)
    return messages()


async def pulled(service: Service, target_id: str = GESTURES) -> None:
    """Wait for two more pulls."""
    before = service.app.live.snapshots[target_id].last_pull
    await service.until(lambda: service.app.live.snapshots[target_id].last_pull > before + 1)


async def test_regression_is_told_and_explained(service: Service, hook: Inbox) -> None:
    """A model that got worse fires once, with value, baseline, p-value and cause; one as good as before resolves it."""
    await service.app.start()
    await service.pulled(GESTURES)
    baseline = service.app.live.snapshots[GESTURES].evaluation.quality.accuracy  # type: ignore[union-attr]
    service.studio.generated(101).edit(quality=-1.5)
    firing = await reaches(service, Phase.FIRING)
    (message,) = await told(service, hook, 1)
    value = service.app.live.snapshots[GESTURES].evaluation.quality.accuracy  # type: ignore[union-attr]

    assert ("firing", GESTURES, "critical") == (message["status"], message["target"], message["severity"])
    assert {"team": "edge", "project_id": "101", "alertname": ACCURACY} == {
        name: message["labels"][name] for name in ("team", "project_id", "alertname")
    }
    assert f"https://monitor.example/targets/{GESTURES}" == message["url"]
    assert (value, baseline) == (message["details"]["value"], message["details"]["baseline"])
    description = message["annotations"]["description"]
    assert f"{baseline:.3f} → {value:.3f}" in description
    assert "400 samples both runs share" in description
    assert {f"{ACCURACY} firing": 1.0} == await alert_series(service, ACCURACY)
    await pulled(service)
    service.studio.generated(101).edit(quality=0.0)
    resolved = await reaches(service, Phase.RESOLVED)
    messages = await told(service, hook, 2)
    assert ["firing", "resolved"] == [each["status"] for each in messages]
    assert firing.starts_at == resolved.starts_at
    assert messages[0]["starts_at"] == messages[1]["starts_at"]
    assert {} == await alert_series(service, ACCURACY)


async def alert_series(service: Service, name: str) -> dict[str, float]:
    """The series of an alert, by name and state."""
    await asyncio.sleep(1.1)
    _, text = await service.get("/metrics")
    found = {}
    for line in text.splitlines():
        if line.startswith("edge_impulse_alerts{") and f'alertname="{name}"' in line:
            labels, _, value = line.partition("} ")
            standing = labels.partition('alertstate="')[2].partition('"')[0]
            found[f"{name} {standing}"] = float(value)
    return found


async def test_labels_that_change_during_a_pull(service: Service, hook: Inbox) -> None:
    """A pull that a reload meets is judged with the labels of afterwards: the alert goes to whom they name, and a rule
    for others does not fire.
    """
    rules: list[dict[str, Any]] = [
        {"alert": name, "metric": "accuracy", "below": 0.999} for name in ("Low", "LowAtEdge")
    ]
    rules[1]["match"] = {"team": "edge"}
    service.content["alerts"] = rules
    service.write()
    slow = service.studio.fail(Delay(60.0), "result/page", 101, after=1)
    await service.app.start()
    await service.until(lambda: slow.met)
    service.content["projects"] = [service.entry(101, labels={"team": "field"})]
    service.write()
    assert await service.app.reload()
    await reaches(service, Phase.FIRING, "Low")
    messages = await told(service, hook, 1, "Low", "LowAtEdge")

    assert [("Low", "field")] == [(message["alert"], message["labels"]["team"]) for message in messages]


async def test_unchanged_result_set_is_no_evidence(service: Service) -> None:
    """`for: 2 pulls` counts changed result sets: repeated pulls leave the alert pending, the next changed one lets it
    fire.
    """
    service.content["alerts"] = [{"alert": ACCURACY, "metric": "accuracy", "drop": 0.03, "for": "2 pulls"}]
    service.write()
    await service.app.start()
    await service.pulled(GESTURES)
    service.studio.generated(101).edit(quality=-1.5)
    await reaches(service, Phase.PENDING)
    await pulled(service)
    await pulled(service)
    assert Phase.PENDING is (await reaches(service, Phase.PENDING)).phase
    service.studio.generated(101).edit(quality=-1.6)
    fired = await reaches(service, Phase.FIRING)

    assert 2 == fired.held


async def test_failed_pulls_change_nothing(service: Service, hook: Inbox) -> None:
    """While pulls fail a firing alert stays as it is; the rule about pulling fires by itself, and resolves at the next
    good pull.
    """
    await service.app.start()
    await service.pulled(GESTURES)
    service.studio.generated(101).edit(quality=-1.5)
    firing = await reaches(service, Phase.FIRING)
    fault = service.studio.fail(Status(403), "result/page", 101, times=None)
    failing = await reaches(service, Phase.FIRING, FAILING)

    assert firing == state(service)
    assert "HTTP 403" in failing.annotations["description"]
    service.studio.heal(fault)
    await reaches(service, Phase.RESOLVED, FAILING)
    assert firing == state(service)
    messages = await told(service, hook, 3, ACCURACY, FAILING)
    assert [(ACCURACY, "firing"), (FAILING, "firing"), (FAILING, "resolved")] == [
        (each["alert"], each["status"]) for each in messages
    ]


async def test_results_vanished(service: Service) -> None:
    """Results that are gone for long enough fire, without an accuracy of 0 and without a failing pull; they resolve
    when they are back.
    """
    service.content["alerts"] = [{"alert": VANISHED, "for": "1s"}]
    service.write()
    await service.app.start()
    await service.pulled(GESTURES)
    service.studio.fail(
        Refuse("No model testing results found, run 'startClassifyJob' first"), "result/page", 101, times=None
    )
    await reaches(service, Phase.PENDING, VANISHED)
    await reaches(service, Phase.FIRING, VANISHED)

    assert PullState.NO_RESULTS is service.app.live.snapshots[GESTURES].state
    assert (state(service, FAILING) or AlertState(FAILING, GESTURES, "")).phase is Phase.INACTIVE
    assert (state(service) or AlertState(ACCURACY, GESTURES, "")).phase is Phase.INACTIVE
    service.studio.heal()
    await reaches(service, Phase.RESOLVED, VANISHED)


async def test_project_whose_discovery_fails(service: Service) -> None:
    """A wrong key fires once for the project, although no target is known, and resolves once the key works."""
    key = service.content["projects"][0]["api_key"]
    service.content["projects"][0]["api_key"] = "ei_wrong"
    service.write()
    await service.app.start()
    firing = await reaches(service, Phase.FIRING, FAILING, "project-101")

    assert {"project_id": "101", "team": "edge"} == {name: firing.labels[name] for name in ("project_id", "team")}
    assert {f"{FAILING} firing": 1.0} == await alert_series(service, FAILING)
    service.content["projects"][0]["api_key"] = key
    service.write()
    assert await service.app.reload()
    await reaches(service, Phase.RESOLVED, FAILING, "project-101")


async def fails_later(service: Service, subject: str, seconds: float) -> bool:
    """Whether what fails since then is said to fail by a service that is started as much later, and stopped again."""
    service.app = App(service.path, clock=lambda: time.time() + seconds)
    await service.app.start()
    live, watchlist = service.app.live, service.app.watchlist
    if subject == GESTURES:
        await service.until(lambda: watchlist.pull_now(subject))
    await service.until(lambda: (found := live.subject(subject)) is not None and found.health.state is PullState.AUTH)
    await asyncio.sleep(3 * alert_clock.TICK)
    await service.app.stop()
    found = state(service, FAILING, subject)
    return found is not None and found.phase is Phase.FIRING


@pytest.mark.parametrize(("key", "subject"), [("", GESTURES), ("ei_wrong", "project-101")])
async def test_failures_count_over_restarts(service: Service, key: str, subject: str) -> None:
    """What never had a good pull, or discovery, is said to fail three intervals after it was first watched, restarts or
    not.
    """
    project = service.content["projects"][0]
    service.content |= {"schedule": {"every": "1h"}, "projects": [{**project, "api_key": key or project["api_key"]}]}
    service.write()
    service.studio.fail(Status(403), "result/page", 101, times=None)

    assert [False, False, False, True] == [
        await fails_later(service, subject, hours * 3600) for hours in (0, 1, 2.5, 3.1)
    ]


async def test_what_comes_back_counts_anew(service: Service) -> None:
    """A project that was taken out of the configuration and comes back later is not said to fail since before."""
    project = {**service.content["projects"][0], "api_key": "ei_wrong"}
    service.content |= {"schedule": {"every": "1h"}, "projects": [project]}
    service.write()
    assert not await fails_later(service, "project-101", 0)
    service.app = App(service.path)
    await service.app.start()
    service.content["projects"] = []
    service.write()
    assert await service.app.reload()
    await service.app.stop()
    service.content["projects"] = [project]
    service.write()

    assert not await fails_later(service, "project-101", 4 * 3600)


async def test_downtime_is_no_endless_pull(service: Service) -> None:
    """A target that was pulled well before the service was down for days does not fail before a pull did."""
    service.content["schedule"] = {"every": "1h"}
    service.write()
    await service.app.start()
    await service.pulled(GESTURES)
    await service.app.stop()
    service.studio.fail(Delay(3600.0), "result/page", 101, times=None)
    service.content["stale_after"] = "30d"
    service.write()
    service.app = App(service.path, clock=lambda: time.time() + 5 * 86400)
    await service.app.start()
    await service.until(lambda: GESTURES in service.app.live.snapshots and service.app.watchlist.pull_now(GESTURES))
    await asyncio.sleep(3 * alert_clock.TICK)

    assert (state(service, FAILING) or AlertState(FAILING, GESTURES, "")).phase is Phase.INACTIVE
    service.studio.heal()


async def test_key_that_expires(service: Service) -> None:
    """A key that expires within a fortnight fires once per project."""
    service.studio.projects[101].expires = time.time() + 5 * 86400
    await service.app.start()
    firing = await reaches(service, Phase.FIRING, EXPIRING, "project-101")

    assert "edge" == firing.labels["team"]
    assert {("project-101", Phase.FIRING)} == {
        (subject, each.phase) for (name, subject), each in service.app.live.alerts.items() if name == EXPIRING
    }


async def test_first_of_several_keys(service: Service) -> None:
    """Where entries of one project have keys of their own, the alert and the metric are about the one that expires
    first.
    """
    project = service.studio.projects[101]
    project.expires = time.time() + 5 * 86400
    service.content["projects"] = [service.entry(101, category=name) for name in ("testing", "training")]
    service.write()
    await service.app.start()
    await reaches(service, Phase.FIRING, EXPIRING, "project-101")
    first, second = service.app.live.entries.values()
    assert first.found is not None
    assert second.found is not None
    first.found, later = replace(first.found, key_expires=time.time() + 400 * 86400), second.found.key_expires
    await asyncio.sleep(0.5)

    assert Phase.FIRING is (await reaches(service, Phase.FIRING, EXPIRING, "project-101")).phase
    assert later == service.app.live.projects[101].key_expires


async def test_target_that_was_found_but_is_not_watched_yet(
    service: Service, hook: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the store takes its time to keep a discovery, nothing ends because its targets are not watched yet."""
    await service.app.start()
    await service.pulled(GESTURES)
    service.studio.generated(101).edit(quality=-1.5)
    firing = await reaches(service, Phase.FIRING)
    keep, slow = discoveries.keep, asyncio.Event()

    async def slowly(*args: Any) -> None:
        slow.set()
        await asyncio.sleep(1.0)  # five looks at the clock
        await keep(*args)

    monkeypatch.setattr(discoveries, "keep", slowly)
    # another entry, of which nothing is known
    service.content["projects"] = [service.entry(101, labels={"team": "edge"}, impulses=[1])]
    service.write()
    assert await service.app.reload()
    await asyncio.wait_for(slow.wait(), 120)
    assert GESTURES not in service.app.live.targets
    await service.until(lambda: GESTURES in service.app.live.targets)
    await pulled(service)

    assert firing == state(service)
    assert 1 == len(await told(service, hook, 1))


async def test_drift_of_new_samples(service: Service, hook: Inbox) -> None:
    """New samples that score otherwise fire the drift alert, which names the block and says that the data changed."""
    service.studio.generated(104).edit(shift=2.0)
    service.content["projects"] = [service.entry(104, group_by="none")]
    service.write()
    await service.app.start()
    await service.pulled(PUMP)
    service.studio.generated(104).edit(added=40)
    await reaches(service, Phase.FIRING, DRIFT, PUMP)
    (message,) = await told(service, hook, 1, DRIFT)

    assert "40 new samples" in message["annotations"]["description"]


@pytest.mark.parametrize("how", ["rule", "target"])
async def test_what_was_removed_resolves(service: Service, hook: Inbox, how: str) -> None:
    """An alert whose rule or target leaves the configuration resolves, says why, and is told so."""
    await service.app.start()
    await service.pulled(GESTURES)
    service.studio.generated(101).edit(quality=-1.5)
    await reaches(service, Phase.FIRING)
    assert 0.03 == threshold(service)
    if how == "rule":
        service.content["defaults"] = "off"
    else:
        service.content["projects"] = [service.entry(104)]
    service.write()
    assert await service.app.reload()
    await reaches(service, Phase.RESOLVED)
    messages = await told(service, hook, 2)

    assert threshold(service) is None
    assert ["firing", "resolved"] == [each["status"] for each in messages]
    assert ("rule" if how == "rule" else "no longer watched") in messages[1]["annotations"]["description"]


async def test_changed_rule_starts_anew(service: Service, hook: Inbox) -> None:
    """A rule whose text changed ends its alert and judges the same result set again: here it fires once more, as
    another alert.
    """
    await service.app.start()
    await service.pulled(GESTURES)
    service.studio.generated(101).edit(quality=-1.5)
    first = await reaches(service, Phase.FIRING)
    service.content["alerts"] = [{"alert": ACCURACY, "metric": "accuracy", "drop": 0.02}]
    service.write()
    assert await service.app.reload()
    messages = await told(service, hook, 3)
    second = await reaches(service, Phase.FIRING)

    assert 0.02 == threshold(service)

    assert ["firing", "resolved", "firing"] == [each["status"] for each in messages]
    assert (second.starts_at or 0) > (first.starts_at or 0)
    await pulled(service)
    assert 3 == len(await told(service, hook, 3))


async def test_pinning_the_new_level_resolves(service: Service) -> None:
    """Whoever accepts a model as it is pins it as the baseline: the alert resolves with the same result set."""
    await service.app.start()
    await service.pulled(GESTURES)
    service.studio.generated(101).edit(quality=-1.5)
    await reaches(service, Phase.FIRING)
    async with Store(f"sqlite:///{service.path.parent}/impulse-monitor.db") as store:
        last = await store.last_good(GESTURES)
        assert last is not None
        await pin(store, last, "a test", time.time())
    resolved = await reaches(service, Phase.RESOLVED)

    assert resolved.ends_at is not None


async def test_restart_neither_forgets_nor_repeats(service: Service, hook: Inbox) -> None:
    """After a restart a firing alert is shown before anything was pulled, keeps its start, and is not told again."""
    await service.app.start()
    await service.pulled(GESTURES)
    service.studio.generated(101).edit(quality=-1.5)
    firing = await reaches(service, Phase.FIRING)
    await told(service, hook, 1)
    await service.restart()
    assert firing == state(service)
    await service.pulled(GESTURES)
    await pulled(service)

    assert firing == state(service)
    assert 1 == len(await told(service, hook, 1))


async def test_receiver_that_was_away(service: Service, hook: Inbox) -> None:
    """What happened while a receiver was down for more than ten intervals arrives when it is back,
    in order, each once.
    """
    service.content["alerts"] = [{"alert": ACCURACY, "metric": "accuracy", "drop": 0.03, "significance": "off"}]
    service.write()
    await service.app.start()
    await service.pulled(GESTURES)
    first = service.app.live.snapshots[GESTURES].last_pull
    await hook.down()
    for _ in range(2):
        for quality, phase in ((-1.5, Phase.FIRING), (0.0, Phase.RESOLVED)):
            service.studio.generated(101).edit(quality=quality)
            await reaches(service, phase)
    await service.until(lambda: service.app.live.snapshots[GESTURES].last_pull > first + 10, within=120)
    assert [] == hook.requests
    await hook.up()
    messages = await told(service, hook, 4)

    assert ["firing", "resolved"] * 2 == [each["status"] for each in messages]
    assert 2 == len({each["starts_at"] for each in messages})


async def test_no_judging_without_a_store(service: Service, hook: Inbox) -> None:
    """While the store cannot be used nothing is judged; afterwards the regression of meanwhile fires."""
    path = service.path.parent / "impulse-monitor.db"
    await service.app.start()
    await service.pulled(GESTURES)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    service.studio.generated(101).edit(quality=-1.5)
    await service.until(lambda: not service.app.ready, within=120)
    assert (state(service) or AlertState(ACCURACY, GESTURES, "")).phase is Phase.INACTIVE
    other.execute("ROLLBACK")
    other.close()
    await reaches(service, Phase.FIRING)
    assert 1 == len(await told(service, hook, 1))


@pytest.mark.acceptance
@pytest.mark.real_time
async def test_through_the_real_alertmanager(
    service: Service, hook: Inbox, tmp_path: Path, program: Callable[[str], str]
) -> None:
    """A regression arrives once, with its cause, at a webhook behind the real Alertmanager, and resolves when the model
    recovers.
    """
    real = Real(program("prometheus-alertmanager"), tmp_path, hook)
    service.content["notify"] = [{"alertmanager": {"url": real.url}}]
    service.content["defaults"] = "off"
    service.content["alerts"] = [{"alert": ACCURACY, "metric": "accuracy", "drop": 0.03}]
    service.write()
    async with real.running():
        await service.app.start()
        await service.pulled(GESTURES)
        service.studio.generated(101).edit(quality=-1.5)
        await service.until(lambda: real.told == [("firing", "101")], within=120)
        (alert,) = hook.requests[0].json["alerts"]
        for _ in range(3):
            await pulled(service)
        assert [("firing", "101")] == real.told
        service.studio.generated(101).edit(quality=0.0)
        await service.until(lambda: len(real.told) > 1, within=120)

    assert [("firing", "101"), ("resolved", "101")] == real.told
    assert "on the 400 samples both runs share" in alert["annotations"]["description"]
    assert {"alertname": ACCURACY, "severity": "critical", "team": "edge", "variant": "int8"} == {
        name: alert["labels"][name] for name in ("alertname", "severity", "team", "variant")
    }
    assert f"https://monitor.example/targets/{GESTURES}" == alert["generatorURL"]


@pytest.mark.acceptance
def test_killed_at_any_moment(program: Callable[[str], str]) -> None:
    """`kill -9` while pending, firing and resolving loses no transition and starts no second alert: a webhook behind
    the real Alertmanager is told of each once. The command itself kills 20 times in each."""
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks",
        "alert_kill",
        "--times",
        "1",
        "--alertmanager",
        program("prometheus-alertmanager"),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=280, check=False, cwd=Path(__file__).parents[2]
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("3 kills, 6 messages, 0 problems")
