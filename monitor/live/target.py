"""`LiveTarget`: all that is known of one watched target."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from monitor.alerts.rules import Rule
from monitor.alerts.states import AlertState
from monitor.pipeline.alerting import AlertSubject
from monitor.pipeline.snapshot import Snapshot
from monitor.pipeline.target_cache import TargetCache
from monitor.pipeline.watch import Watch
from monitor.studio.budget import Hold
from monitor.targets import Target

Alerts = Mapping[str, AlertState]
"""States of a subject's alerts by name; replaced as a whole."""


@dataclass(slots=True, eq=False)
class PullInFlight:
    """A pull that has begun, or waits.

    Attributes:
        task: The pull.
        hold: Its place among the pulls; None while it waits for model testing.
    """

    task: asyncio.Task[None]
    hold: Hold | None = None

    @property
    def waits(self) -> bool:
        """Whether it only waits: for its place, or because Studio asked for it."""
        return self.hold is not None and not self.hold.held


@dataclass(slots=True, eq=False)
class LiveTarget:
    """One watched target, from when it is first watched until it is forgotten.

    Written on the event loop only, one assignment at a time; readers in other threads see one value or the other.

    Attributes:
        watch: How it is watched.
        first_watched: Unix seconds since when, over restarts.
        resumed: Unix seconds since when in this process.
        snapshot: Its last pull and last good figures; None before the first.
        alerts: States of its alerts, as the store has them.
        rules: Those that match it.
        cache: What its runs keep for the next one.
        pull: What is under way.
    """

    watch: Watch
    first_watched: float
    resumed: float
    snapshot: Snapshot | None = None
    alerts: Alerts = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    cache: TargetCache = field(default_factory=TargetCache)
    pull: PullInFlight | None = None

    @property
    def id(self) -> str:
        """`TargetKey.id`."""
        return self.watch.target.key.id

    @property
    def target(self) -> Target:
        """Its key and its names."""
        return self.watch.target

    @property
    def subject(self) -> AlertSubject:
        """It as alerts can be about it right now."""
        health = self.watch.health(self.snapshot, self.first_watched, self.resumed)
        return AlertSubject(self.watch.subject, health, self.snapshot)

    def rewatch(self, watch: Watch) -> None:
        """Watch it otherwise from now on; changed names and settings are shown at once."""
        self.watch = watch
        if self.snapshot is not None:
            self.show(self.snapshot)

    def show(self, snapshot: Snapshot) -> None:
        """Replace its snapshot; names and settings are those of now, whatever they were when its pull began."""
        self.snapshot = replace(snapshot, target=self.watch.target, stale_after=self.watch.stale_after)
