"""What the real Alertmanager, with the shipped configuration, makes of an event of many alerts. In real time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from monitor.alerts.states import Transition
from monitor.notify import Dispatcher
from tests.notify.notify_parts import (
    Counts,
    Inbox,
    Real,
    event,
    notify_entry,
    numbered,
    outbox,
    put,
    shipped_config,
)
from tests.notify.test_notify_alertmanager_real import PACE
from tests.waiting import until

WAITS = {"group_wait": "3s", "group_interval": "2s"}
"""Instead of half a minute and five: longer than it takes to send forty alerts."""

pytestmark = pytest.mark.acceptance


def begun(*alerts: Transition) -> list[Transition]:
    """They, as of now: of one that began longer ago than its group waits, Alertmanager tells at once."""
    return [replace(each, starts_at=time.time()) for each in alerts]


async def notified(folder: Path, program: Callable[[str], str], alerts: Iterable[Transition], last: str) -> Inbox:
    """The webhook behind an Alertmanager that was sent these alerts one by one, once it heard of the `last` project,
    which it does after all others.
    """
    alerts = list(alerts)
    marker = begun(replace(numbered(int(last)), labels={**numbered(int(last)).labels, "cause_id": "target-last"}))
    async with Inbox() as hook:
        real = Real(program("prometheus-alertmanager"), folder, hook, shipped_config(hook.url(), WAITS))
        receiver = notify_entry("alertmanager", "am", url=SecretStr(real.url))
        async with real.running(), outbox(folder) as store:
            await put(store, "am", *alerts)
            async with Dispatcher(store, [receiver], Counts(), lambda: alerts, policy=PACE):
                await until(lambda: hook.requests)
                await put(store, "am", *marker)  # an interval later anything else would have been told, too
                await until(lambda: ("firing", last) in real.told)
    return hook


def named(hook: Inbox, last: str) -> list[list[str]]:
    """The targets and figures that each notification lists, but for the `last` one's."""
    listed = [request.json["alerts"] for request in hook.requests]
    return [
        sorted(f"{each['labels']['variant']} {each['labels']['alertname']}" for each in alerts)
        for alerts in listed
        if alerts[0]["labels"]["project_id"] != last
    ]


async def test_forty_alerts_are_one_notification(tmp_path: Path, program: Callable[[str], str]) -> None:
    """Forty alerts of one training, four figures of ten variants, arrive as one notification with their cause."""
    alerts = begun(*(event(number) for number in range(40)))
    hook = await notified(tmp_path, program, alerts, "77")
    first = hook.requests[0].json

    assert [sorted(f"{each.labels['variant']} {each.alertname}" for each in alerts)] == named(hook, "77")
    assert {"cause_id": "training-5ca1ab1e5ca1ab1e"} == first["groupLabels"]
    assert "training-5ca1ab1e5ca1ab1e" == first["commonLabels"]["cause_id"]


async def test_a_critical_alert_stands_for_its_event(tmp_path: Path, program: Callable[[str], str]) -> None:
    """Warnings are muted under a critical alert of their own event; not those of another event, and not those of a
    target's own cause, which may be anything.
    """
    own = "target-0123456789abcdef"
    alerts = begun(
        *(event(number) for number in range(8)),
        event(8, severity="critical"),
        event(12, cause="data-0badc0de0badc0de"),
        event(16, cause=own, severity="critical"),
        event(17, cause=own),
    )
    hook = await notified(tmp_path, program, alerts, "77")

    assert [
        ["v2 EdgeImpulseFigure0"],
        ["v3 EdgeImpulseFigure0"],
        ["v4 EdgeImpulseFigure0"],
        ["v4 EdgeImpulseFigure1"],
    ] == sorted(named(hook, "77"))


async def test_alerts_without_a_cause(tmp_path: Path, program: Callable[[str], str]) -> None:
    """Alerts without a cause, such as those of Prometheus about the monitor, are grouped by name, and none mutes
    another.
    """
    bare = [replace(each, labels={**each.labels, "cause_id": ""}) for each in (event(0), event(5, severity="critical"))]
    hook = await notified(tmp_path, program, begun(*bare), "77")

    assert [["v0 EdgeImpulseFigure0"], ["v1 EdgeImpulseFigure1"]] == sorted(named(hook, "77"))
