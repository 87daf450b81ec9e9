"""Alerts by evidence, from result sets to states and messages in the store: they last while the change does, and end
once; across restarts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.alerts.rules import ACCURACY_REGRESSED, built_in
from monitor.alerts.states import Phase, by_name
from monitor.config import BaselineConfig
from monitor.figures import EvaluationSettings, evaluate
from monitor.pipeline.alerting import AlertEvaluator
from monitor.pipeline.found import Found
from monitor.pipeline.record import RunRecorder
from monitor.pipeline.target_cache import TargetCache
from monitor.pipeline.watch import Policy
from monitor.results import CORRECT, WRONG, Block, BlockKind, ResultSet
from monitor.store import Store
from monitor.targets import Target, TargetKey
from tests.factories import encoded, result_set, snapshot
from tests.live.live_parts import watch_of

TARGET = "104-1-int8-testing"
DRIFT = "EdgeImpulseAnomalyDrift"
KMEANS = Block(7, "anomaly", BlockKind.ANOMALY, "K-means", {"min_anomaly_score": 2.0})
NET = Block(3, "keras", BlockKind.CLASSIFICATION, "NN", {"min_score": 0.6})
LOOK = 50


class Days:
    """One target's result sets, which grow by `LOOK` samples a day, each day by a process that knows only the store."""

    def __init__(self, store: Store, workers: ThreadPoolExecutor) -> None:
        self._store, self._workers = store, workers
        self._rng = np.random.default_rng(1)
        self._scores, self._wrong = self._rng.normal(size=300), np.arange(300) % 20 == 0
        self.day = 0
        self.phases: dict[str, list[Phase]] = {DRIFT: [], ACCURACY_REGRESSED: []}

    async def more(self, days: int, *, shift: float = 0.0, errors: float = 0.05) -> None:
        """Go on for so many days, with new samples of this kind."""
        for _ in range(days):
            if self.day:
                self._scores = np.append(self._scores, self._rng.normal(size=LOOK) + shift)
                self._wrong = np.append(self._wrong, self._rng.random(LOOK) < errors)
            await self._pull(self._results())
            self.day += 1

    def _results(self) -> ResultSet:
        wrong = self._wrong
        return result_set(
            **encoded(["a"] * len(wrong), np.where(wrong, "b", "a").tolist()),
            blocks=(NET, KMEANS),
            sample_id=np.arange(1, len(wrong) + 1),
            sample=np.arange(len(wrong)),
            correct=np.where(wrong, WRONG, CORRECT).astype(np.int8),
            anomaly={KMEANS.id: self._scores},
        )

    async def _pull(self, results: ResultSet) -> None:
        now = 1_790_000_000.0 + self.day * 86400
        evaluator = AlertEvaluator(lambda: now)
        evaluator.configure(built_in(), ["chat"])
        recorder, cache = RunRecorder(self._store, self._workers, evaluator), TargetCache()
        target = Target(TargetKey.parse(TARGET), "pump", "rpm")
        before = await recorder.restore(target, 1e9, cache)
        before = before or snapshot(target, stale_after=1e9, last_pull=0.0, last_success=None)
        fingerprint, evaluation = results.fingerprint(), evaluate(results, EvaluationSettings(), 1)
        after = replace(before, last_pull=now, last_success=now, fingerprint=fingerprint, evaluation=evaluation)
        found = Found(results, fingerprint, evaluation, None, None)
        watch = watch_of(target, policy=Policy(BaselineConfig()))
        _, states = await recorder.record(watch, before, after, found, now, cache)
        for name, phases in self.phases.items():
            state = by_name(states).get(name)
            phases.append(Phase.INACTIVE if state is None else state.phase)

    async def told(self, name: str) -> list[str]:
        """What the receiver was told of an alert."""
        return [
            message.payload.decode()
            for message in await self._store.messages("chat", limit=1000)
            if message.subject.startswith(name)
        ]


@pytest.fixture
async def days(tmp_path: Path) -> AsyncIterator[Days]:
    """A target that nobody has pulled yet."""
    async with Store(f"sqlite:///{tmp_path}/x.db") as store:
        yield Days(store, ThreadPoolExecutor(1))


async def test_drift_lasts_while_the_change_does(days: Days) -> None:
    """The drift alert fires once, lasts as long as new samples differ, though the evidence sinks, and over one look at
    which they do not; it resolves at a second such look that shares nothing with the first, once.
    """
    await days.more(6)
    await days.more(30, shift=1.0)
    phases = days.phases[DRIFT]
    assert {Phase.INACTIVE} == set(phases[:6])
    assert {Phase.FIRING} == set(phases[8:])

    await days.more(12)
    after = phases[36:]
    resolved = after.index(Phase.RESOLVED)
    assert 8 <= resolved <= 11  # after four days nothing of the change is among what came last, after eight all is new
    assert {Phase.FIRING} == set(after[:resolved])
    assert {Phase.RESOLVED} == set(after[resolved:])
    fired, ended = await days.told(DRIFT)
    assert "the data drifted" in fired
    assert "no significant drift" in ended

    await days.more(4, shift=1.0)
    assert phases[-1] is Phase.FIRING


async def test_errors_of_new_samples_fire_the_accuracy_alert(days: Days) -> None:
    """New samples that are wrong 20 points more often fire the accuracy alert by evidence, before the whole figure has
    dropped by its margin, and once.
    """
    await days.more(30)
    await days.more(5, errors=0.25)
    phases = days.phases[ACCURACY_REGRESSED]
    assert Phase.FIRING not in phases[:30]
    assert phases[-1] is Phase.FIRING
    (fired,) = await days.told(ACCURACY_REGRESSED)
    assert "among new samples" in fired
    assert "the whole figure alone does not fire" in fired

    await days.more(10)
    assert phases[-1] is Phase.RESOLVED
    assert len(await days.told(ACCURACY_REGRESSED)) == 2
