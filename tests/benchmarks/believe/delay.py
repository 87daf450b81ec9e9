"""A change: days until its evidence and its alarm, whether the alarm lasts as long, and when it ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np

from monitor.compare.martingale import ALARM
from tests.benchmarks._rows import Row, head, show
from tests.benchmarks.believe.sections import Effort
from tests.benchmarks.believe.streams import CHANGES, Stream, Target
from tests.benchmarks.believe.table import days, percent

RATIO, RESOLVED = 1.3, 0.02
"""Intended: the alarm within so much of the evidence's own day; at most this share over while the change lasts."""

LASTS, AFTERWARDS = 250, 60  # days
KEPT = 40  # days after the alarm for which the change goes on
CELLS = {
    f"R={reference} after {quiet} d: {change}": (Stream(reference), quiet, change)
    for reference, quiet, change in product((300, 2000), (0, 60, 365), CHANGES)
}


@dataclass(frozen=True)
class Seen:
    """Days from the change to its evidence and to its alarm, infinite where never; whether the alarm was over while the
    change lasted; days from the end of the change to that of the alarm.
    """

    evidence: float
    alarm: float
    dropped: bool
    ended: float


def watch(number: int, stream: Stream, quiet: int, change: str) -> Seen:
    """A target that is quiet, changes, and after some time is as before."""
    target = Target(stream, number)
    target.pass_quietly(quiet)
    evidence = alarm = math.inf
    dropped = False
    for day in range(1, LASTS + 1):
        target.live(CHANGES[change], day)
        if math.isinf(evidence) and target.state.evidence >= ALARM:
            evidence = day
        if math.isinf(alarm) and target.state.alarm:
            alarm = day
        dropped |= alarm < day and not target.state.alarm
        if alarm + KEPT <= day:
            break
    ended = math.inf
    for day in range(1, AFTERWARDS + 1 if target.state.alarm else 0):
        target.live()
        if not target.state.alarm:
            ended = day
            break
    return Seen(evidence, alarm, dropped, ended)


def run(effort: Effort) -> None:
    """Print each cell."""
    head(
        f"a change, {effort.targets} targets each",
        "evidence, d",
        "alarm, d",
        "never",
        "resolved early",
        "ends after, d",
    )
    for name, (stream, quiet, change) in CELLS.items():
        if not effort.wanted(f"delay {name}"):
            continue
        one = partial(watch, stream=stream, quiet=quiet, change=change)
        found = list(effort.mapped(one, range(effort.targets)))
        evidence, alarm = (_median([getattr(each, key) for each in found]) for key in ("evidence", "alarm"))
        never = float(np.mean([math.isinf(each.alarm) for each in found]))
        raised = [each for each in found if not math.isinf(each.alarm)]
        dropped = float(np.mean([each.dropped for each in raised])) if raised else math.nan
        ended = _median([each.ended for each in raised if not each.dropped]) if raised else math.inf
        measured = [days(evidence), days(alarm), percent(never), percent(dropped), days(ended)]
        holds = alarm <= max(RATIO * evidence, evidence + 1) and not never and bool(dropped <= RESOLVED)
        show(Row(name, measured, f"<= {RATIO:g} x, 0 %, <= {RESOLVED:.0%}", holds))


def _median(values: list[float]) -> float:
    return float(np.quantile(values, 0.5, method="inverted_cdf")) if values else math.inf
