"""`Snapshot`: what is known about a target right now. Immutable; the next run replaces it as a whole."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
