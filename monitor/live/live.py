"""`Live`: what is known right now of all that is watched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from monitor.alerts.states import AlertState, Transition, by_name
from monitor.engine.sharding import PROJECT, WHOLE, Shard, project_key, project_of
from monitor.live.entry import Entry, ProjectStatus, first_expiry, project_subject, worst
from monitor.live.target import Alerts, LiveTarget
from monitor.pipeline.alerting import RESEND_RESOLVED_FOR, AlertSubject
from monitor.pipeline.snapshot import Snapshot
from monitor.pipeline.watch import Watch
from monitor.targets import Target, TargetKey

log = structlog.get_logger()


class Live:
    """The watched targets, one object each; the projects' entries; and the alerts of all subjects.

    Written on the event loop only. Readers in other threads (a scrape) get copies.

    Args:
        clock: Unix seconds.
        shard: Which of the targets are this process's.
    """

    def __init__(self, clock: Callable[[], float], shard: Shard = WHOLE) -> None:
        self._clock = clock
        self._shard = shard
        self.targets: dict[str, LiveTarget] = {}
        self._entries: dict[str, Entry] = {}
        self._projects: dict[int, list[Entry]] = {}
        self._other_alerts: dict[str, Alerts] = {}
        """Of projects, and of what is no longer watched."""
        self.interrupted: set[str] = set()
        """Targets whose pull was cancelled: it may have been recorded, with states of alerts that are not shown yet."""

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The projects' entries by name, in the order of the configuration."""
        return self._entries

    def replace_entries(self, entries: Iterable[Entry]) -> None:
        """These are the projects' entries from now on."""
        named = dict[str, Entry]()
        projects = dict[int, list[Entry]]()
        for entry in entries:
            named[entry.name] = entry
            projects.setdefault(entry.project.id, []).append(entry)
        self._entries = named
        self._projects = projects

    def watch(self, watch: Watch) -> LiveTarget:
        """Watch a target, or watch it otherwise from now on."""
        target_id = watch.target.key.id
        if (target := self.targets.get(target_id)) is not None:
            target.rewatch(watch)
            return target
        now = self._clock()
        target = LiveTarget(watch, now, now, alerts=self._other_alerts.pop(target_id, {}))
        self.targets[target_id] = target
        return target

    def forget(self, target_id: str) -> None:
        """Let all of a target's series leave, and end its pull; its alerts are kept until they have ended."""
        target = self.targets.pop(target_id, None)
        if target is None:
            return
        if target.pull is not None:
            target.pull.task.cancel()
            self.interrupted.add(target_id)
        if target.alerts:
            self._other_alerts[target_id] = target.alerts

    def entries_of(self, project_id: int) -> Sequence[Entry]:
        """A project's entries."""
        return self._projects.get(project_id, [])

    def entry_of(self, target: LiveTarget) -> Entry | None:
        """The entry that a target is pulled for."""
        return next((entry for entry in self.entries.values() if entry.watches.get(target.id) is target.watch), None)

    def targets_of(self, entry: Entry) -> list[LiveTarget]:
        """The targets that an entry's turn pulls, by impulse, then variant."""
        found = [self.targets.get(target_id) for target_id in entry.watches]
        return [target for target in found if target is not None and entry.watches[target.id] is target.watch]

    def variants(self, project_id: int, category: str) -> dict[int, list[str]]:
        """All watched variants of a project's impulses in a category, by impulse."""
        found: dict[int, list[str]] = {}
        for target in self.targets.values():
            key = target.target.key
            if (key.project_id, key.category) == (project_id, category):
                found.setdefault(key.impulse_id, []).append(key.variant)
        return found

    @property
    def watched(self) -> dict[str, Target]:
        """The watched targets by id."""
        return {name: each.target for name, each in self.targets.copy().items()}

    @property
    def snapshots(self) -> dict[str, Snapshot]:
        """The targets' snapshots by id, of those that have one."""
        return {name: shown for name, each in self.targets.copy().items() if (shown := each.snapshot) is not None}

    @property
    def projects(self) -> dict[int, ProjectStatus]:
        """One status per project id; of several entries, the one that fails."""
        return {
            number: ProjectStatus(number, worst(entries).state, first_expiry(entries))
            for number, entries in self._projects.items()
        }

    @property
    def alerts(self) -> dict[tuple[str, str], AlertState]:
        """The states of all alerts, by name and subject."""
        return {
            (name, subject_id): state
            for subject_id, alerts in self.subject_alerts.items()
            for name, state in alerts.items()
        }

    def active(self) -> list[Transition]:
        """The alerts that are sent again periodically: those that fire, and those that resolved recently."""
        now = self._clock()
        found = [
            state.transition
            for state in self.alerts.values()
            if not (state.ends_at and state.ends_at < now - RESEND_RESOLVED_FOR)
        ]
        return [transition for transition in found if transition is not None]

    def more_expected(self, transition: Transition) -> bool:
        """Whether another pull of the same project is under way: a turn pulls a project's targets together, so that it
        may lead to alerts of the same event.
        """
        try:
            key = TargetKey.parse(transition.target_id)
        except ValueError:  # a project's
            return False
        return any(
            target.pull is not None and target.target.key.project_id == key.project_id and target.id != key.id
            for target in self.targets.values()
        )

    @property
    def subject_alerts(self) -> dict[str, Alerts]:
        """The states of the alerts of each subject: targets first, then projects and what is no longer watched."""
        of_targets = {target_id: target.alerts for target_id, target in self.targets.copy().items()}
        return of_targets | self._other_alerts

    def subjects(self) -> list[str]:
        """The ids of all that alerts can be about: the targets, the projects that are this shard's, and what has
        alerts although it is no longer watched.
        """
        projects = (f"{PROJECT}{number}" for number in self._projects if self._owns_project(number))
        found = [*self.targets, *projects]
        return list(dict.fromkeys([*found, *self._other_alerts, *self.interrupted]))

    def subject(self, subject_id: str) -> AlertSubject | None:
        """A target or project as it is right now; None where it is not watched."""
        if (target := self.targets.get(subject_id)) is not None:
            return target.subject
        number = project_of(subject_id)
        if number is None or not self._owns_project(number):
            return None
        entries = self.entries_of(number)
        return project_subject(entries) if entries else None

    def alerts_of(self, subject_id: str) -> Alerts:
        """The states of one subject's alerts, by name."""
        target = self.targets.get(subject_id)
        return self._other_alerts.get(subject_id, {}) if target is None else target.alerts

    def show_alerts(
        self, subject_id: str, states: Iterable[AlertState], *, complete: bool = False, known: bool = False
    ) -> None:
        """Show states of a subject's alerts.

        Args:
            subject_id: Whose.
            states: As the store has them.
            complete: Whether these are all of them; others that were shown leave.
            known: Whether another process has logged what is new about them.
        """
        before = self.alerts_of(subject_id)
        after = by_name(states)
        for name, state in () if known else after.items():
            _log(before.get(name), state)
        self._set_alerts(subject_id, after if complete else {**before, **after})

    def restore_alerts(self, states: Iterable[AlertState]) -> None:
        """Show states of the store that nothing newer is shown of; not those of other processes, which would never hear
        how theirs went on.
        """
        for state in states:
            if self.owns(state.target_id):
                known = self.alerts_of(state.target_id)
                self._set_alerts(state.target_id, {state.alertname: state, **known})

    def _set_alerts(self, subject_id: str, alerts: Alerts) -> None:
        if (target := self.targets.get(subject_id)) is not None:
            target.alerts = alerts
        elif alerts:
            self._other_alerts[subject_id] = alerts
        else:
            self._other_alerts.pop(subject_id, None)

    def owns(self, subject_id: str) -> bool:
        """Whether a target or a project is this shard's; what is neither is the first one's."""
        return self._shard.owns_subject(subject_id)

    def is_removed(self, subject_id: str) -> bool:
        """Whether something that is not watched was this shard's, and is known to have gone: its project was asked, or
        has gone too.
        """
        if not self.owns(subject_id):
            return False
        if (number := project_of(subject_id)) is not None:
            return not self.entries_of(number)
        try:
            key = TargetKey.parse(subject_id)
        except ValueError:
            return True
        # What was found may not be watched yet: discoveries are kept before they are acted on.
        return all(_lacks(entry, key) for entry in self.entries_of(key.project_id))

    def _owns_project(self, number: int) -> bool:
        """Whether this shard speaks for a project as a whole."""
        return self._shard.owns(project_key(number))


def _lacks(entry: Entry, key: TargetKey) -> bool:
    """Whether an entry's project was asked, and has no such target."""
    return entry.found is not None and all(target.key != key for target in entry.found.targets)


def _log(before: AlertState | None, after: AlertState) -> None:
    """A line when an alert begins to fire, and when it resolves."""
    now = after.transition
    known = before.transition if before else None
    if now is not None and (known is None or known.id != now.id):
        log.warning(
            f"alert.{now.status}",
            alert=now.alertname,
            target=now.target_id,
            description=now.annotations.get("description", ""),
        )
