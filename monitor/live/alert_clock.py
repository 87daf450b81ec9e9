"""`AlertClock`: checks every few seconds what depends on the clock, for the alerts of all that is watched."""

from __future__ import annotations

import asyncio

import structlog

from monitor.live.live import Live
from monitor.pipeline.alerting import AlertEvaluator, locked_states
from monitor.store import Store, StoreError

TICK = 5.0
"""Seconds between two checks."""

log = structlog.get_logger()


class AlertClock:
    """Checks each subject with the evaluator, and shows the resulting states.

    Args:
        live: What is watched; shows the states.
        evaluator: Checks the rules.
        store: Where the states are.
    """

    def __init__(self, live: Live, evaluator: AlertEvaluator, store: Store) -> None:
        self._live = live
        self._evaluator = evaluator
        self._store = store

    async def restore(self) -> None:
        """Show the states that the store has.

        Raises:
            StoreError: The store cannot be read.
        """
        self._live.restore_alerts(await self._store.alert_states())

    async def tick(self) -> None:
        """Move on what depends on the clock, and end the alerts whose rule or subject has gone.

        Raises:
            StoreError: It could not be written; it is moved at the next check.
        """
        for subject_id in self._live.subjects():
            subject = self._live.subject(subject_id)
            if subject is None and not self._live.is_removed(subject_id):
                continue
            interrupted = subject_id in self._live.interrupted
            if interrupted or self._evaluator.moves(subject, self._live.alerts_of(subject_id)):
                try:
                    await self._move(subject_id)
                except StoreError:
                    if self._store.problem is not None:  # else it is something about this one
                        raise
                    log.exception("alert.move_refused", target=subject_id)
            await asyncio.sleep(0)  # a thousand targets are not checked in one go

    async def _move(self, subject_id: str) -> None:
        """Move a subject's alerts on, in a transaction of its own; afterwards those are shown that the store has."""
        async with self._evaluator.lock(subject_id):
            async with self._store.transaction() as tx:
                states = await locked_states(tx, subject_id)
                # as it is now: a reload may have come in between
                subject = self._live.subject(subject_id)
                if subject is None and not self._live.is_removed(subject_id):
                    return
                after = await self._evaluator.tick(tx, subject_id, subject, states)
            self._live.show_alerts(subject_id, after, complete=True)
            self._live.interrupted.discard(subject_id)

    async def run(self) -> None:
        """Check every few seconds until cancelled; a store that fails is tried again at the next check."""
        while True:
            await asyncio.sleep(TICK)
            try:
                await self.tick()
            except StoreError as error:
                log.debug("alert.tick_failed", error=str(error))  # StoreUpkeep reports the store's problem
            except Exception:  # a bug met in one check must not end the loop
                log.exception("alert.tick_crashed")
