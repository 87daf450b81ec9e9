"""Runs of a target that nothing is the matter with, in a store."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from monitor.compare.comparison import Comparison
from monitor.compare.power import Power
from monitor.errors import PullState
from monitor.figures.groups import UnitChoice
from monitor.store import Run, Store
from tests.alerts.alert_cases import change, compared, drifted
from tests.factories import evaluation, quality, result_set

DAY = 86_400.0
KNOWN = replace(
    compared(change("accuracy", 0.9, {}), change("mean_f1", 0.9, {}), drifts=(drifted(),)),
    powers=(Power("accuracy", 0.9, 200, 0.04, reachable={"model": 1e-60}, visible={"model": 0.0803}),),
)


async def record(
    url: str,
    days: Sequence[float],
    comparison: Comparison = KNOWN,
    target: str = "1-2-int8-testing",
    groups: int = 0,
) -> None:
    """Runs of a target so many days ago, each with a result set and a training of its own; its accuracy has too few
    `groups`, or none.
    """
    units = {"accuracy": UnitChoice(groups=groups)} if groups else {}
    async with Store(url) as store:
        for number, ago in enumerate(sorted(days, reverse=True)):
            results = result_set(2 + number, sample_id=np.arange(2 + number))
            finished = time.time() - ago * DAY
            run = Run(
                target,
                finished - 1,
                finished,
                PullState.OK,
                results.fingerprint(),
                changed=number > 0,
                trained=float(number // 2),
                evaluation=evaluation(quality=quality(), units=units),
                comparison=comparison,
            )
            packed = await store.pack(target, results, results.fingerprint())
            async with store.transaction() as tx:
                await tx.add_run(run, packed)
