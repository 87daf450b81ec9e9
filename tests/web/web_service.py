"""Steps of the tests of what the service serves."""

from __future__ import annotations

from tests.service_process import Service

ONE, THREE = "101-1-int8-testing", "103-1-int8-testing"


async def start(service: Service, *target_ids: str, alone: bool = False) -> None:
    """Start the service, and pull these targets; `alone`: no other one is pulled, however long it takes."""
    service.write()
    await service.app.start()
    await service.until(lambda: service.app.ready and set(target_ids) <= set(service.app.live.watched))
    for entry in service.app.live.entries.values() if alone else ():
        service.app.scheduler.remove(entry.turn)
    for target_id in target_ids:
        await pull(service, target_id)


async def pull(service: Service, target_id: str, step: int | None = None) -> None:
    """Pull a target, and wait for what it led to."""
    if step is not None:
        service.studio.timeline.pin(step)

    def last_pull() -> float:
        shown = service.app.live.snapshots.get(target_id)
        return shown.last_pull if shown is not None else 0.0

    before = last_pull()
    await service.until(lambda: service.app.watchlist.pull_now(target_id))  # it may be watched, and not scheduled yet
    await service.until(lambda: last_pull() > before)
    await service.app.scheduler.drain()
