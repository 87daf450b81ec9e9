"""`Watchlist`: which targets are watched right now, and how; found by asking Studio, kept in agreement with the
configuration.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import msgspec
import structlog
from apscheduler.triggers.base import BaseTrigger

from monitor.alerts.rules import Subject
from monitor.alerts.states import PullHealth
from monitor.config import Config, ProjectConfig
from monitor.engine.local import Grid, Scheduler, first_delay, trigger
from monitor.engine.sharding import Shard
from monitor.errors import PullState, StudioError, quoted
from monitor.live.snapshots import Board, ProjectStatus, Snapshot
from monitor.pipeline.alerting import AlertSubject
from monitor.pipeline.run import Pipeline, Watch, studio_project
from monitor.store import Envelope, State, Store, StoreError, StoreTooNew
from monitor.store.converting import converter
from monitor.studio.client import Client
from monitor.studio.discovery import Discovery, as_discovery, discover
from monitor.targets import Target, TargetKey

REDISCOVER = 30.0
"""Seconds before a failed discovery is tried again; doubles up to the project's interval."""

_DISCOVERY, _COURSE = "discovery", "course"  # kinds of state in the store
_ENVELOPE = Envelope("impulse-monitor discovery", 1)
_COURSE_ENVELOPE = Envelope("impulse-monitor course", 1)
_PROJECT = "project-"  # before the number of a project that alerts are about

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Course:
    """How an entry's discoveries went, and since when its targets are watched, over restarts: what alerts about
    failures count from.

    Attributes:
        since: Unix seconds of the last good discovery, or of the first that failed in a row.
        failing: Whether the last one failed.
        targets: Unix seconds since when each target that the last good one found is watched, by id.
    """

    since: float
    failing: bool = False
    targets: Mapping[str, float] = field(default_factory=dict)

    def found(self, targets: Iterable[Target], known: Mapping[str, float], now: float) -> Course:
        """After a good discovery; `known` says since when targets are watched that this course does not know."""
        began = {**known, **self.targets}
        return Course(now, failing=False, targets={target.key.id: began.get(target.key.id, now) for target in targets})

    def failed(self, now: float) -> Course:
        """After a discovery that failed: they may be far apart, so that failures count from the first one on."""
        return self if self.failing else replace(self, since=now, failing=True)

    def resuming(self, before: Course) -> Course:
        """As it is where `before` went before it."""
        targets = {
            target_id: min(began, before.targets.get(target_id, began)) for target_id, began in self.targets.items()
        }
        return replace(self, since=before.since if before.failing and self.failing else self.since, targets=targets)


_as_course = converter(Course)


@dataclass(slots=True)
class Entry:
    """One entry of the configuration's projects, with what its last discovery found.

    Attributes:
        project: The entry.
        state: How its last discovery ended; None until one has.
        found: What the last good one found, perhaps before a restart.
        failures: How many have failed since.
        seen: Unix seconds since when this process has the entry.
        course: How its discoveries went, over restarts.
        kept: What the store has of that, as far as is known.
        recalled: Whether the store was asked what it has.
        error: What the last one failed with, in a sentence; empty where it did not.
        watches: Of its targets that are this shard's, by id; made of `basis`.
        basis: The configuration, the entry and the discovery that the watches were made of.
    """

    project: ProjectConfig
    state: PullState | None = None
    found: Discovery | None = None
    failures: int = 0
    seen: float = 0.0
    course: Course = Course(0.0)
    kept: Course | None = None
    recalled: bool = False
    error: str = ""
    watches: dict[str, Watch] = field(default_factory=dict)
    basis: tuple[object, ...] = ()

    @property
    def name(self) -> str:
        """Identity over reloads and restarts: two entries of one project differ in one of these."""
        project = self.project
        return f"discovery {project.id} {project.category} {project.impulses} {project.variants}"


