"""What Alertmanager is sent, and what the real one makes of it."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from monitor.alerts.states import Transition
from monitor.config import NotifyConfig
from monitor.notify import Dispatcher
from tests.notify.notify_parts import (
    DROP,
    FIRING,
    HANG,
    QUICK,
    Counts,
    Inbox,
    drained,
    notify_entry,
    numbered,
    outbox,
    put,
    resolved,
)
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("clock")

NOW = FIRING.starts_at + 3600
ONCE = replace(QUICK, resend_interval=3600.0)


def alertmanager(url: str, name: str = "am") -> NotifyConfig:
    """A receiver."""
    return notify_entry("alertmanager", name, url=SecretStr(url))


def hour_later() -> float:
    """An hour after the alert began."""
    return NOW


async def test_wire(tmp_path: Path) -> None:
    """Each transition is a request of its own, with a constant start, an end, and no empty labels."""
    alert = replace(FIRING, labels={**FIRING.labels, "site": ""})
    async with Inbox() as inbox, outbox(tmp_path) as store:
        await put(store, "am", alert, replace(resolved(alert), generator_url=""))
        async with Dispatcher(store, [alertmanager(inbox.url("/prefix/"))], Counts(), policy=ONCE, clock=hour_later):
            await drained(store, "am")
    first, second = inbox.requests

    assert [("POST", "/prefix/api/v2/alerts", "application/json")] * 2 == [
        (request.method, request.path, request.headers["Content-Type"]) for request in inbox.requests
    ]
    assert [
        {
            "labels": FIRING.labels,
            "annotations": FIRING.annotations,
            "startsAt": "2026-03-01T08:15:02.125000Z",
            "endsAt": "2026-03-01T09:19:02.125000Z",
            "generatorURL": FIRING.generator_url,
        }
    ] == first.json
    assert [
        {
            "labels": FIRING.labels,
            "annotations": FIRING.annotations,
            "startsAt": "2026-03-01T08:15:02.125000Z",
            "endsAt": "2026-03-01T08:25:02.125000Z",
        }
    ] == second.json


async def test_clock_set_back(tmp_path: Path) -> None:
    """No alert ends before it starts, whatever the clock does: Alertmanager would refuse it."""
    async with Inbox() as inbox, outbox(tmp_path) as store:
        await put(store, "am", FIRING)
        async with Dispatcher(
            store, [alertmanager(inbox.url(""))], Counts(), policy=ONCE, clock=lambda: FIRING.starts_at - 3600
        ):
            await drained(store, "am")
    (alert,) = inbox.requests[0].json

    assert alert["startsAt"] == alert["endsAt"]


async def test_resend(tmp_path: Path) -> None:
    """What fires is sent again and again, and what resolved within a quarter of an hour; nothing older."""
    alerts = (numbered(1), resolved(numbered(2), NOW - 899), resolved(numbered(3), NOW - 901))
    counts = Counts()
    async with (
        Inbox() as inbox,
        outbox(tmp_path) as store,
        Dispatcher(store, [alertmanager(inbox.url(""))], counts, lambda: alerts, policy=QUICK, clock=hour_later),
    ):
        await until(lambda: len(inbox.requests) >= 4)
    at = [request.at for request in inbox.requests]

    assert {("1", "2")} == {
        tuple(alert["labels"]["project_id"] for alert in request.json) for request in inbox.requests
    }
    assert all(
        later - earlier == pytest.approx(QUICK.resend_interval, abs=0.1) for earlier, later in itertools.pairwise(at)
    )
    assert 1 == len({request.json[0]["startsAt"] for request in inbox.requests})
    assert {("am", "delivered")} == set(counts.outcomes)


@pytest.mark.parametrize("alerts", [(), (resolved(FIRING, NOW - 901),)])
async def test_nothing_to_resend(tmp_path: Path, alerts: tuple[Transition, ...]) -> None:
    """Without current alerts nothing is sent, nor counted as sent."""
    counts = Counts()
    async with (
        Inbox() as inbox,
        outbox(tmp_path) as store,
        Dispatcher(store, [alertmanager(inbox.url(""))], counts, lambda: alerts, policy=QUICK, clock=hour_later),
    ):
        await asyncio.sleep(3 * QUICK.resend_interval)

    assert ([], {}) == (inbox.requests, counts.outcomes)


async def test_one_bad_alert(tmp_path: Path) -> None:
    """Of a batch that is refused every alert but the bad one arrives, each time; the bad one is logged once and counted
    each time.
    """
    alerts, counts = [numbered(number) for number in range(150)], Counts()

    def picky(body: Any) -> int:
        return 400 if any(alert["labels"]["project_id"] == "70" for alert in body) else 200

    async with Inbox(reply=picky) as inbox, outbox(tmp_path) as store:
        with capture_logs() as logs:
            async with Dispatcher(
                store, [alertmanager(inbox.url(""))], counts, lambda: alerts, policy=QUICK, clock=hour_later
            ):
                await until(lambda: counts.outcomes["am", "rejected"] >= 3)
    taken = [
        alert["labels"]["project_id"] for request in inbox.requests if request.reply == 200 for alert in request.json
    ]
    first_round = taken[:149]

    assert {str(number) for number in range(150) if number != 70} == set(first_round)
    assert [64, 64] == [len(request.json) for request in inbox.requests[:2]]
    assert ["101-1-int8-testing".replace("101", "70")] == [
        line["target"] for line in logs if line["event"] == "notify.rejected"
    ]


async def test_resend_that_fails(tmp_path: Path) -> None:
    """A failed resend is counted and repeated after a pause, not a minute later."""
    counts = Counts()
    async with (
        Inbox([503, 503]) as inbox,
        outbox(tmp_path) as store,
        Dispatcher(store, [alertmanager(inbox.url(""))], counts, lambda: (FIRING,), policy=ONCE),
    ):
        await until(lambda: counts.outcomes["am", "delivered"])

    assert {("am", "failed"): 2, ("am", "delivered"): 1} == counts.outcomes


async def test_resend_tells_nothing_out_of_order(tmp_path: Path) -> None:
    """While messages wait nothing is sent again: an alert that is known to have ended is not told
    to fire afterwards.
    """
    current: list[Transition] = []
    async with (
        Inbox([HANG, DROP, 500, 503] * 3) as inbox,
        outbox(tmp_path) as store,
        Dispatcher(store, [alertmanager(inbox.url(""))], Counts(), lambda: current, policy=QUICK, timeout=1.0),
    ):
        await put(store, "am", FIRING, resolved(FIRING, time.time()))
        current[:] = [resolved(FIRING, time.time())]
        await drained(store, "am")
        await until(lambda: len([request for request in inbox.requests if request.reply == 200]) > 3)
    ended = [datetime.fromisoformat(request.json[0]["endsAt"]).timestamp() < time.time() for request in inbox.requests]

    assert ended == sorted(ended)
    assert not ended[0] and ended[-1]
