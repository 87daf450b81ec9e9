"""Who chooses the unit of a target's statistics: its pinned baseline, and a later run only where that cannot tell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.config import BaselineConfig
from monitor.figures import EvaluationSettings, evaluate
from monitor.figures.evaluation import Evaluation
from monitor.figures.units import UnitChoices, chosen_later
from monitor.pipeline.baselines import pin, unpin
from monitor.pipeline.found import Found
from monitor.pipeline.record import RunRecorder
from monitor.pipeline.target_cache import TargetCache
from monitor.pipeline.unit_choices import PINNED, UNITS
from monitor.pipeline.watch import Policy
from monitor.results import Categorical, ResultSet
from monitor.store import Store
from monitor.targets import Target, TargetKey
from monitor.views.history import baseline_statuses
from tests.compare.test_by_group import joined, quiet
from tests.factories import snapshot
from tests.live.live_parts import watch_of

TARGET = "104-1-int8-testing"


class Runs:
    """The runs of one target, each evaluated by what the baseline chose."""

    def __init__(self, store: Store, group_by: str = "auto", mode: str = "pinned") -> None:
        self.store, self._workers, self._baseline = store, ThreadPoolExecutor(1), BaselineConfig(mode=mode)  # type: ignore[arg-type]
        self.shown = snapshot(Target(TargetKey.parse(TARGET), "pump", "rpm"), last_success=None)
        self.now = 0.0
        self.start(group_by)

    def start(self, group_by: str = "auto") -> None:
        """Begin as a process does that knows nothing, and is configured so."""
        self._recorder, self._cache = RunRecorder(self.store, self._workers), TargetCache()
        self.policy = Policy(self._baseline, settings=EvaluationSettings(group_by=group_by))

    async def choices(self) -> UnitChoices | None:
        """What the baseline says."""
        return await self._recorder.unit_choices(TARGET, self.policy, self.shown, self._cache)

    async def pull(self, results: ResultSet) -> Evaluation:
        """A good run, and what it found."""
        self.now += 1
        choices, fingerprint = await self.choices(), results.fingerprint()
        evaluation = evaluate(results, self.policy.settings, 1, choices)
        anew = choices is not None and chosen_later(choices, evaluation.units)
        after = replace(
            self.shown, last_pull=self.now, last_success=self.now, fingerprint=fingerprint, evaluation=evaluation
        )
        found = Found(results, fingerprint, evaluation, None, None, anew)
        watch = watch_of(self.shown.target, policy=self.policy)
        self.shown, _ = await self._recorder.record(watch, self.shown, after, found, self.now, self._cache)
        return evaluation

    async def baselines(self) -> dict[str, int]:
        """The runs that the store notes for the target, by purpose."""
        return {row.mode: row.run_id for row in await self.store.baselines(TARGET)}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store."""
    async with Store(f"sqlite:///{tmp_path}/x.db") as store:
        yield store


def days(first: int, last: int, icc: float = 0.3) -> ResultSet:
    """Twenty samples of each of these days, alike or not."""
    return quiet(np.random.default_rng(first), np.arange(first, last), icc, ids=20 * first)


async def test_baseline_decides(store: Store) -> None:
    """A later run takes the baseline's unit, whatever it looks like itself; so it does after a restart."""
    runs = Runs(store)
    chosen = (await runs.pull(days(0, 20))).units
    grown = joined(days(0, 20), days(20, 30))
    later = (await runs.pull(grown)).units
    runs.start()

    assert chosen["accuracy"].unit == "group"
    assert chosen["accuracy"].groups == 20
    assert chosen == later == await runs.choices()
    assert runs.shown.comparison is not None
    assert runs.shown.comparison.changes[0].smallest["added"] == 0.001


@pytest.mark.parametrize("mode", ["pinned", "previous"])
async def test_few_groups_choose_once_more(store: Store, mode: str) -> None:
    """A baseline of nine days cannot tell; the first run of ten chooses, and that is kept until another one is
    pinned.
    """
    runs = Runs(store, mode=mode)
    first = (await runs.pull(days(0, 8))).units["accuracy"]
    second = (await runs.pull(joined(days(0, 8), days(8, 9)))).units["accuracy"]
    third = (await runs.pull(joined(days(0, 8), days(8, 12)))).units["accuracy"]
    noted = (await runs.baselines())[UNITS]
    runs.start()
    fourth = (await runs.pull(joined(days(0, 8), days(8, 60, icc=0.0)))).units["accuracy"]
    listed = await baseline_statuses(store, TARGET)

    assert (first.unit, first.groups, first.known) == ("sample", 8, False)
    assert (second.unit, second.groups, second.known) == ("sample", 9, False)
    assert (third.unit, third.groups, third.known) == ("group", 12, True)
    assert fourth == third
    assert (await runs.baselines())[UNITS] == noted
    assert UNITS not in {status.baseline.mode for status in listed}

    last = await store.last_good(TARGET)
    assert last is not None
    await pin(store, last, "by hand", 9.0)
    assert UNITS not in await runs.baselines()


async def test_clearing_the_baseline_forgets_its_units(store: Store) -> None:
    """Where the baseline is cleared the next run decides for itself."""
    runs = Runs(store)
    await runs.pull(days(0, 8))
    await runs.pull(joined(days(0, 8), days(8, 12)))
    await unpin(store, TARGET)

    assert await runs.baselines() == {}
    assert await runs.choices() is None
    assert (await runs.pull(joined(days(0, 8), days(8, 30)))).units["accuracy"].groups == 30
    assert await runs.baselines() == {PINNED: 3}


async def test_another_grouping_is_read_from_the_stored_samples(store: Store) -> None:
    """Where `group_by` changes, the baseline's samples say what it chooses by the new groups; `none` has none."""
    results = days(0, 20)
    line = Categorical.encode([f"line {number % 15}" for number in range(400)])
    runs = Runs(store)
    await runs.pull(replace(results, metadata={"line": line}))
    by_day = (await runs.choices() or {})["accuracy"]
    runs.start("metadata.line")
    by_line = (await runs.choices() or {})["accuracy"]
    before = runs.shown.comparison
    await runs.pull(replace(results, metadata={"line": line}))

    assert (by_day.groups, by_line.groups) == (20, 60)  # fifteen lines in four weeks
    assert by_line.icc is not None
    assert by_day.icc is not None
    assert by_line.icc < by_day.icc
    assert runs.shown.evaluation is not None
    assert runs.shown.evaluation.group_by == "metadata.line"
    assert runs.shown.comparison is not before  # of the same result set, but by other units
    runs.start("none")
    assert await runs.choices() == {}
    assert (await runs.pull(results)).units == {}


async def test_units_of_earlier_formulas(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another version stored of a baseline is not asked: its result set says which unit it chooses."""
    runs = Runs(store)
    with monkeypatch.context() as earlier:
        earlier.setattr("monitor.store.documents.FIGURES_VERSION", 2)
        chosen = (await runs.pull(days(0, 20))).units
    stored = await store.last_good(TARGET)
    assert stored is not None
    assert stored.versions.evaluation == 2
    runs.start()

    assert await runs.choices() == chosen


async def test_without_the_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store is away the unit stays that of the figures which are shown."""
    runs = Runs(store)
    chosen = (await runs.pull(days(0, 20))).units
    monkeypatch.setattr(Store, "problem", property(lambda store: RuntimeError("away")))

    assert await runs.choices() == chosen
    runs.policy = replace(runs.policy, settings=EvaluationSettings(group_by="none"))
    assert await runs.choices() is None
