"""Steps of the tests of what the service serves."""

from __future__ import annotations

from tests.service_process import Service

ONE, THREE = "101-1-int8-testing", "103-1-int8-testing"


async def start(service: Service, *target_ids: str, alone: bool = False) -> None:
    """Start the service, and pull these targets; `alone`: no other one is pulled, however long it takes."""
    service.write()
    await service.app.start()
    await service.until(lambda: service.app.ready and set(target_ids) <= set(service.app.board.watched))
    for other in service.app.board.watched.keys() - set(target_ids) if alone else ():
        service.app.scheduler.remove(other)
    for target_id in target_ids:
        await pull(service, target_id)


async def pull(service: Service, target_id: str, step: int | None = None) -> None:
    """Pull a target, and wait for what it led to."""
    if step is not None:
        service.studio.timeline.pin(step)
    shown = service.app.board.snapshots
    before = shown[target_id].last_pull if target_id in shown else 0.0
    await service.until(lambda: service.app._roster.soon(target_id))  # it may be watched, and not scheduled yet
    await service.until(lambda: target_id in shown and shown[target_id].last_pull > before)
    await service.app.scheduler.drain()
