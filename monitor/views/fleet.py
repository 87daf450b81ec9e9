"""The targets as a list that can be searched, sorted and paged, and the tally of their models. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from monitor.alerts.states import AlertState, Phase
from monitor.errors import PullState
from monitor.figures.units import undecided
from monitor.live.entry import ProjectStatus
from monitor.live.live import Live
from monitor.live.target import LiveTarget
from monitor.pipeline.snapshot import Snapshot
from monitor.store.firings import names_of
from monitor.targets import Target, target_labels
from monitor.views.standing import Standing, State, cause, standing
from monitor.views.status import GLANCE, Figure, figures, severity_rank, target_path
from monitor.views.wanted import BY_ID, WantedTargets, page_of

_STATES = tuple(State)


@dataclass(frozen=True, slots=True)
class Row:
    """One target at a glance.

    Attributes:
        target: Which.
        path: Of its page, relative to the first page.
        snapshot: What is known; None before the first pull.
        figures: The headline figures, those of `GLANCE`.
        alerts: Those that fire or are pending, the most urgent first.
        alerts_of_results: Of these, those that results led to, not the clock.
        standing: How the model stands.
        cause: What its change is due to, in a word; empty where nothing changed, or nobody knows.
        stale: Whether the figures are too old to be exported.
    """

    target: Target
    path: str
    snapshot: Snapshot | None
    figures: tuple[Figure, ...]
    alerts: tuple[AlertState, ...]
    alerts_of_results: tuple[AlertState, ...]
    standing: Standing
    cause: str
    stale: bool

    @property
    def headline(self) -> Figure | None:
        """The figure that is shown first: the one that got worst, else the first of the kind of model."""
        return _headline(self.figures)

    @property
    def firing(self) -> bool:
        """Whether an alert of it fires."""
        return any(alert.phase is Phase.FIRING for alert in self.alerts)

    @property
    def failing(self) -> bool:
        """Whether its last pull failed."""
        return self.snapshot is not None and self.snapshot.state is not PullState.OK

    @property
    def undecided(self) -> bool:
        """Whether nobody can tell yet whether samples that came together are alike."""
        evaluation = self.snapshot.evaluation if self.snapshot is not None else None
        return evaluation is not None and undecided(evaluation.units)

    @property
    def last_success(self) -> float | None:
        """Unix seconds of the last good pull; None before the first."""
        return self.snapshot.last_success if self.snapshot is not None else None


@dataclass(frozen=True, slots=True)
class Fleet:
    """All targets, and the page of them that is wanted.

    Attributes:
        rows: Those of the page, in the wanted order.
        wanted: Which page it is.
        total: How many targets there are on all pages.
        tally: How many models are in each state, of all targets; states without any are absent.
        failing: How many pulls fail, of all targets.
        stale: Of how many the figures are too old.
        targets: How many there are.
        failing_discoveries: Projects whose last discovery failed.
        asked: How many projects were asked for their targets, however that ended.
        projects: How many there are.
    """

    rows: tuple[Row, ...]
    wanted: WantedTargets
    total: int
    tally: Mapping[State, int]
    failing: int
    stale: int
    targets: int
    failing_discoveries: tuple[ProjectStatus, ...]
    asked: int
    projects: int

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return self.wanted.last_page(self.total)


def fleet(live: Live, wanted: WantedTargets, now: float) -> Fleet:
    """The targets at `now` (Unix seconds)."""
    rows = [row(target, now) for target in live.targets.copy().values()]
    found = matching(rows, wanted)
    wanted = wanted.turned(len(found))
    statuses = live.projects.values()
    return Fleet(
        rows=tuple(page_of(found, wanted)),
        wanted=wanted,
        total=len(found),
        tally=Counter(each.standing.state for each in rows),
        failing=sum(each.failing for each in rows),
        stale=sum(each.stale for each in rows),
        targets=len(rows),
        failing_discoveries=tuple(status for status in statuses if status.state not in (None, PullState.OK)),
        asked=sum(status.state is not None for status in statuses),
        projects=len(statuses),
    )


def row(live: LiveTarget, now: float) -> Row:
    """One target at `now` (Unix seconds)."""
    snapshot = live.snapshot
    stale = snapshot is not None and snapshot.evaluation is not None and not snapshot.fresh(now)
    alerts = tuple(
        sorted(
            (alert for alert in live.alerts.values() if alert.phase in (Phase.FIRING, Phase.PENDING)),
            key=lambda alert: (alert.phase is not Phase.FIRING, severity_rank(alert.severity), alert.alertname),
        )
    )
    by_clock = {rule.name for rule in live.rules if rule.by_clock}
    of_results = tuple(alert for alert in alerts if alert.alertname not in by_clock)
    found = tuple(figure for figure in figures(snapshot) if figure.metric in GLANCE)
    return Row(
        target=live.target,
        path=target_path(live.id),
        snapshot=snapshot,
        figures=found,
        alerts=alerts,
        alerts_of_results=of_results,
        standing=standing(snapshot, found, of_results, stale=stale),
        cause=cause(snapshot, _headline(found), of_results),
        stale=stale,
    )


def matching(rows: Iterable[Row], wanted: WantedTargets) -> list[Row]:
    """The rows that are wanted, on whatever page, in their order."""
    found = list(rows)
    if wanted.state:
        found = [each for each in found if each.standing.state in wanted.state]
    if wanted.pull:
        found = [each for each in found if each.failing == (wanted.pull == "failing")]
    search = wanted.search
    if search.words or search.lines:
        found = [each for each in found if search.matches(_names(each.target))]
    name = wanted.sort.removeprefix("-")
    found.sort(key=lambda each: _by_name(each))
    found.sort(key=_KEYS[name], reverse=wanted.sort != name)
    return found


def _names(target: Target) -> str:
    return names_of(target.key.id, [*target_labels(target).items(), *target.labels.items()])


def _headline(found: Sequence[Figure]) -> Figure | None:
    worse = [figure for figure in found if figure.direction == "worse"]
    return max(worse, key=lambda figure: figure.worse) if worse else next(iter(found), None)


def _by_name(each: Row) -> tuple[Any, ...]:
    target = each.target
    return target.project.casefold(), target.impulse.casefold(), target.key


def _by_badness(each: Row) -> tuple[Any, ...]:
    """Firing alerts by severity, then failing pulls, then states, then the biggest drop."""
    firing = (severity_rank(alert.severity) for alert in each.alerts if alert.phase is Phase.FIRING)
    drop = max((figure.worse for figure in each.figures), default=0.0)
    return min(firing, default=inf), not each.failing, _STATES.index(each.standing.state), -drop


def _by_change(each: Row) -> float:
    """What got worse by most comes first; what has no change last."""
    figure = each.headline
    if figure is None or figure.moved is None:
        return inf
    return figure.gain


def _by_headline(each: Row) -> float:
    return each.headline.value if each.headline is not None else inf


_KEYS: Mapping[str, Callable[[Row], Any]] = {
    BY_ID: lambda each: each.target.key.id,
    "worst": _by_badness,
    "name": _by_name,
    "state": lambda each: _STATES.index(each.standing.state),
    "headline": _by_headline,
    "change": _by_change,
    "age": lambda each: each.last_success or 0.0,
}
