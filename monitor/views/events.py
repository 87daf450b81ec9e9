"""Events: alerts of several figures, variants and targets that have one cause, as one. Pure; what is read from the
store is handed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.alerts import wording
from monitor.alerts.causes import LABEL
from monitor.alerts.states import AlertState, Phase, Transition
from monitor.compare.side_kinds import ADDED_WRONG, NEWLY_WRONG
from monitor.figures.headline import FIGURES
from monitor.store import Firing
from monitor.store.firings import event_of, own_cause
from monitor.targets import TargetKey, studio_page
from monitor.views.notifications import NotificationStatus
from monitor.views.status import began, severity_rank
from monitor.views.wanted import FIRING, PAST, PENDING

_PHASES = {Phase.FIRING: FIRING, Phase.PENDING: PENDING}
_ORDER = (FIRING, PENDING, PAST)
_RUNBOOK = "runbook_url"
_KINDS = ("training", "data", "target")


@dataclass(frozen=True, slots=True)
class EventAlert:
    """One alert of an event.

    Attributes:
        alertname, target_id: Which.
        phase: `firing`, `pending` or `past`.
        severity: critical, warning or info.
        began: Unix seconds when it began to fire, or became pending where it does not fire yet.
        ended: Unix seconds when it resolved; None while it has not.
        labels, annotations, details: As receivers are sent them; of a past one those of its start.
        ending: What receivers were sent of its end; empty while it has not ended.
        generator_url: Its target's page; empty where nobody knows the service's address.
        transitions: `Transition.id` of what receivers were sent, by status.
        notifications: What became of the messages about it.
    """

    alertname: str
    target_id: str
    phase: str
    severity: str
    began: float
    ended: float | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    details: Mapping[str, Any]
    ending: str = ""
    generator_url: str = ""
    transitions: Mapping[str, str] | None = None
    notifications: tuple[NotificationStatus, ...] = ()

    @property
    def summary(self) -> str:
        """It in a sentence."""
        return self.annotations.get("summary") or self.alertname

    @property
    def moved(self) -> float | None:
        """How the figure moved since the baseline; None where it is about none."""
        value, baseline = self.details.get("value"), self.details.get("baseline")
        if self.metric is None or "against" in self.details or value is None or baseline is None:
            return None
        return float(value) - float(baseline)

    @property
    def metric(self) -> str | None:
        """The figure that it is about; None where it is about none."""
        found = self.details.get("metric")
        return found if isinstance(found, str) and found in FIGURES else None

    @property
    def size(self) -> float:
        """How much worse the figure is, as a share; 0 where that is not known, or it has a unit of its own."""
        if self.moved is None or self.metric is None or not FIGURES[self.metric].is_ratio:
            return 0.0
        return max(-self.moved if FIGURES[self.metric].higher_is_better else self.moved, 0.0)

    @property
    def subject(self) -> tuple[str, str]:
        """The model that it is about, and which of its variants; of a project its name and nothing."""
        labels = self.labels
        if "impulse" not in labels:
            return f"project {labels.get('project_id', self.target_id)}", ""
        return f"{labels.get('project', '')} / {labels['impulse']}", labels.get("variant", "")


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """How many samples of a target an event made wrong.

    Attributes:
        target_id: The target.
        variant: Its variant.
        kind: Which list they are in.
        count: How many they are.
        suspect: How many of them look mislabelled.
    """

    target_id: str
    variant: str
    kind: str
    count: int
    suspect: int


@dataclass(frozen=True, slots=True)
class Event:
    """Alerts of one cause.

    Attributes:
        id: Its name, in links as well.
        cause_id: The cause that its alerts have in common.
        alerts: The worst first; never none.
    """

    id: str
    cause_id: str
    alerts: tuple[EventAlert, ...]

    @property
    def phase(self) -> str:
        """`firing` while one of its alerts fires, else `pending` while one is, else `past`."""
        return min((alert.phase for alert in self.alerts), key=_ORDER.index)

    @property
    def phase_order(self) -> int:
        """Sorts by phase."""
        return _ORDER.index(self.phase)

    @property
    def severity(self) -> str:
        """That of its most urgent alert."""
        return min((alert.severity for alert in self.alerts), key=severity_rank)

    @property
    def began(self) -> float:
        """Unix seconds of its first alert."""
        return min(alert.began for alert in self.alerts)

    @property
    def ended(self) -> float | None:
        """Unix seconds of the end of its last alert; None while one has not ended."""
        ends = [alert.ended for alert in self.alerts if alert.ended is not None]
        return max(ends) if len(ends) == len(self.alerts) else None

    @property
    def kind(self) -> str:
        """`training`, `data` or `target`: what the alerts have in common."""
        kind = self.cause_id.partition("-")[0]
        return kind if kind in _KINDS else "target"

    @property
    def badness(self) -> tuple[int, int, float, float]:
        """Sorts the worst first: where it stands, severity, size; then the newest."""
        size = max(alert.size for alert in self.alerts)
        return self.phase_order, severity_rank(self.severity), -size, -self.began

    @property
    def subjects(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The models, each with its variants."""
        found: dict[str, list[str]] = {}
        for alert in self.alerts:
            model, variant = alert.subject
            variants = found.setdefault(model, [])
            if variant and variant not in variants:
                variants.append(variant)
        return tuple((model, tuple(sorted(variants))) for model, variants in found.items())

    @property
    def target_ids(self) -> tuple[str, ...]:
        """What it is about, that of the worst alert first."""
        return tuple(dict.fromkeys(alert.target_id for alert in self.alerts))

    @property
    def is_about_models(self) -> bool:
        """Whether it is about a target, and not only about projects as a whole, such as a key that expires."""
        return any("impulse" in alert.labels for alert in self.alerts)

    @property
    def worst(self) -> EventAlert:
        """Its worst alert."""
        return self.alerts[0]

    @property
    def why(self) -> str:
        """What changed, as a clause; empty where nobody knows."""
        return next((str(alert.details["why"]) for alert in self.alerts if alert.details.get("why")), "")

    @property
    def trained(self) -> float | None:
        """Unix seconds of the training that it is due to; None where it is due to none."""
        found = (alert.details.get("trained") for alert in self.alerts)
        return next((each for each in found if isinstance(each, float | int)), None)

    @property
    def runbook_url(self) -> str:
        """What to do about its worst alert; empty where there is no page."""
        return next((alert.annotations[_RUNBOOK] for alert in self.alerts if alert.annotations.get(_RUNBOOK)), "")

    @property
    def samples(self) -> tuple[SampleCounts, ...]:
        """The samples that got wrong, by target and list, the most first."""
        found: dict[tuple[str, str], SampleCounts] = {}
        for alert in self.alerts:
            counts, suspect = (alert.details.get(name) or {} for name in ("changed_samples", "suspect_labels"))
            for kind in (NEWLY_WRONG, ADDED_WRONG):
                if count := counts.get(kind, 0):
                    sampled = SampleCounts(alert.target_id, alert.subject[1], kind, count, suspect.get(kind, 0))
                    found.setdefault((alert.target_id, kind), sampled)
        return tuple(sorted(found.values(), key=lambda each: (each.kind != NEWLY_WRONG, -each.count)))

    def studio_url(self, site: str) -> str:
        """The page in Studio of its worst alert's target; empty where it is about a project."""
        try:
            return studio_page(site, TargetKey.parse(self.worst.target_id))
        except ValueError:
            return ""


