"""Alerts on a real store: what is shown and sent follows what was written, whoever wrote it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.alerts.rules import Below, PullFailing, Rule
from monitor.alerts.states import Phase
from monitor.alerts.verdicts import check_rule
from monitor.engine.sharding import Shard
from monitor.errors import PullState
from monitor.live.alert_clock import AlertClock
from monitor.live.entry import ProjectStatus
from monitor.live.live import Live
from monitor.live.target import PullInFlight
from monitor.pipeline import alerting
from monitor.pipeline.alerting import AlertEvaluator
from monitor.pipeline.snapshot import Snapshot
from monitor.service.store_upkeep import StoreUpkeep
from monitor.store import Store, StoreUnavailable, Transaction
from monitor.store.state_documents import load_transition
from tests.alerts.alert_cases import classifier
from tests.factories import TARGET, snapshot
from tests.live.live_parts import entry_of, watch_of

LOW = Rule("AccuracyLow", Below("accuracy", 0.8), recover=0.02)
FAILING = Rule("Failing", PullFailing())
ID = TARGET.key.id
BAD = snapshot(fingerprint="bad", evaluation=classifier(0.7, (0.65, 0.75)))
GOOD = replace(BAD, fingerprint="good", evaluation=classifier(0.9, (0.88, 0.92)))


class Place:
    """One process: what it watches, and its evaluator on a store that others may share."""

    def __init__(self, store: Store, *rules: Rule, owned: bool = True) -> None:
        self.now, self.store = 1000.0, store
        shards = (Shard(0, 2), Shard(1, 2))
        self.live = Live(lambda: self.now, next(shard for shard in shards if shard.owns(TARGET.key) is owned))
        self.evaluator = AlertEvaluator(lambda: self.now)
        self.clock = AlertClock(self.live, self.evaluator, store)
        self.evaluator.configure(rules or (LOW,), ["hook"])
        self.watch()

    def watch(self) -> None:
        """Watch the target."""
        self.live.watch(watch_of(TARGET))

    def forget(self) -> None:
        """Watch it no longer; its project is not configured either, so that it is known to have gone."""
        self.live.forget(ID)

    async def pulled(self, snapshot: Snapshot) -> None:
        """As a turn does it."""
        target = self.live.targets[ID]
        subject = replace(target.subject, health=watch_of(TARGET).health(snapshot, 0.0), snapshot=snapshot)
        async with self.evaluator.lock(ID), self.store.transaction() as tx:
            states = await self.evaluator.evaluate(tx, subject)
        self.live.show_alerts(ID, states)
        target.show(snapshot)

    @property
    def phase(self) -> Phase | None:
        """Where the alert stands, as shown."""
        state = self.live.alerts.get((LOW.name, ID))
        return state.phase if state else None

    async def told(self) -> list[str]:
        """The statuses in the outbox."""
        return [load_transition(message.payload).status for message in await self.store.messages("hook")]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An open, empty store."""
    async with Store(f"sqlite:///{tmp_path}/alerts.db") as store:
        yield store


@pytest.mark.parametrize("what", ["rule", "target"])
async def test_what_comes_back_is_judged_anew(store: Store, what: str) -> None:
    """A rule or target that was removed and comes back soon fires again, although the result set is
    the same as before.
    """
    place = Place(store)
    await place.pulled(BAD)
    if what == "rule":
        place.evaluator.configure((), ["hook"])
    else:
        place.forget()
    await place.clock.tick()
    assert Phase.RESOLVED is place.phase
    place.evaluator.configure((LOW,), ["hook"])
    place.watch()
    place.now += 60.0
    await place.pulled(BAD)
    await place.pulled(BAD)

    assert Phase.FIRING is place.phase
    assert ["firing", "resolved", "firing"] == await place.told()


async def test_a_quiet_pull_wakes_no_receiver(store: Store) -> None:
    """Receivers look into their queues when an alert begins or ends, not at every pull of every target."""
    place, woken = Place(store), asyncio.Event()
    for pull, wakes in ((GOOD, False), (GOOD, False), (BAD, True), (BAD, False), (GOOD, True), (GOOD, False)):
        place.now += 60.0
        woken.clear()
        with store.arrivals.subscribed("hook", woken):
            await place.pulled(pull)
        assert wakes == woken.is_set()


@pytest.mark.parametrize("how", ["pull", "tick"])
async def test_shows_what_another_process_wrote(store: Store, how: str) -> None:
    """What another process wrote, or this one without hearing that it was committed, is shown after the next look, and
    told once.
    """
    patient = replace(LOW, for_seconds=60.0)
    here, there = Place(store, patient), Place(store, patient)
    await here.pulled(BAD)
    await there.clock.restore()
    there.live.targets[ID].show(BAD)
    here.now = there.now = 1060.0
    await here.clock.tick()
    assert (Phase.FIRING, Phase.PENDING) == (here.phase, there.phase)
    await (there.pulled(BAD) if how == "pull" else there.clock.tick())

    assert here.live.alerts == there.live.alerts
    assert here.live.active() == there.live.active()
    assert ["firing"] == await there.told()


