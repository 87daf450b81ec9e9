"""`StoreUpkeep`: opens the store, sees whether it can be used, and forgets what is old."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from monitor.store import Store, StoreError

CHECK = 5.0
"""Seconds between two looks at the store; while it cannot be opened, the pause before the next attempt."""
PRUNE = 3600.0
"""Seconds between two rounds of deleting old runs."""
FILLED_AT_ONCE = 50
"""Documents of earlier releases that are summed up at one look."""

log = structlog.get_logger()


class Recorder(Protocol):
    """Writes runs."""

    @property
    def unrecorded(self) -> StoreError | None:
        """Why the last run could not be recorded although the store can be used; None where it was recorded."""


class Observer(Protocol):
    """Who shows whether the store can be used."""

    def store(self, up: bool) -> None: ...  # noqa: D102


class StoreUpkeep:
    """Opens, prunes and probes a store while the service runs. Its failures stop nothing else.

    Args:
        store: Not open yet.
        observer: Shows whether it can be used.
        clock: Unix seconds.
        restore: Each awaited, in this order, after the store was opened: they restore what it has.
        recorder: Writes the runs; None: no runs are written.
    """

    def __init__(
        self,
        store: Store,
        observer: Observer,
        clock: Callable[[], float],
        restore: Sequence[Callable[[], Awaitable[None]]] = (),
        recorder: Recorder | None = None,
    ) -> None:
        self._store = store
        self._observer = observer
        self._clock = clock
        self._restore = restore
        self._recorder = recorder
        self._open = False
        self._was_open = False
        self._reported = ""
        self._filled = False

    async def open(self) -> None:
        """Open the store, and restore what it has; a failure of either is logged once, and both are tried again."""
        try:
            await self._store.open()
            for restore in self._restore:
                await restore()
        except StoreError as error:
            self._note(error)
            return
        if self._store.began and self._was_open:
            log.error(
                "store.began_anew", store=repr(self._store), lost="history, baselines, alerts and messages of before"
            )
        self._open = self._was_open = True
        self._filled = False
        self._store.arrivals.announce_all()  # messages of before wait in it
        self._note(self._unrecorded)

    async def watch(self) -> None:
        """Open the store if that failed, and see whether it can be used, until cancelled."""
        while True:
            await asyncio.sleep(CHECK)
            try:
                if self._open:
                    await self._store.check()
                    self._open = self._store.opened
                    self._note(self._store.problem or self._unrecorded)
                    await self._fill()
                else:
                    await self.open()
            except Exception:  # a bug met in one look must not end the looking
                log.exception("store.watch_crashed")

    async def _fill(self) -> None:
        """Fill in, some at each look, what releases before this one did not write."""
        if self._filled or not self._open:
            return
        try:
            async with self._store.transaction() as tx:
                self._filled = await tx.fill_headlines(FILLED_AT_ONCE) < FILLED_AT_ONCE
        except StoreError as error:  # `check` says so as well; the next look comes
            log.debug("store.fill_failed", error=str(error))

    async def prune(self, retention: float) -> None:
        """Delete runs that are older than `retention` seconds."""
        if not self._open:
            return
        try:
            deleted = await self._store.prune(self._clock() - retention)
        except StoreError as error:
            log.warning("retention.failed", error=str(error))
            return
        log.info("retention.finished", runs=deleted, longest=round(self._store.retention.longest, 3))

    @property
    def _unrecorded(self) -> StoreError | None:
        return self._recorder.unrecorded if self._recorder is not None else None

    def _note(self, error: StoreError | None) -> None:
        self._observer.store(error is None)
        text = str(error or "")
        if text and not self._reported:
            log.error("store.failed", error=text)
        elif self._reported and not text:
            log.info("store.recovered")
        self._reported = text
