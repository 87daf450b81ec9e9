"""`Snapshot`: what is known about a target right now. Immutable; the next run replaces it as a whole."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from monitor.alerts.states import AlertState
from monitor.compare.comparison import Comparison
from monitor.errors import PullState
from monitor.figures.evaluation import Evaluation
from monitor.targets import Target


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A target's last pull and its last good figures.

    Attributes:
        target: Whose.
        stale_after: Seconds after the last good pull until its figures leave.
        state: How the last pull ended.
        error: What the last pull failed with, in a sentence for people; empty where it did not.
        last_pull: Unix time in seconds of the end of the last attempt.
        last_success: Of the last good pull; None before the first.
        last_change: When the result set last differed from the one before.
        fingerprint: Of the last good result set.
        evaluation: Its figures; None before the first good pull.
        comparison: It against the baseline; None where there is none, or where the store cannot be used.
        trained: Unix time of the model's training; None where the key may not read it.
        impulse_stale: Whether the data set changed since features were generated; None where unknown.
    """

    target: Target
    stale_after: float
    state: PullState
    last_pull: float
    last_success: float | None = None
    last_change: float | None = None
    fingerprint: str | None = None
    evaluation: Evaluation | None = None
    comparison: Comparison | None = None
    trained: float | None = None
    impulse_stale: bool | None = None
    error: str = ""

    def fresh(self, now: float) -> bool:
        """Whether the figures may still be shown at `now` (Unix seconds)."""
        return self.evaluation is not None and now - (self.last_success or -math.inf) <= self.stale_after


@dataclass(frozen=True, slots=True)
class ProjectStatus:
    """The last discovery of one configured project; `state` is None until the first has ended."""

    project_id: int
    state: PullState | None = None
    key_expires: float | None = None


@dataclass(slots=True)
class Board:
    """What a scrape sees: snapshots by target id, projects by id, alerts by (name, target id), and
    the thresholds of each target's alerts by name.

    Written on the event loop only, one assignment at a time; readers in other threads copy a dictionary before they
    walk it.
    """

    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    projects: dict[int, ProjectStatus] = field(default_factory=dict)
    alerts: dict[tuple[str, str], AlertState] = field(default_factory=dict)
    thresholds: dict[str, dict[str, float]] = field(default_factory=dict)
    watched: dict[str, Target] = field(default_factory=dict)

    def watch(self, target: Target, stale_after: float) -> None:
        """Accept snapshots of this target from now on; one that is shown takes over changed names
        and settings at once.
        """
        self.watched[target.key.id] = target
        if shown := self.snapshots.get(target.key.id):
            self.snapshots[target.key.id] = replace(shown, target=target, stale_after=stale_after)

    def forget(self, target_id: str) -> None:
        """Let all of a target's series leave."""
        self.watched.pop(target_id, None)
        self.snapshots.pop(target_id, None)

    def show(self, snapshot: Snapshot) -> None:
        """Replace a target's snapshot, unless the target was removed while it was being pulled."""
        if (target := self.watched.get(snapshot.target.key.id)) is not None:
            self.snapshots[target.key.id] = replace(snapshot, target=target)
