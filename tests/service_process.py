"""A running service with its configuration and its Studio, for tests of the service as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from monitor.service.app import App
from monitor.simulator import Studio
from tests.waiting import PATIENCE, until

TOKEN = "let-me-in-please"


class Service:
    """A running service, its configuration file and its Studio."""

    def __init__(self, path: Path, studio: Studio, url: str) -> None:
        self.path, self.studio, self.url = path, studio, url
        self.content: dict[str, Any] = {
            "studio": {"url": url, "timeout": "1m"},  # long: a machine may be busy
            "schedule": {"every": "1s"},
            "stale_after": "10m",  # a machine may be busy for minutes; tests of staleness say otherwise
            "http": {"listen": "127.0.0.1:0"},
            "projects": [self.entry(number) for number in studio.projects],
        }
        self.app = App(path)

    def entry(self, project_id: int, **fields: Any) -> dict[str, Any]:
        """An entry of the configuration."""
        return {"id": project_id, "api_key": self.studio.projects[project_id].api_key, **fields}

    def write(self) -> None:
        """Put the content into the file."""
        self.path.write_text(yaml.safe_dump(self.content), encoding="utf-8")

    async def get(self, path: str, **options: Any) -> tuple[int, str]:
        """Status and text of a GET."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{self.app.address}{path}", **options) as response,
        ):
            return response.status, await response.text()

    async def post(self, path: str, token: str | None = TOKEN) -> int:
        """Status of a POST."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://{self.app.address}{path}", headers=headers) as response,
        ):
            return response.status

    async def series(self, name: str) -> dict[str, float]:
        """Values of a metric by target id (or project id)."""
        await asyncio.sleep(1.1)  # a rendered page is kept for a second
        _, text = await self.get("/metrics")
        found = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and sample.value and sample.labels.get("state") != "ok":
                    labels = sample.labels
                    key = "-".join(
                        labels[part] for part in ("project_id", "impulse_id", "variant", "category") if part in labels
                    )
                    found[labels.get("state") or key] = sample.value
        return found

    async def until(self, holds: Callable[[], object], within: float = PATIENCE) -> None:
        """Wait until the app's state is as wanted."""
        await until(holds, within)

    async def pulled(self, *target_ids: str) -> None:
        """Wait until these targets, and no others, are shown with figures."""

        def are_shown() -> bool:
            snapshots = self.app.live.snapshots
            return set(snapshots) == set(target_ids) and all(shot.evaluation for shot in snapshots.values())

        await self.until(are_shown)

    async def restart(self, between: Callable[[], object] = lambda: None) -> None:
        """Stop the service, do something, and start another one on the same files."""
        await self.app.stop()
        between()
        self.app = App(self.path)
        await self.app.start()
