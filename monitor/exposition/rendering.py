"""`Renderer`: from the metrics to the body of a scrape, in a thread, kept for about a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.registry import Collector

from monitor.engine.sharding import Shard
from monitor.exposition.body import Bodies, Body, Encoder
from monitor.exposition.sources import Sources


class _Format(NamedTuple):
    content_type: str
    compressed: bool


class Renderer:
    """Renders metrics for scrapes without holding up the event loop.

    One rendering runs at a time; scrapes that want the same format meanwhile share it, and those that come within
    `max_age` after it get its body.

    Args:
        counted: What is collected at each scrape.
        sources: What is watched; None for nothing.
        max_age: Seconds for which a body is served again.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        counted: Collector,
        sources: Sources | None = None,
        max_age: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bodies = Bodies(counted, sources)
        self._max_age = max_age
        self._clock = clock
        self._lock = asyncio.Lock()
        self._kept: dict[_Format, tuple[float, Body]] = {}
        self._running: dict[_Format, asyncio.Task[Body]] = {}

    async def render(self, accept: str, accept_encoding: str) -> tuple[Body, dict[str, str]]:
        """The exposition in the format that a request's headers ask for.

        Args:
            accept: The header `Accept`: OpenMetrics or the text format, which is also the answer to anything else.
            accept_encoding: The header `Accept-Encoding`: gzip or nothing.

        Returns:
            The body, and the headers that go with it.
        """
        encoder, content_type = _choose(accept)
        wanted = _Format(content_type, gzip_accepted(accept_encoding))
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        if wanted.compressed:
            headers["Content-Encoding"] = "gzip"
        task = self._running.get(wanted)
        if task is None:
            task = self._running[wanted] = asyncio.create_task(self._fresh(wanted, encoder))
            task.add_done_callback(lambda _: self._running.pop(wanted))
        # A client that goes away must not take the rendering from those who wait for the same.
        return await asyncio.shield(task), headers

    async def _fresh(self, wanted: _Format, encoder: Encoder) -> Body:
        async with self._lock:
            now = self._clock()
            # What is too old goes, also in other formats: clients choose them, and must not fill the memory with them.
            self._kept = {
                known: (since, body) for known, (since, body) in self._kept.items() if now - since < self._max_age
            }
            if wanted in self._kept:
                return self._kept[wanted][1]
            body = await asyncio.to_thread(self._bodies.body, encoder, wanted.content_type, wanted.compressed)
            self._kept[wanted] = self._clock(), body
            return body


class ShardRenderers:
    """Renderers of the shards that are asked for, without what the service counts about itself.

    Args:
        sources: Makes what a shard shows.
    """

    def __init__(self, sources: Callable[[Shard], Sources]) -> None:
        self._sources = sources
        self._renderers: dict[Shard, Renderer] = {}

    def of(self, shard: Shard) -> Renderer:
        """That of a shard; those of another number of shards are forgotten, with what they kept."""
        if any(known.total != shard.total for known in self._renderers):
            self._renderers.clear()
        known = self._renderers.get(shard)
        if known is None:
            known = self._renderers[shard] = Renderer(CollectorRegistry(), self._sources(shard))
        return known


def _choose(accept: str) -> tuple[Encoder, str]:
    try:
        return choose_encoder(accept)
    except TypeError:  # a version that is no number, which the client library cannot compare
        return choose_encoder("")
