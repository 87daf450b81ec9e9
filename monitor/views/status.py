"""What the pages show, worked out from what is known: which target is worst, what moved, which classes fit. Pure; no
markup here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote

from monitor.alerts.states import AlertState, Phase
from monitor.compare.change import Change
from monitor.figures.evaluation import Interval
from monitor.figures.headline import FIGURES, Glance, at_a_glance, headlines
from monitor.live.live import Live
from monitor.pipeline.snapshot import Snapshot

GLANCE = tuple(row.name for row in at_a_glance(Glance.PAGE))
"""Headline figures on the status page; the others are on the target's."""

SIGNIFICANCE_LEVEL = 0.01
"""p-value up to which a change is shown as one."""

RESOLVED_SHOWN = 86_400.0
"""Seconds for which a resolved alert is still shown."""

_SEVERITIES = ("critical", "warning", "info")
_PHASES = (Phase.FIRING, Phase.PENDING, Phase.RESOLVED)


@dataclass(frozen=True, slots=True)
class Figure:
    """One headline figure and how it moved since the baseline.

    Attributes:
        metric: Its name.
        value: It.
        interval: Its 95 % interval, where there is one.
        block: The anomaly block of the figure; empty for figures of the whole target.
        baseline: The baseline's; None where it has none.
        moved: The change that counts: of mAP that on the images both runs share. None without a baseline.
        pvalue: Of that change; None where it was not tested.
        exact: Whether most of it comes from changed labels and thresholds, which no chance explains.
    """

    metric: str
    value: float
    interval: Interval | None
    block: str
    baseline: float | None = None
    moved: float | None = None
    pvalue: float | None = None
    exact: bool = False

    @property
    def worse(self) -> float:
        """How many points it got worse by, as a share; 0 where it did not, or is in a unit of its own."""
        if self.moved is None or not FIGURES[self.metric].is_ratio:
            return 0.0
        return max(-self.moved if FIGURES[self.metric].higher_is_better else self.moved, 0.0)

    @property
    def gain(self) -> float:
        """How much better it is than the baseline, in its own unit; less than 0 where it is worse."""
        moved = self.moved or 0.0
        return moved if FIGURES[self.metric].higher_is_better else -moved

    @property
    def direction(self) -> str:
        """`worse` or `better` where the change is significant, `unclear` where it may be chance, else `same`."""
        if not self.moved:
            return "same"
        if not self.exact and (self.pvalue is None or self.pvalue > SIGNIFICANCE_LEVEL):
            return "unclear"
        return "better" if (self.moved > 0) == FIGURES[self.metric].higher_is_better else "worse"

    @property
    def on_shared(self) -> str:
        """What is counted where the change is only that of what both runs share; empty where it is of all."""
        row = FIGURES[self.metric]
        return row.counts if row.on_shared else ""


def target_path(target_id: str) -> str:
    """The path of a target's page, relative to the status page."""
    return f"targets/{quote(target_id, safe='')}"


def figures(snapshot: Snapshot | None) -> tuple[Figure, ...]:
    """The headline figures of a target; none before its first good pull."""
    if snapshot is None or snapshot.evaluation is None:
        return ()
    comparison = snapshot.comparison
    found = []
    for metric, headline in headlines(snapshot.evaluation).items():
        before = comparison.baseline.values.get(metric) if comparison else None
        figure = Figure(metric, headline.value, headline.interval, headline.block, before)
        found.append(_moved(figure, comparison.change(metric) if comparison else None))
    return tuple(found)


def _moved(figure: Figure, change: Change | None) -> Figure:
    if change is None:
        return figure if figure.baseline is None else replace(figure, moved=figure.value - figure.baseline)
    moved = change.tested_change
    part = change.exact_change
    exact = moved is not None and part is not None and part * moved > 0 and abs(part) >= abs(moved) / 2
    return replace(figure, moved=moved, pvalue=change.tested_pvalue, exact=exact)


def shown_alerts(live: Live, now: float, target_id: str | None = None) -> tuple[AlertState, ...]:
    """The alerts that fire or are pending, and those resolved recently; of one target or of all, worst first, then
    newest.
    """
    found = [alert for alert in live.alerts.values() if _is_shown(alert, now) and target_id in (None, alert.target_id)]
    return tuple(
        sorted(
            found,
            key=lambda alert: (
                _PHASES.index(alert.phase),
                severity_rank(alert.severity),
                -(began(alert) or 0.0),
                alert.target_id,
            ),
        )
    )


def began(alert: AlertState) -> float | None:
    """Unix seconds when what is shown of an alert began: its being pending, or its firing where that is forgotten."""
    return alert.starts_at if alert.since is None else alert.since


def _is_shown(alert: AlertState, now: float) -> bool:
    if alert.phase is Phase.RESOLVED:
        return alert.ends_at is not None and now - alert.ends_at <= RESOLVED_SHOWN
    return alert.phase in (Phase.FIRING, Phase.PENDING)


def severity_rank(severity: str) -> int:
    """Sorts the most urgent first."""
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES)