class Watchlist:
    """The entries of the configuration, their targets, and the jobs that discover and pull them.

    Args:
        scheduler: Runs the jobs.
        board: Is told what is watched.
        pipeline: Restores what the store knows of a target.
        store: Keeps discoveries over restarts.
        changed: Called with the ids of the targets that are watched from now on, or otherwise than before, when some
            may have gone too.
        pull: Pulls a watched target; answers what is shown of it.
        client: The client for Studio as it is now; a reload may replace it.
        clock: Unix seconds.
        shard: Which of the targets are this process's.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        board: Board,
        pipeline: Pipeline,
        store: Store,
        changed: Callable[[Iterable[str]], None],
        pull: Callable[[Watch], Awaitable[Snapshot]],
        client: Callable[[], Client],
        clock: Callable[[], float],
        shard: Shard,
    ) -> None:
        self._scheduler, self._board, self._pipeline, self._store = scheduler, board, pipeline, store
        self._changed = changed
        self._pull_target, self._client, self._clock, self._shard = pull, client, clock, shard
        self._entries: dict[str, Entry] = {}
        self._scheduled: set[str] = set()
        self.watches: dict[str, Watch] = {}
        self._projects: dict[int | None, list[Entry]] = {}
        self._began: dict[str, float] = {}  # over restarts
        self._resumed: dict[str, float] = {}  # in this process
        self._config: Config

    @property
    def asked(self) -> bool:
        """Whether each project was asked for its targets once, however that ended."""
        return all(entry.state is not None for entry in self._entries.values())

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries, in the order of the configuration."""
        return tuple(self._entries.values())

    async def apply(self, config: Config, *, rediscover: bool) -> None:
        """Diff the entries by name: add, keep, remove; new and changed ones are asked for at once, with `rediscover`
        all of them.
        """
        self._config = config
        before = self._entries
        now = self._clock()
        wanted = {
            entry.name: entry for entry in (Entry(project, seen=now, course=Course(now)) for project in config.projects)
        }
        for name in before.keys() - wanted.keys():
            self._scheduler.remove(name)
        changed = []
        for name, entry in wanted.items():
            known = before.get(name)
            if rediscover or known is None or known.project != entry.project:
                changed.append(name)
            if known is not None:  # the same object stays: a discovery that is under way will write to it
                known.project = entry.project
                wanted[name] = known
        self._entries = wanted
        self._projects = {}
        for entry in wanted.values():
            if self._shard.owns(_project_key(entry.project.id)):
                self._projects.setdefault(entry.project.id, []).append(entry)
        await self._forget(before.keys() - wanted.keys())
        await self.recall()
        self._reconcile()
        for name in changed:
            every = config.studio.discover
            self._scheduler.add(
                name, Grid(every, random.Random(name).random() * every), partial(self._discover, name), delay=0.0
            )

    async def recall(self) -> None:
        """Take up what was known before a restart: how discoveries went, and targets and figures of entries that
        nothing is known of.
        """
        for name, entry in list(self._entries.items()):
            if self._store.problem is not None:
                break
            await self._recall_course(name, entry)
            if entry.found is not None:
                continue
            try:
                state = await self._store.state(_DISCOVERY, "", name)
                found = _read(state.value) if state else None
            except (StoreError, ValueError) as error:
                log.warning("discovery.not_recalled", project_id=entry.project.id, error=str(error))
                continue
            if found is not None:
                await self._restore(entry, found)
                entry.found = entry.found or found  # a discovery may have ended meanwhile
        self._reconcile()

    async def _recall_course(self, name: str, entry: Entry) -> None:
        """Let an entry's course go on from the one that the store has."""
        if entry.recalled:
            return
        try:
            state = await self._store.state(_COURSE, "", name)
            before = _as_course(_COURSE_ENVELOPE.open(msgspec.json.decode(state.value))) if state else None
        except StoreTooNew as error:  # it stays for the version that wrote it
            log.warning("discovery.course_not_recalled", project_id=entry.project.id, error=str(error))
            return
        except StoreError:
            return  # the store's trouble is told where it is watched
        except ValueError as error:
            log.warning("discovery.course_not_recalled", project_id=entry.project.id, error=str(error))
            before = None
        entry.recalled = True
        if before is not None:
            entry.kept, entry.course = before, before if entry.state is None else entry.course.resuming(before)

    def subjects(self) -> list[str]:
        """The ids of all that alerts can be about: the targets, and the projects that are this shard's."""
        return [*self.watches, *(f"{_PROJECT}{number}" for number in self._projects)]

    def watched(self, subject_id: str, snapshot: Snapshot | None = None) -> AlertSubject | None:
        """A target or project with how its pulls or discoveries go; None where it is not watched.

        Args:
            subject_id: Its id.
            snapshot: Of the target, where another one than the shown one is meant.
        """
        external_url = self._config.http.external_url
        if (watch := self.watches.get(subject_id)) is not None:
            pulse = PullHealth(
                None, self._began[subject_id], watch.schedule.interval, resumed=self._resumed[subject_id]
            )
            if (shown := snapshot or self._board.snapshots.get(subject_id)) is not None:
                pulse = replace(pulse, state=shown.state, last_success=shown.last_success, error=shown.error)
            return AlertSubject(Subject.target(watch.target, external_url), pulse)
        if (entries := self._projects.get(_project_number(subject_id))) is None:
            return None
        entry = _worst(entries)
        expires = _first_end(entries)
        interval = self._config.schedule_of(entry.project).interval
        # the next one is due by the clock of discovery; one that failed is tried sooner
        if entry.state is PullState.OK:
            interval = max(interval, self._config.studio.discover)
        since = entry.course.since
        pulse = PullHealth(entry.state, since, interval, since, entry.error, expires, resumed=entry.seen)
        return AlertSubject(Subject.project(entry.project.id, entry.project.labels, external_url), pulse)

    def mine(self, subject_id: str) -> bool:
        """Whether a target or a project is this shard's; what is neither is the first one's."""
        if (number := _project_number(subject_id)) is not None:
            return self._shard.owns(_project_key(number))
        try:
            return self._shard.owns(TargetKey.parse(subject_id))
        except ValueError:
            return self._shard.index == 0

    def gone(self, subject_id: str) -> bool:
        """Whether something that is not watched was this shard's, and is known to have gone: its project was asked, or
        has gone too.
        """
        if not self.mine(subject_id):
            return False
        if (number := _project_number(subject_id)) is not None:
            return number not in self._projects
        try:
            key = TargetKey.parse(subject_id)
        except ValueError:
            return True
        found = [entry.found for entry in self._entries.values() if entry.project.id == key.project_id]
        # What was found may not be watched yet: discoveries are kept before they are acted on.
        return all(each is not None and all(target.key != key for target in each.targets) for each in found)

    def soon(self, target_id: str) -> bool:
        """Pull a target now, if it is watched; answers whether it is."""
        if target_id in self._scheduled:
            self._scheduler.soon(target_id)
        return target_id in self._scheduled

    async def _restore(self, entry: Entry, found: Discovery) -> None:
        """Show what the store knows of the targets, so that figures outlive a restart."""
        for target in found.targets:
            if self._shard.owns(target.key):
                watch = Watch.of(self._config, entry.project, target, found)
                self._board.watch(watch.target, watch.stale_after)
                await self._pipeline.restore(watch)

    async def _discover(self, name: str) -> None:
        entry = self._entries.get(name)
        if entry is None:
            return
        project, client = entry.project, self._client()
        log_fields = {"project_id": project.id}
        before = entry.state
        try:
            found = await discover(await studio_project(client, project), project)
            await self._restore(entry, found)
            entry.found, entry.state = found, PullState.OK
            entry.failures, entry.error = 0, ""
            entry.course = entry.course.found(found.targets, self._began, self._clock())
            log.info("discovery.finished", targets=len(found.targets), **log_fields)
        except StudioError as error:
            entry.state, entry.error = error.state, str(error)
            (log.error if before is not error.state else log.info)(
                "discovery.failed", state=str(error.state), error=str(error), **log_fields
            )
        except Exception as error:
            entry.state, entry.error = PullState.INVALID, quoted(repr(error))
            log.exception("discovery.crashed", error=repr(error), **log_fields)
        if entry.state is not PullState.OK:
            entry.course = entry.course.failed(self._clock())
            self._discover_again(name, entry)
        await self._keep(name, entry)
        if entry.project is not project or self._client() is not client:
            # a reload came in between: what it asked for was skipped as an overlap
            self._scheduler.soon(name, delay=1.0)
        self._reconcile()

    async def _keep(self, name: str, entry: Entry) -> None:
        """Remember what was found and how discoveries went, so that a restart knows both before Studio answers."""
        await self._recall_course(name, entry)
        if entry.course == entry.kept or self._entries.get(name) is not entry:
            return
        course = entry.course
        try:
            async with self._store.transaction() as tx:
                if entry.found is not None and entry.state is PullState.OK:
                    await tx.put_state(State(_DISCOVERY, "", name, msgspec.json.encode(_ENVELOPE.seal(entry.found))))
                if entry.recalled:
                    await tx.put_state(State(_COURSE, "", name, msgspec.json.encode(_COURSE_ENVELOPE.seal(course))))
        except StoreError as error:
            log.debug("discovery.not_kept", error=str(error))  # the store's trouble is told where it is watched
        else:
            entry.kept = course

    async def _forget(self, names: Iterable[str]) -> None:
        """Forget how the discoveries of entries went that were removed: one that comes back begins anew."""
        try:
            for name in names:
                async with self._store.transaction() as tx:
                    await tx.delete_state(_COURSE, "", name)
        except StoreError as error:
            log.debug("discovery.not_forgotten", error=str(error))

    def _discover_again(self, name: str, entry: Entry) -> None:
        """A refused key waits for the project's next turn; anything else is tried sooner, at a growing distance."""
        interval = self._config.schedule_of(entry.project).interval
        entry.failures += 1
        refused = entry.state in (PullState.AUTH, PullState.NOT_FOUND)
        self._scheduler.soon(
            name, interval if refused else min(interval, REDISCOVER * 2 ** min(entry.failures - 1, 10))
        )

    def _reconcile(self) -> None:
        """Make watches, jobs and what is shown agree with what the entries' discoveries found; failed ones keep what
        was known.
        """
        wanted: dict[str, Watch] = {}
        began: dict[str, float] = {}
        pulled: set[str] = set()
        now = self._clock()
        for entry in self._entries.values():
            for target_id, watch in self._watches_of(entry).items():
                wanted.setdefault(target_id, watch)
                known = (
                    began.get(target_id, now),
                    self._began.get(target_id, now),
                    entry.course.targets.get(target_id, now),
                )
                began[target_id] = min(known)
                if entry.state is not None:  # discovery runs before the first pull, however it ends
                    pulled.add(target_id)
        for target_id in self._board.watched.keys() - wanted.keys():
            self._board.forget(target_id)
            self._pipeline.forget(target_id)
        for target_id in self._scheduled - wanted.keys():
            self._scheduler.remove(target_id)
        self._scheduled &= wanted.keys()
        before, self.watches = self.watches, wanted
        self._began = began
        self._resumed = {target_id: self._resumed.get(target_id, now) for target_id in wanted}
        changed = [target_id for target_id, watch in wanted.items() if before.get(target_id) is not watch]
        for target_id in changed:
            watch, was = wanted[target_id], before.get(target_id)
            self._board.watch(watch.target, watch.stale_after)
            if (
                target_id in self._scheduled
                and was
                and (was.project != watch.project or was.schedule != watch.schedule)
            ):
                self._scheduler.reschedule(target_id, *_times(watch))
        for target_id in pulled - self._scheduled:
            fires, delay = _times(wanted[target_id])
            self._scheduler.add(target_id, fires, partial(self._pull, target_id), delay)
        self._scheduled |= pulled
        self._show_projects()
        self._changed(changed)

    def _watches_of(self, entry: Entry) -> dict[str, Watch]:
        """The watches of an entry's targets; the same objects as long as nothing about them changed, so that a thousand
        cost nothing.
        """
        basis = (self._config, entry.project, entry.found)
        if len(entry.basis) != len(basis) or any(was is not now for was, now in zip(entry.basis, basis, strict=True)):
            found = entry.found
            targets = [target for target in found.targets if self._shard.owns(target.key)] if found else []
            entry.watches = {
                target.key.id: Watch.of(self._config, entry.project, target, found) for target in targets if found
            }
            entry.basis = basis
        return entry.watches

    def _show_projects(self) -> None:
        """One status per project id; of several entries, the one that fails."""
        entries: dict[int, list[Entry]] = {}
        for entry in self._entries.values():
            entries.setdefault(entry.project.id, []).append(entry)
        self._board.projects = {
            number: ProjectStatus(number, _worst(of_one).state, _first_end(of_one))
            for number, of_one in entries.items()
        }

    async def _pull(self, target_id: str) -> None:
        watch = self.watches.get(target_id)
        if watch is None:
            return
        snapshot = await self._pull_target(watch)
        if snapshot.state is PullState.NOT_FOUND:
            for name, entry in self._entries.items():
                if entry.project == watch.project:
                    self._scheduler.soon(name)


