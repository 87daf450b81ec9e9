"""The figures of a target from what the simulator holds, and those that the service shows of it.

The right ones are the oracle's of the generated pages (scikit-learn, pycocotools and NumPy over Studio's JSON): every
series of a result set, COCO's mAP, slices and calibration among them. A fault that changes what pages say changes the
JSON that they are computed from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from monitor.exposition import SnapshotCollector, Sources
from monitor.pipeline.snapshot import Snapshot
from monitor.simulator.faults import Edit, NoPredictions
from monitor.simulator.generated import GeneratedProject
from monitor.simulator.render import Record
from tests.chaos.sickness import PAGE, Sick
from tests.live.live_parts import live_of
from tests.pages.page_oracle import Series, compare, expected, figures

Json = dict[str, Any]


@dataclass(eq=False)
class Truth:
    """What is true of a target at one time.

    Attributes:
        records: Its samples as they are served.
        anomaly_labels: The project's.
        slices: What the service is to slice by.
    """

    records: Sequence[Record]
    anomaly_labels: tuple[Sequence[str], Sequence[str]] | None
    slices: Sequence[str]
    _series: dict[str, Series] = field(default_factory=dict)

    def series(self, sick: Sick | None = None) -> Series:
        """All series, where every page was read as a sickness makes it; computed when they are first asked for."""
        name = sick.name if sick else ""
        if name not in self._series:
            page = self._page()
            for edit in _edits(sick):
                changed = edit(page)
                page = page if changed is None else changed
            if not isinstance(page, dict):
                return {}
            self._series[name] = expected(page["result"], page["predictions"], self.anomaly_labels, self.slices)
        return self._series[name]

    def _page(self) -> Json:
        """All of it as one page."""
        predictions = b",".join(record.predictions for record in self.records if record.predictions)
        return {
            "success": True,
            "result": [json.loads(record.result) for record in self.records if record.result],
            "predictions": json.loads(b"[%b]" % predictions),
            "totalCount": len(self.records),
        }


def truth(project: GeneratedProject, impulse_id: int, variant: str, category: str, slices: Sequence[str] = ()) -> Truth:
    """What is true right now."""
    impulse = project.impulse(impulse_id)
    found = impulse.variant(variant) if impulse else None
    records = project.records(impulse, found, category) if impulse and found else None
    return Truth(tuple(records or ()), project.anomaly_labels, slices)


def changes(sick: Sick) -> bool:
    """Whether a sickness changes what pages say."""
    return bool(_edits(sick))


def _edits(sick: Sick | None) -> list[Callable[[Json], Json | None]]:
    found: list[Callable[[Json], Json | None]] = []
    for fault in sick.faults if sick else ():
        if isinstance(fault.action, Edit) and fault.call in (None, PAGE):
            found.append(fault.action.edit)
        elif isinstance(fault.action, NoPredictions):
            found.append(lambda page: page | {"predictions": []})
    return found


def shown(snapshot: Snapshot) -> Series:
    """All series that a scrape shows of a target's result set."""
    families = SnapshotCollector(Sources(live_of(snapshot), clock=lambda: snapshot.last_pull)).collect()
    return figures(sample for family in families for sample in family.samples)


def differences(true: Truth, sick: Iterable[Sick], found: Series) -> list[str]:
    """How the series differ from the true ones, in a line each; nothing where they are those that one of the sicknesses
    leads to.
    """
    return min((compare(true.series(each), found)[0] for each in (None, *filter(changes, sick))), key=len)
