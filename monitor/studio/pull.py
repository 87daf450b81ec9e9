"""`pull`: the pages of one target, read while Studio may change them, as one consistent `ResultSet` or an error."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec
import structlog

from monitor.errors import Inconsistent, InvalidReply, NoResults, Unreachable
from monitor.results import ResultSet
from monitor.studio.client import BodyTooLarge
from monitor.studio.columns import ColumnBuilder, SetChanged
from monitor.studio.project import StudioProject
from monitor.studio.wire import Page
from monitor.targets import TargetKey

PAGE_BYTES = 1_000_000
"""A page near 1 MB decodes in a few milliseconds: small enough for the event loop, large enough to make few requests."""
FIRST_PAGE = 50
LARGEST_PAGE = 1000
RESTARTS = 3
DEADLINE = 30 * 60.0
"""Seconds for one pull, all its requests, retries and restarts included."""

Progress = Callable[[int, int | None], None]
"""Called with the samples read so far and their total (None: not known)."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Filters:
    """Which samples of the category count; empty: all. `metadata` is Studio's list of filter objects."""

    data_type: str | None = None
    labels: tuple[str, ...] = ()
    metadata: Sequence[Mapping[str, object]] = field(default=())

    def query(self) -> dict[str, str]:
        """As query parameters, lists as JSON."""
        query = {}
        if self.data_type:
            query["dataType"] = self.data_type
        if self.labels:
            query["labels"] = json.dumps(self.labels, ensure_ascii=False)
        if self.metadata:
            query["metadata"] = json.dumps(list(self.metadata), ensure_ascii=False)
        return query


async def pull(
    studio: StudioProject,
    key: TargetKey,
    *,
    filters: Filters = Filters(),
    metadata: Sequence[str] = (),
    progress: Progress = lambda done, total: None,
    deadline: float = DEADLINE,
) -> ResultSet:
    """The full result set of one target.

    Args:
        studio: The project's calls.
        key: Which impulse, variant and category.
        filters: Narrows the samples.
        metadata: Keys of the samples' metadata to keep.
        progress: Told about each page.
        deadline: Seconds for the whole pull.

    Raises:
        NoResults: Studio holds no results for this target.
        Inconsistent: The result set changed in each of `1 + RESTARTS` readings.
        StudioError: As `Client.get`; Unreachable where the deadline passed.
    """
    query = {"variant": key.variant, "impulseId": str(key.impulse_id), "category": key.category, **filters.query()}
    reading = _Reading(studio, query, tuple(metadata), progress)
    try:
        async with asyncio.timeout(deadline):
            for _ in range(1 + RESTARTS):
                try:
                    return await reading.read()
                except BodyTooLarge:  # samples differ in size, and these are larger than those before
                    reading.shrink()
                    reason = "a page was too large"
                except SetChanged as changed:
                    studio.client.observer.retry("changed")
                    log.info("pull.restarted", target=key.id, reason=str(changed))
                    reason = str(changed)
    except TimeoutError as error:
        raise Unreachable(f"target {key.id}: the pull took longer than {deadline:g} s") from error
    raise Inconsistent(f"target {key.id}: the result set changed in each of {1 + RESTARTS} readings ({reason}); nothing was taken from it")


class _Reading:
    """What successive readings of one target share: the page size that fits, and whether `limit` is honoured."""

    def __init__(self, studio: StudioProject, query: Mapping[str, str], metadata: Sequence[str], progress: Progress) -> None:
        self._studio, self._query, self._metadata, self._progress = studio, query, metadata, progress
        self._size = FIRST_PAGE
        self._one_by_one = False

    async def read(self) -> ResultSet:
        """One reading.

        Raises:
            SetChanged: What was read does not fit together.
        """
        builder = ColumnBuilder(self._metadata)
        first, nbytes = await self._first_page()
        rows = len(first.result or ())
        if not rows:
            raise NoResults("Studio holds no model-testing results for this target; run model testing")
        limit, total = self._size, first.total_count
        await asyncio.to_thread(builder.add, first)
        witness = _digest(first)
        self._progress(rows, total)
        self._adapt(rows, nbytes)
        del first
        self._one_by_one |= total is None or rows != min(limit, total)
        pages = self._sequential(rows, total) if self._one_by_one else self._prefetched(rows, total or 0)
        async with aclosing(pages):
            async for page in pages:
                if page.total_count != total:
                    raise SetChanged(f"totalCount went from {total} to {page.total_count}")
                await asyncio.to_thread(builder.add, page)
                self._progress(builder.samples, total)
        if total is not None and builder.samples != total:
            raise SetChanged(f"{builder.samples} samples came where totalCount says {total}")
        again, _ = await self._page(0, limit)
        if _digest(again) != witness:
            raise SetChanged("the first page was another at the end")
        results = await asyncio.to_thread(builder.finish)
        for name, count in builder.unknown.items():
            self._studio.client.observer.unknown(name, count)
        return results

    async def _page(self, offset: int, limit: int) -> tuple[Page, int]:
        return await self._studio.page({**self._query, "limit": str(limit), "offset": str(offset)})

    async def _first_page(self) -> tuple[Page, int]:
        while True:
            try:
                return await self._page(0, self._size)
            except BodyTooLarge as error:
                if self._size == 1:
                    raise InvalidReply(f"{error}, with a single sample") from error
                self.shrink()

    def shrink(self) -> None:
        """Ask for fewer samples at a time."""
        self._size = max(1, self._size // 5)

    def _adapt(self, rows: int, nbytes: int) -> None:
        self._size = max(1, min(LARGEST_PAGE, PAGE_BYTES * rows // max(nbytes, 1)))

    async def _sequential(self, offset: int, total: int | None) -> AsyncGenerator[Page, None]:
        """Pages one after the other, from a server that names no total or does not honour `limit`; an empty page ends them."""
        while total is None or offset < total:
            page, nbytes = await self._page(offset, self._size)
            rows = len(page.result or ())
            if not rows:
                return
            self._adapt(rows, nbytes)
            yield page
            offset += rows

    async def _prefetched(self, offset: int, total: int) -> AsyncGenerator[Page, None]:
        """Pages in order, a few requested ahead."""
        ahead: deque[tuple[int, asyncio.Task[tuple[Page, int]]]] = deque()
        try:
            while offset < total or ahead:
                while offset < total and len(ahead) < self._studio.client.in_flight_per_key + 1:
                    rows = min(self._size, total - offset)
                    ahead.append((rows, asyncio.create_task(self._page(offset, rows))))
                    offset += rows
                expected, task = ahead[0]
                page, nbytes = await task
                ahead.popleft()
                rows = len(page.result or ())
                if rows != expected:
                    self._one_by_one = True  # it may be the server's own idea of a page: do not rely on `limit` any more
                    raise SetChanged(f"a page of {expected} samples came with {rows}")
                self._adapt(rows, nbytes)
                yield page
        finally:
            for _, task in ahead:
                task.cancel()
            await asyncio.gather(*(task for _, task in ahead), return_exceptions=True)


def _digest(page: Page) -> bytes:
    """Of the fields that are read: signed URLs differ from reply to reply."""
    return hashlib.blake2b(msgspec.json.encode(page)).digest()