async def test_shows_no_state_that_the_store_has_not(store: Store) -> None:
    """A state that another process deleted is no longer shown once it would be moved on."""
    here, there = Place(store), Place(store)
    await here.pulled(BAD)
    await there.clock.restore()
    here.forget()
    await here.clock.tick()
    here.now += 2000.0
    await here.clock.tick()
    assert [] == await store.states("alert")
    there.forget()
    await there.clock.tick()

    assert {} == there.live.alerts
    assert ["firing", "resolved"] == await there.told()


@pytest.mark.parametrize("back", [False, True])
async def test_alert_of_a_pull_that_was_ended_while_it_was_written(store: Store, back: bool) -> None:
    """A pull that ends because its target left may have been written all the same, with an alert that fires: that one
    resolves as any other does, and where the target is back it is shown.
    """
    place, writer = Place(store), Place(store)
    await writer.pulled(BAD)  # what the ended pull wrote, without hearing that it was committed
    task = asyncio.create_task(asyncio.Event().wait())
    place.live.targets[ID].pull = PullInFlight(task)  # type: ignore[arg-type]
    place.forget()
    if back:
        place.watch()
    place.now += 5.0
    await place.clock.tick()

    assert ["firing"] + ["resolved"] * (not back) == await place.told()
    assert (Phase.FIRING if back else Phase.RESOLVED) is place.phase
    await asyncio.wait([task])


async def test_other_shards_speak_for_theirs(store: Store) -> None:
    """On a store that shards share, each shows and sends again its own alerts only: it would not hear how the others go
    on.
    """
    here, there = Place(store), Place(store, owned=False)
    await here.pulled(BAD)
    there.forget()
    await there.clock.restore()

    assert ({}, []) == (there.live.alerts, there.live.active())
    await there.clock.tick()
    assert ["firing"] == await there.told()


async def test_reload_during_a_look(store: Store) -> None:
    """A target that a reload takes away in the middle of a look, until its project was asked again, keeps its alert."""
    place = Place(store)
    await place.pulled(BAD)
    place.forget()
    place.live.replace_entries([entry_of(ProjectStatus(TARGET.key.project_id))])  # not asked yet
    await place.clock.tick()

    assert (Phase.FIRING, ["firing"]) == (place.phase, await place.told())


async def test_bug_in_one_rule(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule whose judging crashes costs neither the transaction of the run nor the other rules."""
    place = Place(store, replace(LOW, name="Broken"), LOW)
    whole = check_rule

    def crash(rule: Rule, *args: Any) -> Any:
        if rule.name == "Broken":
            raise RuntimeError("a bug")
        return whole(rule, *args)

    monkeypatch.setattr(alerting, "check_rule", crash)
    await place.pulled(BAD)

    assert (Phase.FIRING, ["firing"]) == (place.phase, await place.told())


async def test_looking_writes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing changes a look at the clock opens no transaction, whatever the alerts' phases."""
    place = Place(store, LOW, FAILING, replace(LOW, name="Patient", for_seconds=1e6))
    await place.pulled(BAD)
    place.live.targets[ID].show(replace(BAD, state=PullState.AUTH))
    await place.clock.tick()
    assert {Phase.FIRING, Phase.PENDING} == {state.phase for state in place.live.alerts.values()}
    monkeypatch.setattr(Store, "transaction", lambda _self: pytest.fail("a transaction"))
    for _ in range(3):
        place.now += 1.0
        await place.clock.tick()


async def test_recall_that_fails_is_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alerts that could not be read when the store was opened are shown as soon as they can be, not only when they
    change.
    """
    await Place(store).pulled(BAD)
    place, failures = Place(store), [StoreUnavailable("a lock")]

    async def opened() -> None:
        if failures:
            raise failures.pop()
        await place.clock.restore()

    class Counts:
        def store(self, up: bool) -> None:
            pass

    monkeypatch.setattr("monitor.service.store_upkeep.CHECK", 0.01)
    upkeep = StoreUpkeep(store, Counts(), lambda: 0.0, (opened,))
    await upkeep.open()
    assert place.phase is None
    watching = asyncio.create_task(upkeep.watch())
    async with asyncio.timeout(120):
        while place.phase is None:
            await asyncio.sleep(0.01)
    watching.cancel()

    assert Phase.FIRING is place.phase


async def test_store_that_takes_no_transition(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transition that could not be written is neither shown nor told; it comes with the next pull, once."""
    place = Place(store)
    whole = Transaction.enqueue

    async def fail(*_: Any) -> int:
        raise StoreUnavailable("full")

    monkeypatch.setattr(Transaction, "enqueue", fail)
    with pytest.raises(StoreUnavailable):
        await place.pulled(BAD)
    assert (None, []) == (place.phase, await place.told())
    monkeypatch.setattr(Transaction, "enqueue", whole)
    await place.pulled(BAD)
    await place.pulled(GOOD)

    assert (Phase.RESOLVED, ["firing", "resolved"]) == (place.phase, await place.told())
