"""The demo's studio: a dozen targets of every kind that get better, drift and regress within minutes."""

from __future__ import annotations

import time
from collections.abc import Callable

from monitor.simulator import projects
from monitor.simulator.project import DAY, Impulse
from monitor.simulator.scenarios import (
    cycling,
    growing,
    improving,
    regressing,
    relabelling,
    rethresholding,
    retraining,
    vanishing,
)
from monitor.simulator.studio import Studio


def demo_studio(*, interval: float = 5.0, clock: Callable[[], float] = time.time) -> Studio:
    """Ten projects with twelve targets. The first change comes after a minute at the default interval; each story
    repeats or ends.

    Args:
        interval: Seconds per step of the scenarios.
        clock: Unix time in seconds.
    """
    both = (Impulse(1, "spectral", variants=projects.BOTH),)
    two = (Impulse(1, "raw"), Impulse(2, "spectral", quality=0.3))
    drifting = growing(at=10, per_step=3, most=150, shift=0.8)
    return Studio(
        [
            projects.kmeans(impulses=both, scenario=cycling(regressing(at=12, by=1.4, over=1, recovers_at=42), 60)),
            projects.keywords(
                sizes={"testing": 400},
                scenario=growing(at=14, per_step=4, most=160, shift=1.0),
                expires=clock() + 12 * DAY,  # soon enough for an alert
            ),
            projects.gmm(scenario=drifting),
            projects.visual_anomaly(sizes={"testing": 150}, scenario=retraining(every=18)),
            projects.fomo(
                sizes={"testing": 180}, scenario=cycling(regressing(at=24, by=1.6, over=1, recovers_at=48), 72)
            ),
            projects.box_detector(scenario=improving(at=18, by=1.2, over=6)),
            projects.regression(scenario=rethresholding(3.5, at=30, gap=3)),
            projects.classification(windows=3, impulses=two, scenario=cycling(vanishing(at=20, steps=6), 60)),
            projects.freeform(sizes={"testing": 100}),
            projects.label_map(sizes={"testing": 100}, scenario=relabelling(at=24, share=0.1)),
        ],
        interval=interval,
        clock=clock,
    )
