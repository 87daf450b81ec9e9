"""`Entry`: one entry of the configuration's projects, and what its discovery found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from monitor.alerts.rules import Subject
from monitor.alerts.states import PullHealth
from monitor.config import Config, ProjectConfig, Schedule
from monitor.engine.times import spread_of
from monitor.errors import PullState
from monitor.live.discovery_history import DiscoveryHistory
from monitor.pipeline.alerting import AlertSubject
from monitor.pipeline.snapshot import Snapshot
from monitor.pipeline.target_cache import TargetCache
from monitor.pipeline.watch import Watch
from monitor.studio.discovery import Discovery


@dataclass(frozen=True, slots=True)
class ProjectStatus:
    """The last discovery of one configured project; `state` is None until the first has ended."""

    project_id: int
    state: PullState | None = None
    key_expires: float | None = None


@dataclass(slots=True, eq=False)
class Entry:
    """One entry of the configuration's projects, with what its last discovery found.

    Attributes:
        config: The whole configuration.
        project: The entry.
        seen: Unix seconds since when this process has the entry.
        history: How its discoveries went, over restarts.
        state: How its last discovery ended; None until one has.
        found: What the last good one found, perhaps before a restart.
        failures: How many have failed since.
        error: What the last one failed with, in a sentence; empty where it did not.
        watches: Of its targets that are this shard's, by id.
        made_of: The configuration, the entry and the discovery that `watches` were made of.
        restored: What the store knew of targets that are not watched yet, by id.
        stored_history: The history that the store has, as last read or written.
        restored_history: Whether the store was asked what it has.
        scheduled: The entry and the schedule that its turn was scheduled with; None where it has none.
    """

    config: Config
    project: ProjectConfig
    seen: float
    history: DiscoveryHistory
    state: PullState | None = None
    found: Discovery | None = None
    failures: int = 0
    error: str = ""
    watches: dict[str, Watch] = field(default_factory=dict)
    made_of: tuple[object, ...] = ()
    restored: dict[str, tuple[TargetCache, Snapshot]] = field(default_factory=dict)
    stored_history: DiscoveryHistory | None = None
    restored_history: bool = False
    scheduled: tuple[ProjectConfig, Schedule] | None = None

    @property
    def identity(self) -> str:
        """What stays the same over reloads and restarts: two entries of one project differ in it."""
        project = self.project
        return f"{project.id} {project.category} {project.impulses} {project.variants}"

    @property
    def name(self) -> str:
        """Name of its discovery, in the engine and in the store."""
        return f"discovery {self.identity}"

    @property
    def turn(self) -> str:
        """Name of its turn in the engine."""
        return f"turn {self.identity}"

    @property
    def group(self) -> str:
        """What has its turns one after another in a fleet: entries of one project may share a key."""
        return str(self.project.id)

    @property
    def spread(self) -> float:
        """A number in [0, 1): where its turn sits between those of other entries."""
        return spread_of(self.identity)

    @property
    def schedule(self) -> Schedule:
        """When its targets are pulled."""
        return self.config.schedule_of(self.project)


def worst(entries: Sequence[Entry]) -> Entry:
    """Of a project's entries, the first that fails, or else the first."""
    return next((entry for entry in entries if entry.state not in (None, PullState.OK)), entries[0])


def first_expiry(entries: Iterable[Entry]) -> float | None:
    """Unix seconds when the first of a project's keys expires: each entry may have its own; None where none is known
    to.
    """
    return min(
        (entry.found.key_expires for entry in entries if entry.found and entry.found.key_expires is not None),
        default=None,
    )


def project_subject(entries: Sequence[Entry]) -> AlertSubject:
    """A project as alerts can be about it, from all its entries."""
    entry = worst(entries)
    interval = entry.schedule.interval
    # the next one is due by the clock of discovery; one that failed is tried sooner
    if entry.state is PullState.OK:
        interval = max(interval, entry.config.studio.discover)
    project = entry.project
    since = entry.history.since
    return AlertSubject(
        Subject.project(project.id, project.labels, entry.config.http.external_url),
        PullHealth(entry.state, since, interval, since, entry.error, first_expiry(entries), resumed=entry.seen),
    )