def of_state(alert: AlertState) -> EventAlert:
    """An alert that fires, is pending or has resolved."""
    transition = alert.transition
    return EventAlert(
        alert.alertname,
        alert.target_id,
        _PHASES.get(alert.phase, PAST),
        alert.severity,
        (alert.starts_at if transition is not None else began(alert)) or 0.0,
        alert.ends_at if alert.phase is Phase.RESOLVED else None,
        alert.labels,
        alert.annotations,
        alert.details,
        generator_url=alert.generator_url,
        transitions={transition.status: transition.id} if transition is not None else {},
    )


def of_firing(firing: Firing) -> EventAlert:
    """An alert as the store has it."""
    fired, ended = firing.fired, firing.ended
    sent = [fired, *([] if ended is None else [ended])]
    return EventAlert(
        fired.alertname,
        fired.target_id,
        FIRING if ended is None else PAST,
        fired.severity,
        fired.starts_at,
        None if ended is None else ended.ends_at,
        fired.labels,
        fired.annotations,
        fired.details,
        "" if ended is None else _summary(ended),
        fired.generator_url,
        {each.status: each.id for each in sent},
    )


def active(alerts: Iterable[AlertState], open_events: Mapping[tuple[str, str], str]) -> list[Event]:
    """The events of the alerts that fire or are pending, the worst first.

    Args:
        alerts: States of alerts, whatever their phase.
        open_events: The events of those that fire, by alert and target, as the store has them; what it does not have is
            of the event that its cause says.
    """
    found: dict[str, list[EventAlert]] = {}
    causes: dict[str, str] = {}
    of_cause: dict[str, str] = {}
    wanted = [alert for alert in alerts if alert.phase in _PHASES]
    for alert in sorted(wanted, key=lambda alert: alert.phase is not Phase.FIRING):
        cause = alert.cause_id or alert.labels.get(LABEL) or own_cause(alert.target_id)
        each = of_state(alert)
        name = open_events.get((alert.alertname, alert.target_id)) or of_cause.get(cause)
        name = name or event_of(cause, alert.target_id, each.began)
        of_cause[cause] = name
        causes[name] = cause
        found.setdefault(name, []).append(each)
    listed = [event(name, causes[name], each) for name, each in found.items()]
    return sorted(listed, key=lambda each: each.badness)


def past(firings: Iterable[Firing]) -> dict[str, Event]:
    """Events as the store has them, by name, in the order of their newest firing."""
    found: dict[str, list[EventAlert]] = {}
    causes: dict[str, str] = {}
    for firing in firings:
        found.setdefault(firing.event, []).append(of_firing(firing))
        causes[firing.event] = firing.cause_id
    return {name: event(name, causes[name], alerts) for name, alerts in found.items()}


def joined(live: Event, stored: Event | None) -> Event:
    """An event with those of its alerts that have ended; what is live counts."""
    if stored is None:
        return live
    now = {(alert.alertname, alert.target_id): alert for alert in live.alerts}
    ended = [alert for alert in stored.alerts if alert.phase == PAST]
    return event(live.id, live.cause_id, [*now.values(), *ended])


def event(name: str, cause_id: str, alerts: Sequence[EventAlert]) -> Event:
    """An event of these alerts."""
    order = sorted(
        alerts,
        key=lambda alert: (
            _ORDER.index(alert.phase),
            severity_rank(alert.severity),
            -alert.size,
            -alert.began,
            alert.alertname,
            alert.target_id,
        ),
    )
    return Event(name, cause_id, tuple(order))


def figure_words(alert: EventAlert) -> str:
    """`accuracy 0.945 → 0.646 (−29.9 points)`; empty where it is about no figure that moved."""
    metric, moved = alert.metric, alert.moved
    if metric is None or moved is None:
        return ""
    before, now = (wording.figure(metric, alert.details[name]) for name in ("baseline", "value"))
    return f"{wording.label(metric)} {before} → {now} ({wording.difference(metric, moved)})"


def _summary(transition: Transition) -> str:
    return transition.annotations.get("summary") or transition.alertname
