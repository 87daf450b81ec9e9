"""Which event an alert is of: alerts of several figures, variants and targets that have one cause are one event."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from monitor.alerts.rules import Subject
from monitor.compare.change import ADDED, LABELS, MODEL, REMOVED, Change
from monitor.compare.comparison import Comparison
from monitor.compare.conclusion import conclude

LABEL = "cause_id"
"""The label that alerts of one event have in common."""

_DIGITS = 16  # 64 bits: a million events are distinct but for one chance in 30 million
_OWN: Literal["target"] = "target"
_DATA_CAUSES = {ADDED, REMOVED, LABELS}


@dataclass(frozen=True, slots=True)
class Cause:
    """What an alert is due to, as far as other alerts may be due to the same.

    Attributes:
        kind: `training`: the model was trained; `data`: samples were added, removed or relabelled; `target`: nothing
            that others share.
        key: Of a training its date in Unix seconds; of data `Comparison.changed_data`.
    """

    kind: Literal["training", "data", "target"] = _OWN
    key: str = ""

    def id(self, subject: Subject) -> str:
        """The value of `cause_id`, such as `training-1f0c2a9be4d87753`: the same for all alerts of the event."""
        labels = subject.labels
        match self.kind:
            case "training":
                parts = [labels.get("project_id", ""), labels.get("impulse_id", ""), self.key]
            case "data":
                parts = [labels.get("project_id", ""), self.key]  # ids of samples are a project's own
            case _:
                parts = [subject.id]
        return f"{self.kind}-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:_DIGITS]}"


OWN = Cause()
"""Nothing that the alerts of other targets share."""


def is_shared(cause_id: str) -> bool:
    """Whether alerts of other targets may have the same cause."""
    return bool(cause_id) and not cause_id.startswith(f"{_OWN}-")


def of_change(change: Change | None, comparison: Comparison) -> Cause:
    """What a figure's change is due to: what the conclusion names; where it names nothing, what happened since the
    baseline, a training before a change of the data.

    Args:
        change: Of the figure; None where it has no causes.
        comparison: Whose it is.
    """
    named = conclude(change).named if change is not None else ()
    if MODEL in named:
        return _training(comparison)
    if _DATA_CAUSES.intersection(named):
        return _data(comparison)
    if named:  # thresholds
        return OWN
    retrained = comparison.baseline.trained is not None and _training(comparison) is not OWN
    return _training(comparison) if retrained else _data(comparison)


def of_drift(causes: Collection[str], comparison: Comparison) -> Cause:
    """What drift of anomaly scores is due to: `model`, `data`, or both."""
    return _training(comparison) if "model" in causes else _data(comparison)


def of_new_samples(comparison: Comparison) -> Cause:
    """What more errors among new samples are due to."""
    return _data(comparison)


def of_variants(comparison: Comparison) -> Cause:
    """What a variant's loss is due to: the training, which made all variants."""
    return _training(comparison)


def _training(comparison: Comparison) -> Cause:
    """The training of the current model; the target's own cause where nobody knows its date, or it is not new."""
    trained = comparison.trained
    return OWN if trained is None or trained == comparison.baseline.trained else Cause("training", f"{trained:.3f}")


def _data(comparison: Comparison) -> Cause:
    return Cause("data", comparison.changed_data) if comparison.changed_data else OWN
