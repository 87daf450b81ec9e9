"""`Changes`: what may be asked of the service, by a program or by a button; who asks has been authorized."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from aiohttp import web

from monitor.notify import Trial
from monitor.pipeline.baselines import pin, unpin
from monitor.store import Run
from monitor.views.history import wanted_run
from monitor.web.api.known import unknown
from monitor.web.service import Service

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Changes:
    """Each asks once; errors say what to do.

    Args:
        service: Of whom.
        whence: Where the one who asks was, as the reason of a baseline has it.
    """

    service: Service
    whence: str

    def pull(self, target_id: str) -> None:
        """Pull a target now.

        Raises:
            HTTPNotFound: It is not watched.
            HTTPConflict: It is not scheduled yet.
        """
        self._require(target_id)
        if not self.service.pull_now(target_id):
            raise web.HTTPConflict(
                text=f"target {target_id} is not pulled before its project's first discovery has ended; try again then"
            )
        log.info("pull.asked", target=target_id)

    async def pin(self, target_id: str, number: int | None) -> Run:
        """Pin a run of a target as its baseline, by default its last good one; answers which that is.

        Raises:
            HTTPNotFound: The target is not watched, or has no such run.
            HTTPConflict: Nothing can be compared with the run.
            StoreError: The store cannot be used.
        """
        self._require(target_id)
        store = self.service.store
        try:
            run = await wanted_run(store, target_id, number)
            await pin(store, run, f"pinned {self.whence}", self.service.clock())
        except LookupError as error:
            raise web.HTTPNotFound(text=str(error.args[0])) from None
        except ValueError as error:
            raise web.HTTPConflict(text=str(error)) from None
        log.info("baseline.pinned", target=target_id, run=run.id)
        return run

    async def unpin(self, target_id: str) -> bool:
        """Forget the pinned baseline of a target; answers whether there was one.

        Raises:
            HTTPNotFound: It is not watched.
            StoreError: The store cannot be used.
        """
        self._require(target_id)
        cleared = await unpin(self.service.store, target_id)
        log.info("baseline.cleared", target=target_id, pinned=cleared)
        return cleared

    async def test(self, receiver: str) -> Trial:
        """Send a test message to a receiver.

        Raises:
            HTTPNotFound: None has this name.
        """
        try:
            result = await self.service.test_receiver(receiver)
        except LookupError as error:
            raise web.HTTPNotFound(text=str(error.args[0])) from None
        log.info("notify.tested", receiver=receiver, delivered=result.delivered, error=result.error or None)
        return result

    def _require(self, target_id: str) -> None:
        if target_id not in self.service.live.targets:
            raise unknown(target_id)
