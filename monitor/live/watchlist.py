"""`Watchlist`: which targets are watched right now, and how; found by asking Studio, kept in agreement with the
configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import structlog

from monitor.config import Config
from monitor.engine.base import Engine, Turn
from monitor.engine.sharding import Shard
from monitor.engine.times import Grid, first_delay, spread_of, times_of
from monitor.errors import PullState, StudioError, quoted
from monitor.live import discoveries
from monitor.live.discovery_history import DiscoveryHistory
from monitor.live.entry import Entry
from monitor.live.live import Live
from monitor.live.studio_access import StudioAccess
from monitor.live.turns import Turns
from monitor.pipeline.alerting import AlertEvaluator
from monitor.pipeline.project_turn import studio_project
from monitor.pipeline.run import Pipeline
from monitor.pipeline.target_cache import TargetCache
from monitor.pipeline.watch import Watch
from monitor.store import Store, StoreError
from monitor.studio.discovery import Discovery, discover

REDISCOVER = 30.0
"""Seconds before a failed discovery is tried again; doubles up to the project's interval."""

log = structlog.get_logger()


class Watchlist:
    """Keeps `live` in agreement with the configuration and with Studio: discovers, and schedules the turns.

    Args:
        engine: Runs discoveries and turns.
        live: What is watched.
        turns: Pull the targets.
        pipeline: Restores what the store knows of a target.
        evaluator: Knows what a target's alerts compare with.
        store: Keeps discoveries over restarts.
        studio: The client.
        clock: Unix seconds.
        shard: Which of the targets are this process's.
    """

    def __init__(
        self,
        engine: Engine,
        live: Live,
        turns: Turns,
        pipeline: Pipeline,
        evaluator: AlertEvaluator,
        store: Store,
        studio: StudioAccess,
        clock: Callable[[], float],
        shard: Shard,
    ) -> None:
        self._engine = engine
        self._live = live
        self._turns = turns
        self._pipeline = pipeline
        self._evaluator = evaluator
        self._store = store
        self._studio = studio
        self._clock = clock
        self._shard = shard
        self._applied = False

    @property
    def first_round_done(self) -> bool:
        """Whether each project was asked for its targets once, however that ended."""
        return self._applied and all(entry.state is not None for entry in self._live.entries.values())

    async def apply(self, config: Config, *, rediscover: bool) -> None:
        """Diff the entries by name: add, keep, remove; new and changed ones are asked for at once, with `rediscover`
        all of them.
        """
        before = self._live.entries
        now = self._clock()
        new = (Entry(config, project, now, DiscoveryHistory(now)) for project in config.projects)
        wanted = {entry.name: entry for entry in new}
        for name in before.keys() - wanted.keys():
            self._engine.remove(name)
            self._engine.remove(before[name].turn)
        changed = []
        for name, entry in wanted.items():
            known = before.get(name)
            if rediscover or known is None or known.project != entry.project:
                changed.append(entry)
            if known is not None:  # the same object stays: a discovery that is under way will write to it
                known.config = config
                known.project = entry.project
                wanted[name] = known
        self._live.replace_entries(wanted.values())
        if not self._engine.distributed:  # another process may have another configuration, for as long as a roll-out
            await discoveries.forget(self._store, before.keys() - wanted.keys())
        await self.restore()
        self._reconcile()
        self._applied = True
        every = config.studio.discover
        for entry in changed:
            times = Grid(every, spread_of(entry.name) * every)
            run = partial(self._discover, entry.name)
            self._engine.add(entry.name, times, run, delay=0.0, group=entry.group, before_others=True)

    async def restore(self) -> None:
        """Restore what was known before a restart: how discoveries went, and targets and figures of entries that
        nothing is known of.
        """
        if self._engine.distributed:
            try:
                await self.read_again(list(self._live.entries))
            except StoreError as error:
                log.debug("discovery.not_restored", error=str(error))  # StoreUpkeep reports the store's problem
            return
        for entry in list(self._live.entries.values()):
            if self._store.problem is not None:
                break
            await discoveries.restore_history(self._store, entry)
            if entry.found is not None:
                continue
            try:
                found = await discoveries.load(self._store, entry.name)
            except (StoreError, ValueError) as error:
                log.warning("discovery.not_restored", project_id=entry.project.id, error=str(error))
                continue
            if found is not None:
                await self._restore_targets(entry, found)
                entry.found = entry.found or found  # a discovery may have ended meanwhile
        self._reconcile()

    async def read_again(self, names: Iterable[str]) -> None:
        """Read from the store what the last discoveries of entries, by name, found and how they went: another process
        may have made them.

        Raises:
            StoreError: The store cannot be read.
        """
        changed = False
        for name in names:
            entry = self._live.entries.get(name)
            if entry is not None and await discoveries.read_again(self._store, entry):
                entry.state = entry.history.ended
                entry.error = entry.history.error
                changed = True
        if changed:  # each turn asks, and to reconcile looks at every target
            self._reconcile()

    def pull_now(self, target_id: str) -> bool:
        """Pull a target now, if it is watched and its project was asked; answers whether it is. Where several processes
        share the turns, its entry's turn is due now.
        """
        target = self._live.targets.get(target_id)
        entry = self._live.entry_of(target) if target is not None else None
        if target is None or entry is None or entry.state is None:
            return False
        if self._engine.distributed:
            self._engine.run_now(entry.turn)
        else:
            self._turns.pull(entry, [target])
        return True

    async def _restore_targets(self, entry: Entry, found: Discovery) -> None:
        """Read what the store knows of the targets, so that figures outlive a restart; where several processes share
        the turns, `Follower` does.
        """
        for target in () if self._engine.distributed else found.targets:
            known = self._live.targets.get(target.key.id)
            if not self._shard.owns(target.key) or (known is not None and known.snapshot is not None):
                continue
            cache = TargetCache()
            snapshot = await self._pipeline.restore(Watch.of(entry.config, entry.project, target, found), cache)
            if snapshot is not None:
                entry.restored[target.key.id] = cache, snapshot

    async def _discover(self, name: str, _turn: Turn) -> None:
        entry = self._live.entries.get(name)
        if entry is None:
            return
        project = entry.project
        client = self._studio.client
        log_fields = {"project_id": project.id}
        before = entry.state
        try:
            found = await discover(await studio_project(client, project), project)
            await self._restore_targets(entry, found)
            entry.found = found
            entry.state = PullState.OK
            entry.failures = 0
            entry.error = ""
            known = {target.id: target.first_watched for target in self._live.targets.values()}
            entry.history = entry.history.found(found.targets, known, self._clock())
            log.info("discovery.finished", targets=len(found.targets), **log_fields)
        except StudioError as error:
            entry.state = error.state
            entry.error = str(error)
            (log.error if before is not error.state else log.info)(
                "discovery.failed", state=str(error.state), error=str(error), **log_fields
            )
        except Exception as error:
            entry.state = PullState.INVALID
            entry.error = quoted(repr(error))
            log.exception("discovery.crashed", error=repr(error), **log_fields)
        if entry.state is not PullState.OK:
            entry.history = entry.history.failed(self._clock(), entry.state, entry.error)
            self._discover_again(entry)
        if self._live.entries.get(name) is entry:
            await discoveries.keep(self._store, entry)
        replaced = self._live.entries.get(name) is not entry  # removed, and perhaps there again
        if replaced or entry.project is not project or self._studio.client is not client:
            # a reload came in between: what it asked for was skipped as an overlap
            self._engine.run_now(name, delay=1.0)
        self._reconcile(entry)

    def _discover_again(self, entry: Entry) -> None:
        """A refused key waits for the project's next turn; anything else is tried sooner, at a growing distance."""
        interval = entry.schedule.interval
        entry.failures += 1
        refused = entry.state in (PullState.AUTH, PullState.NOT_FOUND)
        delay = interval if refused else min(interval, REDISCOVER * 2 ** min(entry.failures - 1, 10))
        self._engine.run_now(entry.name, delay)

    def _reconcile(self, discovered: Entry | None = None) -> None:
        """Make what is watched and when agree with what the entries' discoveries found; failed ones keep what was
        known.

        Args:
            discovered: The entry that this process has just made the discovery of, if any.
        """
        wanted: dict[str, Watch] = {}
        began: dict[str, float] = {}  # over restarts
        now = self._clock()
        for entry in self._live.entries.values():
            for target_id, watch in self._watches_of(entry).items():
                wanted.setdefault(target_id, watch)
                known = entry.history.targets.get(target_id, now)
                began[target_id] = min(began.get(target_id, now), known)
        for target_id in self._live.targets.keys() - wanted.keys():
            self._live.forget(target_id)
        new: set[str] = wanted.keys() - self._live.targets.keys()
        for target_id, watch in wanted.items():
            target = self._live.targets.get(target_id)
            if target is None or target.watch is not watch:
                target = self._live.watch(watch)
                target.rules = self._evaluator.rules_for(watch.subject)
            target.first_watched = min(target.first_watched, began[target_id])
        for entry in self._live.entries.values():
            for target in self._live.targets_of(entry):
                restored = entry.restored.pop(target.id, None)
                if restored is not None and target.snapshot is None:  # a pull may have ended meanwhile
                    target.cache, snapshot = restored
                    target.show(snapshot)
            self._schedule(entry, new, discovered)

    def _schedule(self, entry: Entry, new: set[str], discovered: Entry | None) -> None:
        """Let an entry's turn come at the right times, and pull at once what is new in one that has its turns."""
        if entry.state is None or not entry.watches:  # discovery runs before the first pull, however it ends
            if entry.scheduled is not None:
                self._engine.remove(entry.turn)
                entry.scheduled = None
            return
        wanted = (entry.project, entry.schedule)
        if entry.scheduled == wanted:
            fresh = [target for target in self._live.targets_of(entry) if target.id in new]
            if not self._engine.distributed:
                self._turns.pull(entry, fresh)
            elif fresh and entry is discovered:  # the others hear of the same discovery
                self._engine.run_now(entry.turn)
            return
        times = times_of(entry.schedule, entry.spread)
        delay = first_delay(entry.schedule, entry.spread)
        if entry.scheduled is None:
            run = partial(self._turn, entry.name)
            self._engine.add(entry.turn, times, run, delay, overlaps=True, group=entry.group)
        else:
            self._engine.reschedule(entry.turn, times, delay)
        entry.scheduled = wanted

    async def _turn(self, name: str, turn: Turn) -> None:
        entry = self._live.entries.get(name)
        if entry is not None:
            await self._turns.run(turn, entry)

    def _watches_of(self, entry: Entry) -> dict[str, Watch]:
        """The watches of an entry's targets; the same objects as long as nothing about them changed, so that a thousand
        cost nothing.
        """
        made_of = (entry.config, entry.project, entry.found)
        same = len(entry.made_of) == len(made_of) and all(
            was is now for was, now in zip(entry.made_of, made_of, strict=True)
        )
        if not same:
            found = entry.found
            targets = [target for target in found.targets if self._shard.owns(target.key)] if found else []
            entry.watches = {
                target.key.id: Watch.of(entry.config, entry.project, target, found) for target in targets if found
            }
            entry.made_of = made_of
        return entry.watches
