"""Which targets there are to ask about."""

from __future__ import annotations

from aiohttp import web

from monitor.web.service import Service


async def require_known(service: Service, target_id: str) -> None:
    """Refuse a target that neither the service nor the store knows.

    Raises:
        HTTPNotFound: Nobody knows it.
    """
    if target_id not in service.live.targets and target_id not in await service.store.target_ids():
        raise unknown(target_id)


def unknown(target_id: str) -> web.HTTPNotFound:
    """The answer about a target that nobody knows."""
    return web.HTTPNotFound(text=f"no target {target_id} is known; /api/v1/targets lists those that are")
