"""What the pages show, worked out from what is known: which target is worst, what moved, which classes fit. Pure; no
markup here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote

from monitor.alerts.states import AlertState, Phase
from monitor.compare.change import Change
from monitor.errors import PullState
from monitor.figures.evaluation import Interval
from monitor.figures.headline import FIGURES, Glance, at_a_glance, headlines
from monitor.figures.units import undecided
from monitor.live.entry import ProjectStatus
from monitor.live.live import Live
from monitor.pipeline.snapshot import Snapshot
from monitor.targets import Target

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


@dataclass(frozen=True, slots=True)
class Row:
    """One target at a glance.

    Attributes:
        target: Which.
        path: Of its page, relative to the status page.
        snapshot: What is known; None before the first pull.
        figures: The headline figures, those of `GLANCE`.
        alerts: Those that fire or are pending, worst first.
        stale: Whether the figures are too old to be exported.
    """

    target: Target
    path: str
    snapshot: Snapshot | None
    figures: tuple[Figure, ...]
    alerts: tuple[AlertState, ...]
    stale: bool

    @property
    def firing(self) -> bool:
        """Whether an alert of it fires."""
        return any(alert.phase is Phase.FIRING for alert in self.alerts)

    @property
    def undecided(self) -> bool:
        """Whether nobody can tell yet whether samples that came together are alike."""
        evaluation = self.snapshot.evaluation if self.snapshot is not None else None
        return evaluation is not None and undecided(evaluation.units)

    @property
    def failing(self) -> bool:
        """Whether its last pull failed."""
        return self.snapshot is not None and self.snapshot.state is not PullState.OK

    @property
    def badness(self) -> tuple[int, bool, float]:
        """Sorts the worst first: firing alerts by severity, then failing pulls, then the biggest drop."""
        worst = min(
            (_severity(alert) for alert in self.alerts if alert.phase is Phase.FIRING), default=len(_SEVERITIES)
        )
        return worst, not self.failing, -max((figure.worse for figure in self.figures), default=0.0)


@dataclass(frozen=True, slots=True)
class Overview:
    """The status page.

    Attributes:
        rows: The targets, worst first.
        alerts: All that fire or are pending, and those resolved recently; worst first.
        failing_discoveries: Projects whose last discovery failed.
        asked: How many projects were asked for their targets, however that ended.
        projects: How many there are.
    """

    rows: tuple[Row, ...]
    alerts: tuple[AlertState, ...]
    failing_discoveries: tuple[ProjectStatus, ...]
    asked: int
    projects: int


def target_path(target_id: str) -> str:
    """The path of a target's page, relative to the status page."""
    return f"targets/{quote(target_id, safe='')}"


def overview(live: Live, now: float) -> Overview:
    """What the status page shows at `now` (Unix seconds)."""
    snapshots = live.snapshots
    watched = live.watched
    alerts = shown_alerts(live, now)
    of: dict[str, list[AlertState]] = {}
    for alert in alerts:
        if alert.phase is not Phase.RESOLVED:
            of.setdefault(alert.target_id, []).append(alert)
    rows = [row(target, snapshots.get(name), tuple(of.get(name, ())), now) for name, target in watched.items()]
    statuses = live.projects.values()
    return Overview(
        rows=tuple(sorted(rows, key=lambda each: (each.badness, each.target.project.casefold(), each.target.key))),
        alerts=alerts,
        failing_discoveries=tuple(status for status in statuses if status.state not in (None, PullState.OK)),
        asked=sum(status.state is not None for status in statuses),
        projects=len(statuses),
    )


def row(target: Target, snapshot: Snapshot | None, alerts: tuple[AlertState, ...], now: float) -> Row:
    """One target at `now` (Unix seconds)."""
    found = tuple(figure for figure in figures(snapshot) if figure.metric in GLANCE)
    stale = snapshot is not None and snapshot.evaluation is not None and not snapshot.fresh(now)
    return Row(target, target_path(target.key.id), snapshot, found, alerts, stale)


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
            key=lambda alert: (_PHASES.index(alert.phase), _severity(alert), -(began(alert) or 0.0), alert.target_id),
        )
    )


def began(alert: AlertState) -> float | None:
    """Unix seconds when what is shown of an alert began: its being pending, or its firing where that is forgotten."""
    return alert.starts_at if alert.since is None else alert.since


def _is_shown(alert: AlertState, now: float) -> bool:
    if alert.phase is Phase.RESOLVED:
        return alert.ends_at is not None and now - alert.ends_at <= RESOLVED_SHOWN
    return alert.phase in (Phase.FIRING, Phase.PENDING)


def _severity(alert: AlertState) -> int:
    return _SEVERITIES.index(alert.severity) if alert.severity in _SEVERITIES else len(_SEVERITIES)
