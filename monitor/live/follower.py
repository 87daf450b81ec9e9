"""`Follower`: keeps what is known of the targets in agreement with the store, where several processes write to it.

What changed is announced with the commit that changed it. Announcements get lost with a connection, so every so often
the store is asked for all that has changed since the last time: by transaction, since numbers that a sequence gives
become visible in another order than the one in which they were given.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection, Iterable
from dataclasses import replace

import structlog

from monitor.alerts.states import AlertState
from monitor.live.live import Live
from monitor.live.target import LiveTarget
from monitor.live.watchlist import Watchlist
from monitor.pipeline.record import RunRecorder
from monitor.pipeline.target_cache import TargetCache
from monitor.store import Store, StoreError
from monitor.store.fleet import FleetSession
from monitor.store.last_runs import LastRun
from monitor.store.transaction import QUEUE

SWEEP = 10.0
"""Seconds between two questions for all that has changed."""
GATHER = 0.2
"""Seconds for which announcements are gathered before they are acted on."""
_RETRY = 1.0
"""Seconds before what could not be read is read again."""

log = structlog.get_logger()


class Follower:
    """Reads again what other processes have written.

    Args:
        live: What is known.
        watchlist: Reads discoveries again.
        recorder: Restores what the store knows of a target.
        store: Where it is.
        session: Announces changes, and knows all of them.
    """

    def __init__(
        self, live: Live, watchlist: Watchlist, recorder: RunRecorder, store: Store, session: FleetSession
    ) -> None:
        self._live = live
        self._watchlist = watchlist
        self._recorder = recorder
        self._store = store
        self._session = session
        self._subjects: set[str] = set()
        self._queues: set[str] = set()
        self._news = asyncio.Event()
        self._known: dict[str, LastRun] = {}
        self._floor: int | None = None
        self._swept = -math.inf  # monotonic
        self._sweep_now = False
        self._following = False
        self._reading = asyncio.Lock()

    @property
    def caught_up(self) -> bool:
        """Whether all was read once."""
        return self._floor is not None

    @property
    def behind(self) -> float | None:
        """Seconds since when something may have changed that is not shown; None before all was read once."""
        return time.monotonic() - self._swept if self.caught_up else None

    def heard(self, payload: str) -> None:
        """An announcement of a change."""
        if payload.startswith(QUEUE):
            self._queues.add(payload.removeprefix(QUEUE))
        elif self._following:
            self._subjects.add(payload)
        self._news.set()

    def sweep(self) -> None:
        """Ask for all that has changed: announcements may have been lost."""
        self._sweep_now = True
        self._news.set()

    async def catch_up(self) -> None:
        """Read all that the store has; from then on what changes is followed.

        Raises:
            StoreError: The store cannot be read.
        """
        self._following = True
        async with self._reading:
            if not self.caught_up:
                await self._read_all()

    async def _read_all(self) -> None:
        floor = await self._session.snapshot()
        began = time.monotonic()
        await self._watchlist.read_again(list(self._live.entries))
        await self.refresh(self._live.targets)
        stored: dict[str, list[AlertState]] = {subject: [] for subject in self._live.subject_alerts}
        for state in await self._store.alert_states():
            stored.setdefault(state.target_id, []).append(state)
        for subject, states in stored.items():
            self._live.show_alerts(subject, states, complete=True, known=True)
        self._floor = floor
        self._swept = began

    def follow(self) -> None:
        """Read all that the store has as soon as `run` gets to it, and follow."""
        self._following = True
        self.sweep()

    def rest(self) -> None:
        """Follow no more: nothing here needs to know all."""
        self._following = False
        self._floor = None
        self._subjects.clear()

    async def run(self) -> None:
        """Act on what is announced, and sweep, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(SWEEP):
                    await self._news.wait()
                    await asyncio.sleep(GATHER)
            except TimeoutError:
                pass
            self._news.clear()
            try:
                if self._following:
                    await self._follow()
                self._store.arrivals.announce(self._taken(self._queues))
            except StoreError as error:  # its upkeep reports it
                log.debug("follow.failed", error=str(error))
                await asyncio.sleep(_RETRY)
                self.sweep()
            except Exception:  # a bug met in one look must not end the following
                log.exception("follow.crashed")

    async def _follow(self) -> None:
        if self._floor is None:
            await self.catch_up()
            return
        async with self._reading:
            await self._read_changed(self._floor)

    async def _read_changed(self, since: int) -> None:
        if self._sweep_now or time.monotonic() - self._swept >= SWEEP:
            self._sweep_now = False
            began = time.monotonic()
            floor = await self._session.snapshot()
            self._subjects.update(await self._session.changed_since(since))
            await self._apply(self._taken(self._subjects))
            self._floor = floor
            self._swept = began
        else:
            await self._apply(self._taken(self._subjects))

    @staticmethod
    def _taken(names: set[str]) -> set[str]:
        taken = set(names)
        names.clear()
        return taken

    async def _apply(self, subjects: Collection[str]) -> None:
        if not subjects:
            return
        try:
            entries = [name for name in subjects if name in self._live.entries]
            if entries:
                before = set(self._live.targets)
                await self._watchlist.read_again(entries)
                subjects = {*subjects, *(self._live.targets.keys() - before)}
            await self.refresh(subject for subject in subjects if subject in self._live.targets)
            await self.refresh_alerts(subjects)
        except StoreError:
            self._subjects.update(subjects)  # they are read at the next look
            raise

    async def refresh(self, target_ids: Iterable[str]) -> None:
        """Show what the store knows of targets, where it is not what is shown.

        Raises:
            StoreError: The store cannot be read.
        """
        wanted = [target_id for target_id in target_ids if target_id in self._live.targets]
        for target_id, last in (await self._store.last_runs(wanted)).items():
            target = self._live.targets.get(target_id)
            if target is not None:
                await self._show(target, last)
        if len(self._known) > len(self._live.targets):  # some have gone
            for target_id in self._known.keys() - self._live.targets.keys():
                del self._known[target_id]

    def forget(self, target: LiveTarget) -> None:
        """Know nothing of a target any more; it is read again when it is needed."""
        self._known.pop(target.id, None)
        target.snapshot = None
        target.cache = TargetCache()

    async def refresh_alerts(self, subjects: Collection[str]) -> None:
        """Show where the alerts of targets and projects stand.

        Raises:
            StoreError: The store cannot be read.
        """
        for subject, states in (await self._store.alert_states_of(subjects)).items():
            if states or self._live.alerts_of(subject):
                self._live.show_alerts(subject, states, complete=True, known=True)

    async def _show(self, target: LiveTarget, last: LastRun) -> None:
        known = self._known.get(target.id)
        shown = target.snapshot
        if known == last and shown is not None:
            return
        if shown is not None and ((known is not None and known.figures == last.figures) or _wrote(target, last)):
            success = last.good_seen if last.good_seen is not None else shown.last_success
            target.show(
                replace(shown, state=last.state, error=last.error, last_pull=last.last_seen, last_success=success)
            )
        else:
            cache = TargetCache()
            snapshot = await self._recorder.restore(target.target, target.watch.stale_after, cache)
            if self._store.problem is not None:
                raise self._store.problem
            if snapshot is None or self._live.targets.get(target.id) is not target:
                return
            target.cache = cache
            target.show(snapshot)
        self._known[target.id] = last


def _wrote(target: LiveTarget, last: LastRun) -> bool:
    """Whether the figures of a run are those that this process wrote, and shows."""
    written = target.cache.recorded
    return (
        written is not None
        and written.run.fingerprint is not None
        and (written.id, written.figures_id, written.run.fingerprint) == last.figures
        and target.snapshot is not None
        and target.snapshot.fingerprint == last.fingerprint
    )