def _read(data: bytes) -> Discovery:
    """A stored discovery.

    Raises:
        StoreTooNew, ValueError: It cannot be read.
    """
    return as_discovery(_ENVELOPE.open(msgspec.json.decode(data)))


def _times(watch: Watch) -> tuple[BaseTrigger, float]:
    """When a target is pulled, and in how many seconds first."""
    spread = watch.target.key.spread()
    return trigger(watch.schedule, spread), first_delay(watch.schedule, spread)


def _worst(entries: Sequence[Entry]) -> Entry:
    """Of a project's entries, the first that fails, or else the first."""
    return next((entry for entry in entries if entry.state not in (None, PullState.OK)), entries[0])


def _first_end(entries: Iterable[Entry]) -> float | None:
    """Unix seconds when the first of a project's keys expires: each entry may have its own; None where none is known
    to.
    """
    return min(
        (entry.found.key_expires for entry in entries if entry.found and entry.found.key_expires is not None),
        default=None,
    )


def _project_number(subject_id: str) -> int | None:
    """The project that an id of `subjects` is of; None for a target's."""
    number = subject_id.removeprefix(_PROJECT)
    return int(number) if number != subject_id and number.isdecimal() else None


def _project_key(number: int) -> TargetKey:
    """What decides which shard speaks for a project as a whole."""
    return TargetKey(number, 0, "", "")
