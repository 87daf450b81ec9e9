"""Firings, what became of messages, and the newest result sets of many targets, on both back ends."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from monitor.alerts.states import Transition
from monitor.store import EventFilter, Notification, Store
from monitor.store.engine import parse
from monitor.store.firings import FiringTime
from monitor.text import Search
from tests.factories import evaluation, quality, result_set
from tests.store.store_sets import TARGET, add, run

OWN = "target-00c0ffee00c0ffee"
SHARED = "training-00c0ffee00c0ffee"


def fired(starts_at: float, target_id: str = TARGET, cause_id: str = OWN, **fields: object) -> Transition:
    """That an alert of a target began to fire."""
    labels = {"alertname": "Dropped", "project": "Press Line 100%", "team": "edge", "cause_id": cause_id}
    transition = Transition(
        f"{target_id} {starts_at}",
        "firing",
        "Dropped",
        "critical",
        target_id,
        labels,
        {"summary": "it fell"},
        starts_at,
    )
    return replace(transition, **fields)  # type: ignore[arg-type]


def resolved(of: Transition, ends_at: float) -> Transition:
    """That it resolved."""
    return replace(of, id=f"{of.id} end", status="resolved", ends_at=ends_at, annotations={"summary": "it is back"})


async def record(store: Store, *transitions: Transition) -> None:
    """Write them, each in a transaction of its own."""
    for each in transitions:
        async with store.transaction() as tx:
            await tx.record_transition(each)


async def test_start_and_end(store: Store) -> None:
    """A firing has what was said at its start and at its end; until then it is open, and of no past event. Those of a
    target are found by when they ended.
    """
    begun = fired(100.5)
    await record(store, begun)
    assert {("Dropped", TARGET): f"{OWN}-100"} == await store.open_firings()
    assert ([], 0) == await store.past_events(EventFilter(), 10)

    await record(store, resolved(begun, 200.25))
    assert {} == await store.open_firings()
    assert ([f"{OWN}-100"], 1) == await store.past_events(EventFilter(), 10)
    (found,) = await store.firings([f"{OWN}-100"])
    again = fired(300.0)
    await record(store, again, fired(310.0, "7-2-int8-testing"))
    first, second = FiringTime("Dropped", 100.5, 200.25), FiringTime("Dropped", 300.0, None)
    assert [first, second] == await store.firing_times(TARGET, 200.25, 9)
    assert [second] == await store.firing_times(TARGET, 200.5, 9) == await store.firing_times(TARGET, -math.inf, 1)
    assert (OWN, begun, resolved(begun, 200.25)) == (found.cause_id, found.fired, found.ended)


async def test_written_again(store: Store) -> None:
    """A transition that is written twice is one firing; an end without a start that is known is one, too."""
    begun = fired(100)
    await record(store, begun, begun, resolved(begun, 200), resolved(fired(50), 60))

    assert [100, 50] == [each.fired.starts_at for each in await store.firings_of_cause(OWN)]


async def test_events(store: Store) -> None:
    """Firings of a shared cause are one event whenever they fire; those of a target's own are one only while one of
    them goes on.
    """
    other = "7-2-int8-testing"
    shared = [fired(10, cause_id=SHARED), fired(20, other, SHARED)]
    await record(store, shared[0], resolved(shared[0], 15), shared[1], resolved(shared[1], 25))
    first, beside = fired(100), fired(150, alertname="Failing")
    await record(store, first, beside, resolved(first, 160), resolved(beside, 170))
    later = fired(300)
    await record(store, later, resolved(later, 310))

    names, total = await store.past_events(EventFilter(), 10)
    assert ([f"{OWN}-300", f"{OWN}-100", SHARED], 3) == (names, total)
    assert 2 == len(await store.firings([SHARED])) == len(await store.firings([f"{OWN}-100"]))
    assert 3 == len(await store.firings_of_cause(OWN))
    assert ([SHARED], 3) == await store.past_events(EventFilter(), 1, 2)
    assert ([f"{OWN}-300"], 1) == await store.past_events(EventFilter(), 9, without=[SHARED, f"{OWN}-100"])


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (EventFilter(Search(("press", "dropped"))), 1),
        (EventFilter(Search(("100%",))), 1),
        (EventFilter(Search(("1_0%",))), 0),
        (EventFilter(Search((), (("team:edge",),))), 1),
        (EventFilter(Search((), (("team:edg",),))), 0),
        (EventFilter(Search((), (("project:none", "team:edge"),))), 1),
        (EventFilter(severities=("critical",)), 1),
        (EventFilter(severities=("info",)), 0),
        (EventFilter(since=150), 1),
        (EventFilter(since=250), 0),
    ],
)
async def test_filter(store: Store, wanted: EventFilter, count: int) -> None:
    """Events are found by words and lines of their names as they are written, by severity, and by when they fired."""
    await record(store, fired(100), resolved(fired(100), 200))

    assert count == (await store.past_events(wanted, 10))[1]


async def test_names_that_no_database_holds(store: Store) -> None:
    """A NUL in a label costs no firing."""
    begun = fired(100, labels={"project": "a\0b", "cause_id": OWN})
    await record(store, begun)

    assert 1 == len(await store.firings_of_cause(OWN))


async def test_retention(store: Store) -> None:
    """What ended before the retention goes; what goes on stays however long, but for what no alert state knows."""
    old, new = fired(100, "1-1-int8-testing"), fired(100, "2-1-int8-testing")
    await record(store, old, resolved(old, 200), new, resolved(new, 400), fired(100, "3-1-int8-testing"))
    async with store.transaction() as tx:
        await tx.record_notifications(
            [Notification("a", "mail", 90, 100, "delivered"), Notification("b", "mail", 390, 400, "delivered")]
        )
    await store.prune(300)

    left = await store.firings_of_cause(OWN)
    assert ["2-1-int8-testing"] == [each.fired.target_id for each in left]
    assert ["b"] == [each.transition_id for each in await store.notifications(["a", "b"])]


async def test_notifications(store: Store) -> None:
    """What became of messages is there by transition, oldest first; of one that was sent again the last outcome."""
    refused = Notification("a", "chat", 1, 3, "rejected", "400\0 no")
    async with store.transaction() as tx:
        await tx.record_notifications([Notification("a", "mail", 2, 4, "delivered"), refused])
        await tx.record_notifications([Notification("a", "mail", 2, 9, "delivered")])

    assert [replace(refused, why="400 no"), Notification("a", "mail", 2, 9, "delivered")] == await store.notifications(
        ["a", "none"]
    )


async def add_result(
    store: Store, place: int, accuracy: float, target_id: str = TARGET, *, first: bool = False
) -> None:
    """Let a target have one more distinct result set; `first`: no other came before."""
    at = 1000.0 + place
    found = replace(
        run(at, target_id=target_id),
        changed=not first,
        last_change=None if first else at,
        evaluation=evaluation(quality=quality(accuracy)),
    )
    await add(store, found, result_set(1, sample_id=np.array([place + 1])))


async def test_newest_results(store: Store) -> None:
    """Of many targets the newest distinct result sets come with their headline figures, oldest first, the first one
    once.
    """
    other = "9-1-int8-testing"
    for place, accuracy in enumerate((0.9, 0.8, 0.7, 0.6)):
        await add_result(store, place, accuracy, first=place == 0)
    for accuracy in (0.5, 0.4):  # the same result set, of which something else was found out
        await add_result(store, 0, accuracy, other, first=True)

    found = await store.newest_results([TARGET, other, "none"], 3)
    assert {TARGET, other} == found.keys()
    assert [0.8, 0.7, 0.6] == [each.figures["accuracy"][0] for each in found[TARGET]]
    assert [1001.0, 1002.0, 1003.0] == [each.at for each in found[TARGET]]
    assert [0.4] == [each.figures["accuracy"][0] for each in found[other]]
    assert {} == await store.newest_results([], 3)


async def test_filled_in(url: str, store: Store) -> None:
    """Headline figures that an earlier release did not write are filled in, some at a time, and then no more."""
    for place, accuracy in enumerate((0.9, 0.8, 0.7)):
        await add_result(store, place, accuracy)
    engine = create_async_engine(parse(url))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE figures SET headlines = NULL"))
    await engine.dispose()
    assert [{}] * 3 == [each.figures for each in (await store.newest_results([TARGET], 9))[TARGET]]

    looked = []
    for _ in range(3):
        async with store.transaction() as tx:
            looked.append(await tx.fill_headlines(2))
    assert [2, 1, 0] == looked
    results = (await store.newest_results([TARGET], 9))[TARGET]
    assert [0.9, 0.8, 0.7] == [each.figures["accuracy"][0] for each in results]
