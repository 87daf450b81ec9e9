"""What Alertmanager is sent, and what the real one makes of it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from notify_parts import DROP, FIRING, HANG, QUICK, Counts, Inbox, Real, drained, numbered, outbox, put, resolved, until
from pydantic import SecretStr
from structlog.testing import capture_logs

from monitor.alerts.notify import Dispatcher, Pace, Receiver
from monitor.alerts.states import Transition

NOW = FIRING.starts_at + 3600
ONCE = replace(QUICK, resend=3600.0)


def alertmanager(url: str, name: str = "am") -> Receiver:
    """A receiver."""
    return Receiver(name, "alertmanager", SecretStr(url))


def clock() -> float:
    """An hour after the alert began."""
    return NOW


async def test_wire(tmp_path: Path) -> None:
    """Each transition is a request of its own, with a constant start, an end, and no empty labels."""
    alert = replace(FIRING, labels={**FIRING.labels, "site": ""})
    async with Inbox() as inbox, outbox(tmp_path) as store:
        await put(store, "am", alert, replace(resolved(alert), generator_url=""))
        async with Dispatcher(store, [alertmanager(inbox.url("/prefix/"))], Counts(), pace=ONCE, clock=clock):
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
        async with Dispatcher(store, [alertmanager(inbox.url(""))], Counts(), pace=ONCE, clock=lambda: FIRING.starts_at - 3600):
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
        Dispatcher(store, [alertmanager(inbox.url(""))], counts, lambda: alerts, pace=QUICK, clock=clock),
    ):
        await until(lambda: len(inbox.requests) >= 4)
    at = [request.at for request in inbox.requests]

    assert {("1", "2")} == {tuple(alert["labels"]["project_id"] for alert in request.json) for request in inbox.requests}
    assert all(0.09 < later - earlier < 1.0 for earlier, later in itertools.pairwise(at))
    assert 1 == len({request.json[0]["startsAt"] for request in inbox.requests})
    assert {("am", "delivered")} == set(counts.outcomes)


@pytest.mark.parametrize("alerts", [(), (resolved(FIRING, NOW - 901),)])
async def test_nothing_to_resend(tmp_path: Path, alerts: tuple[Transition, ...]) -> None:
    """Without current alerts nothing is sent, nor counted as sent."""
    counts = Counts()
    async with (
        Inbox() as inbox,
        outbox(tmp_path) as store,
        Dispatcher(store, [alertmanager(inbox.url(""))], counts, lambda: alerts, pace=QUICK, clock=clock),
    ):
        await asyncio.sleep(0.4)

    assert ([], {}) == (inbox.requests, counts.outcomes)


async def test_one_bad_alert(tmp_path: Path) -> None:
    """Of a batch that is refused every alert but the bad one arrives, each time; the bad one is logged once and counted each time."""
    alerts, counts = [numbered(number) for number in range(150)], Counts()

    def picky(body: Any) -> int:
        return 400 if any(alert["labels"]["project_id"] == "70" for alert in body) else 200

    async with Inbox(reply=picky) as inbox, outbox(tmp_path) as store:
        with capture_logs() as logs:
            async with Dispatcher(store, [alertmanager(inbox.url(""))], counts, lambda: alerts, pace=QUICK, clock=clock):
                await until(lambda: counts.outcomes["am", "rejected"] >= 3)
    taken = [alert["labels"]["project_id"] for request in inbox.requests if request.reply == 200 for alert in request.json]
    first_round = taken[:149]

    assert {str(number) for number in range(150) if number != 70} == set(first_round)
    assert [64, 64] == [len(request.json) for request in inbox.requests[:2]]
    assert ["101-1-int8-testing".replace("101", "70")] == [line["target"] for line in logs if line["event"] == "notify.rejected"]


async def test_resend_that_fails(tmp_path: Path) -> None:
    """A failed resend is counted and repeated after a pause, not a minute later."""
    counts = Counts()
    async with (
        Inbox([503, 503]) as inbox,
        outbox(tmp_path) as store,
        Dispatcher(store, [alertmanager(inbox.url(""))], counts, lambda: (FIRING,), pace=ONCE),
    ):
        await until(lambda: counts.outcomes["am", "delivered"])

    assert {("am", "failed"): 2, ("am", "delivered"): 1} == counts.outcomes


async def test_resend_tells_nothing_out_of_order(tmp_path: Path) -> None:
    """While messages wait nothing is sent again: an alert that is known to have ended is not told to fire afterwards."""
    current: list[Transition] = []
    async with (
        Inbox([HANG, DROP, 500, 503] * 3) as inbox,
        outbox(tmp_path) as store,
        Dispatcher(store, [alertmanager(inbox.url(""))], Counts(), lambda: current, pace=QUICK, timeout=0.05) as dispatcher,
    ):
        await put(store, "am", FIRING, resolved(FIRING, time.time()))
        current[:] = [resolved(FIRING, time.time())]
        dispatcher.wake()
        await drained(store, "am")
        await until(lambda: len([request for request in inbox.requests if request.reply == 200]) > 3)
    ended = [datetime.fromisoformat(request.json[0]["endsAt"]).timestamp() < time.time() for request in inbox.requests]

    assert ended == sorted(ended)
    assert not ended[0] and ended[-1]


@pytest.fixture
async def real(tmp_path: Path, program: Callable[[str], str]) -> AsyncIterator[Real]:
    """Alertmanager, not yet started, and the webhook behind it, which is."""
    async with Inbox() as hook:
        yield Real(program("prometheus-alertmanager"), tmp_path, hook)


@pytest.mark.acceptance
async def test_real_alertmanager(tmp_path: Path, real: Real) -> None:
    """An alert arrives once at a webhook behind the real Alertmanager, stays one over many resends, and resolves once."""
    alert = replace(numbered(7), starts_at=time.time() - 5)
    current: list[Transition] = [alert]
    async with real.running(), outbox(tmp_path) as store:
        pace = replace(QUICK, resend=0.2)
        async with Dispatcher(store, [alertmanager(real.url)], Counts(), lambda: current, pace=pace) as dispatcher:
            await put(store, "am", alert)
            dispatcher.wake()
            await until(lambda: real.told)
            await asyncio.sleep(3.0)  # some 15 resends, and three intervals of the group
            held = await real.alerts()
            while_firing = list(real.told)
            ended = resolved(alert, time.time())
            current[:] = [ended]
            await put(store, "am", ended)
            dispatcher.wake()
            await until(lambda: len(real.told) > 1)
            await asyncio.sleep(2.5)
            after = await real.alerts()
    (first,), (last,) = (request.json["alerts"] for request in real.hook.requests)

    assert [("firing", "7")] == while_firing
    assert [("firing", "7"), ("resolved", "7")] == real.told
    assert 1 == len(held)
    assert [] == after
    assert alert.labels == held[0]["labels"]
    assert alert.annotations == first["annotations"]
    assert alert.generator_url == first["generatorURL"]
    assert pytest.approx(alert.starts_at, abs=1e-3) == datetime.fromisoformat(first["startsAt"]).timestamp()
    assert pytest.approx(ended.ends_at, abs=1e-3) == datetime.fromisoformat(last["endsAt"]).timestamp()


@pytest.mark.acceptance
async def test_real_alertmanager_down_and_back(tmp_path: Path, real: Real) -> None:
    """What fires and resolves while Alertmanager is away arrives when it is back; what it knew before is not told twice."""
    before, ended, fresh = (replace(numbered(number), starts_at=time.time() - 5) for number in (1, 2, 3))
    current: list[Transition] = [before, ended]
    counts = Counts()
    async with outbox(tmp_path) as store:
        pace = replace(QUICK, resend=0.2)
        async with Dispatcher(store, [alertmanager(real.url)], counts, lambda: current, pace=pace) as dispatcher:
            async with real.running():
                await put(store, "am", before, ended)
                dispatcher.wake()
                await until(lambda: len(real.told) == 2)
                await asyncio.sleep(1.5)
            failed = counts.outcomes["am", "failed"]
            current[:] = [before, resolved(ended, time.time()), fresh]
            await put(store, "am", current[1], fresh)
            dispatcher.wake()
            await until(lambda: counts.outcomes["am", "failed"] > failed + 3)
            async with real.running():
                await drained(store, "am")
                await until(lambda: len(real.told) == 4)
                await asyncio.sleep(2.5)
                held = await real.alerts()

    assert {("firing", "1"), ("firing", "2")} == set(real.told[:2])
    assert [("firing", "3"), ("resolved", "2")] == sorted(real.told[2:])
    assert {"1", "3"} == {alert["labels"]["project_id"] for alert in held}


@pytest.mark.acceptance
async def test_real_alertmanager_refuses_one(tmp_path: Path, real: Real) -> None:
    """An alert that the real Alertmanager does not take, for its labels, hurts no other: neither when it begins nor in a resend."""
    bad = replace(numbered(13), labels={**numbered(13).labels, "not a name": "x"}, starts_at=time.time() - 5)
    good = replace(numbered(14), starts_at=time.time() - 5)
    counts = Counts()
    async with real.running(), outbox(tmp_path) as store:
        await put(store, "am", bad, good)
        pace = Pace(first_pause=0.01, look=0.05, resend=0.3)
        async with Dispatcher(store, [alertmanager(real.url)], counts, lambda: (bad, good), pace=pace):
            await until(lambda: counts.outcomes["am", "rejected"] >= 3 and real.told)
            held = await real.alerts()

    assert [("firing", "14")] == real.told
    assert ["14"] == [alert["labels"]["project_id"] for alert in held]
    assert counts.outcomes["am", "delivered"] >= 2
