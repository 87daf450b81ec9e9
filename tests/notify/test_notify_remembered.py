"""What the store remembers of messages that have left the outbox."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from monitor.notify import Dispatcher
from tests.notify.notify_parts import FIRING, QUICK, Counts, Inbox, drained, numbered, outbox, put, resolved

pytestmark = pytest.mark.usefixtures("clock")


async def test_delivered_and_refused(tmp_path: Path) -> None:
    """A message that arrived is remembered with when it did, one that was refused for good with why."""
    counts = Counts()
    async with Inbox([404]) as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING, resolved())
        async with Dispatcher(store, [inbox.webhook()], counts, policy=QUICK, clock=lambda: 1_900_000_000.0):
            await drained(store, "hook")
        refused = await store.notifications([FIRING.id])
        arrived = await store.notifications([resolved().id])

    assert [("hook", "rejected", 1_900_000_000.0)] == [(each.receiver, each.outcome, each.at) for each in refused]
    assert "404" in refused[0].why
    assert [("hook", "delivered", "")] == [(each.receiver, each.outcome, each.why) for each in arrived]


async def test_tried_again(tmp_path: Path) -> None:
    """A message that arrives after failures is remembered once, as delivered."""
    async with Inbox([500, 500]) as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING)
        async with Dispatcher(store, [inbox.webhook()], Counts(), policy=QUICK):
            await drained(store, "hook")
        found = await store.notifications([FIRING.id])

    assert ["delivered"] == [each.outcome for each in found]


async def test_dropped(tmp_path: Path) -> None:
    """Messages beyond the longest queue, and those of a receiver that is no longer configured, are remembered as
    dropped, with why.
    """
    inbox = Inbox()
    sent = [numbered(number) for number in range(4)]
    async with outbox(tmp_path) as store:
        await put(store, "hook", *sent)
        await put(store, "gone", FIRING)
        async with inbox, Dispatcher(store, [inbox.webhook()], Counts(), policy=replace(QUICK, queue_limit=2)):
            await drained(store, "hook", "gone")
        outcomes = [(await store.notifications([each.id]))[0].outcome for each in sent]
        (forgotten,) = await store.notifications([FIRING.id])
        (dropped, *_) = await store.notifications([sent[0].id])

    assert ["dropped", "dropped", "delivered", "delivered"] == outcomes
    assert "more than 2 messages waited" == dropped.why
    assert ("gone", "dropped", "the receiver is no longer configured") == (
        forgotten.receiver,
        forgotten.outcome,
        forgotten.why,
    )
