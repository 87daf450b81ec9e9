"""Quiet targets: how many ever raise the drift alarm in a year, and how often the gate is open."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np

from tests.benchmarks._rows import Row, head, show
from tests.benchmarks.believe.sections import Effort
from tests.benchmarks.believe.streams import KINDS, Stream, Target
from tests.benchmarks.believe.table import percent, upper

MOST, MEAN, GATE = 0.04, 0.02, 0.10
"""Intended: the upper bound of each cell, the mean over cells, and the share of days with an open gate."""

FEWEST_GROUPS = 10
WATCHED = 40
"""Targets of a cell whose gate is looked at every day."""

CELLS = {
    f"R={reference} {blocks} icc={icc:g} {kind}": Stream(reference, icc, blocks, kind)
    for reference, blocks, icc, kind in product(
        (100, 300, 2000), ("equal", "1-40", "bulk"), (0.0, 0.02, 0.05, 0.1, 0.3), KINDS
    )
}


@dataclass(frozen=True)
class Year:
    """What a quiet target came to: whether it ever alarmed, whether it had evidence, and on which share of the days the
    gate was open; None where nobody looked.
    """

    alarmed: bool
    evident: bool
    gate: float | None


def year(number: int, stream: Stream, days: int) -> Year:
    """Watch one target."""
    target, opened = Target(stream, number, watched=number < WATCHED), 0
    if number >= WATCHED:
        target.pass_quietly(days)
        return Year(target.alarmed, target.evident, None)
    for _ in range(days):
        target.live()
        opened += target.state.gate
    return Year(target.alarmed, target.evident, opened / days)


def run(effort: Effort) -> None:
    """Print each cell; those with fewer groups in the baseline are printed without a promise."""
    head(f"quiet targets, {effort.days} days, {effort.targets} each", "alarm", "upper bound", "evidence", "gate open")
    shares = []
    for name, stream in CELLS.items():
        if not effort.wanted(f"quiet {name}"):
            continue
        found = list(effort.mapped(partial(year, stream=stream, days=effort.days), range(effort.targets)))
        alarms = sum(each.alarmed for each in found)
        gate = float(np.mean([each.gate for each in found if each.gate is not None]))
        bound = upper(alarms, len(found))
        promised = stream.groups >= FEWEST_GROUPS
        if promised:
            shares.append(alarms / len(found))
        evident = float(np.mean([each.evident for each in found]))
        measured = [percent(alarms / len(found)), percent(bound), percent(evident), percent(gate)]
        intended = f"bound <= {MOST:.0%}, gate <= {GATE:.0%}" if promised else "unit not known yet"
        show(Row(name, measured, intended, bound <= MOST and gate <= GATE if promised else None))
    if shares:
        mean = float(np.mean(shares))
        show(Row("mean over cells with 10 groups", [percent(mean)], f"<= {MEAN:.0%}", mean <= MEAN))
