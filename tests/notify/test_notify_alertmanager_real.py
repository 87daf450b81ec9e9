"""What the real Alertmanager makes of what it is sent. In real time: it has a clock of its own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from monitor.alerts.states import Transition
from monitor.config import NotifyConfig
from monitor.notify import Dispatcher, RetryPolicy
from monitor.store import Store
from tests.notify.notify_parts import Counts, Inbox, Real, drained, notify_entry, numbered, outbox, put, resolved
from tests.waiting import until

PACE = RetryPolicy(initial_backoff=0.01, max_backoff=0.03, poll_interval=0.05, resend_interval=0.2)
"""Often, so that much happens in little time."""


def alertmanager(url: str) -> NotifyConfig:
    """A receiver."""
    return notify_entry("alertmanager", "am", url=SecretStr(url))


def told_of(real: Real, *numbers: int) -> list[tuple[str, str]]:
    """What the webhook was told of these alerts, in order."""
    return [each for each in real.told if int(each[1]) in numbers]


async def two_intervals(real: Real, store: Store, number: int) -> None:
    """Let at least two of the Alertmanager's group intervals pass: of what is no news it tells nothing in them.

    Another alert's end is told an interval after its beginning, not before; a second one's likewise.
    """
    for each in (number, number + 1):
        other = replace(numbered(each), starts_at=time.time() - 5)
        for news in (other, None):
            news = news or resolved(other, time.time())
            await put(store, "am", news)
            await until(lambda news=news, each=each: (news.status, str(each)) in real.told)


@pytest.fixture
async def real(tmp_path: Path, program: Callable[[str], str]) -> AsyncIterator[Real]:
    """Alertmanager, not yet started, and the webhook behind it, which is."""
    async with Inbox() as hook:
        yield Real(program("prometheus-alertmanager"), tmp_path, hook)


@pytest.mark.acceptance
async def test_real_alertmanager(tmp_path: Path, real: Real) -> None:
    """An alert arrives once at a webhook behind the real Alertmanager, stays one over many resends,
    and resolves once.
    """
    alert = replace(numbered(7), starts_at=time.time() - 5)
    current: list[Transition] = [alert]
    counts = Counts()
    async with (
        real.running(),
        outbox(tmp_path) as store,
        Dispatcher(store, [alertmanager(real.url)], counts, lambda: current, policy=PACE),
    ):
        await put(store, "am", alert)
        await until(lambda: real.told)
        sent = counts.outcomes["am", "delivered"]
        await two_intervals(real, store, 20)
        await until(lambda: counts.outcomes["am", "delivered"] > sent + 10)
        held = [each for each in await real.alerts() if each["labels"]["project_id"] == "7"]
        while_firing = told_of(real, 7)
        ended = resolved(alert, time.time())
        current[:] = [ended]
        await put(store, "am", ended)
        await until(lambda: len(told_of(real, 7)) > 1)
        await two_intervals(real, store, 30)
        after = await real.alerts()
    all_told = [alert for request in real.hook.requests for alert in request.json["alerts"]]
    first, last = (each for each in all_told if each["labels"]["project_id"] == "7")

    assert [("firing", "7")] == while_firing
    assert [("firing", "7"), ("resolved", "7")] == told_of(real, 7)
    assert 1 == len(held)
    assert [] == [each for each in after if each["labels"]["project_id"] == "7"]
    assert alert.labels == held[0]["labels"]
    assert alert.annotations == first["annotations"]
    assert alert.generator_url == first["generatorURL"]
    assert pytest.approx(alert.starts_at, abs=1e-3) == datetime.fromisoformat(first["startsAt"]).timestamp()
    assert pytest.approx(ended.ends_at, abs=1e-3) == datetime.fromisoformat(last["endsAt"]).timestamp()


@pytest.mark.acceptance
async def test_real_alertmanager_down_and_back(tmp_path: Path, real: Real) -> None:
    """What fires and resolves while Alertmanager is away arrives when it is back; what it knew before is not told
    twice.
    """
    before, ended, fresh = (replace(numbered(number), starts_at=time.time() - 5) for number in (1, 2, 3))
    current: list[Transition] = [before, ended]
    counts = Counts()
    async with (
        outbox(tmp_path) as store,
        Dispatcher(store, [alertmanager(real.url)], counts, lambda: current, policy=PACE),
    ):
        async with real.running():
            await put(store, "am", before, ended)
            await until(lambda: len(real.told) == 2)
            await two_intervals(real, store, 20)
        failed = counts.outcomes["am", "failed"]
        current[:] = [before, resolved(ended, time.time()), fresh]
        await put(store, "am", current[1], fresh)
        await until(lambda: counts.outcomes["am", "failed"] > failed + 3)
        async with real.running():
            await drained(store, "am")
            await until(lambda: len(told_of(real, 1, 2, 3)) == 4)
            await two_intervals(real, store, 30)
            held = [each for each in await real.alerts() if int(each["labels"]["project_id"]) < 10]
    told = told_of(real, 1, 2, 3)

    assert {("firing", "1"), ("firing", "2")} == set(told[:2])
    assert [("firing", "3"), ("resolved", "2")] == sorted(told[2:])
    assert {"1", "3"} == {alert["labels"]["project_id"] for alert in held}


@pytest.mark.acceptance
async def test_real_alertmanager_refuses_one(tmp_path: Path, real: Real) -> None:
    """An alert that the real Alertmanager does not take, for its labels, hurts no other: neither when it begins nor in
    a resend.
    """
    bad = replace(numbered(13), labels={**numbered(13).labels, "not a name": "x"}, starts_at=time.time() - 5)
    good = replace(numbered(14), starts_at=time.time() - 5)
    counts = Counts()
    async with real.running(), outbox(tmp_path) as store:
        await put(store, "am", bad, good)
        async with Dispatcher(store, [alertmanager(real.url)], counts, lambda: (bad, good), policy=PACE):
            await until(lambda: counts.outcomes["am", "rejected"] >= 3 and real.told)
            held = await real.alerts()

    assert [("firing", "14")] == real.told
    assert ["14"] == [alert["labels"]["project_id"] for alert in held]
    assert counts.outcomes["am", "delivered"] >= 2
