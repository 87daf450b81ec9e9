"""A real Prometheus that finds what to scrape by the fleet's list, and is asked whether it has every target once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.chaos.members_parts import lasted
from tests.notify.notify_parts import free_port

_TARGET = "project_id, impulse_id, variant, category"


class Prometheus:
    """The server.

    Args:
        url: Of its API.
        shards: Into how many parts the series of models are divided.
    """

    def __init__(self, url: str, shards: int) -> None:
        self._url = url
        self._shards = shards

    @classmethod
    @asynccontextmanager
    async def running(cls, binary: str, folder: Path, web: str, shards: int) -> AsyncIterator[Prometheus]:
        """Start it, and end it; it asks that web replica for its list."""
        found = {"url": f"http://{web}/-/targets?of={shards}", "refresh_interval": "2s"}
        job = {"job_name": "impulse-monitor", "http_sd_configs": [found]}
        settings = {"global": {"scrape_interval": "2s"}, "scrape_configs": [job]}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        address = f"127.0.0.1:{free_port()}"
        options = [
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address={address}",
        ]
        with (folder / "prometheus.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(binary, *options, stdout=log, stderr=log)
        try:
            yield cls(f"http://{address}", shards)
        finally:
            process.terminate()
            await process.wait()

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query; nothing where it does not answer yet."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{self._url}/api/v1/query", params={"query": expression}) as response,
            ):
                return list((await response.json())["data"]["result"])
        except aiohttp.ClientError:
            return []

    async def scrapes_once(self, targets: int, processes: int) -> str:
        """Wait until it has so many targets, each once, from so many shards, and so many processes."""

        async def complete() -> bool:
            counts = [row["value"][1] for row in await self.query(f"count by ({_TARGET}) (edge_impulse_up)")]
            shards = await self.query("count by (shard) (edge_impulse_up)")
            up = await self.query('up{role!=""} == 1')
            return counts == ["1"] * targets and len(shards) == self._shards and len(up) == processes

        seconds = await lasted(complete)
        return f"{targets} targets once in {self._shards} shards, {processes} processes, after {seconds:.1f} s"
