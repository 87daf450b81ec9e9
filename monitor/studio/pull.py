"""`pull`: the pages of one target, read while Studio may change them, as one consistent `ResultSet` or an error.

What a reading says is taken once two readings in a row say the same. The pull before counts as one of them, so that a
set that did not change is read once.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, fields

import structlog

from monitor.errors import Inconsistent, InvalidReply, NoResults, Unreachable
from monitor.results import ResultSet
from monitor.studio.columns import ColumnBuilder, SetChanged
from monitor.studio.last_readings import Versioned, strong
from monitor.studio.paging import Span, Walk
from monitor.studio.project import StudioProject
from monitor.studio.refusals import BodyTooLarge, Refused
from monitor.studio.request import Answer
from monitor.studio.versions import Versions
from monitor.studio.wire import Page
from monitor.targets import TargetKey

PAGE_BYTES = 1_000_000
"""A page near 1 MB decodes in a few milliseconds: small enough for the event loop, large enough to
make few requests.
"""
FIRST_PAGE = 50
LARGEST_PAGE = 1000
FILLED_ON_LOOP = 0.004
"""Seconds that filling columns from a page may take on the event loop; a page that seems to need more is filled in a
thread, which costs the hand-over there and back and, worse, two threads that compete for the interpreter.
"""
SLOW_FILLING = 2e-8
"""Seconds for each byte of a page of which nothing is known yet: what small boxes take."""
RESTARTS = 3
"""How many changes of the set a pull outlasts; with the two readings that must agree it takes up to `2 + RESTARTS`."""
DEADLINE = 30 * 60.0
"""Seconds for one pull, all its requests, retries and readings included."""

Progress = Callable[[int, int | None], None]
"""Called with the samples read so far and their total (None: not known); begins again with each reading."""

_Ahead = deque[tuple[Span, asyncio.Future[Answer[Page]]]]
"""Requests under way, in order of offset."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Filters:
    """Which samples of the category count, by Studio's own filters; None or empty: all.

    Lengths are in milliseconds, frequencies in hertz, dates ISO 8601; minima of ids and labels are inclusive, maxima
    exclusive. `metadata` is a list of `{key, op, values}`, and of the options `{no_metadata}` and
    `{filters_combinator}`.
    """

    data_type: str | None = None
    labels: Sequence[str] = ()
    metadata: Sequence[Mapping[str, object]] = field(default=())
    filename: str | None = None
    search: str | None = None
    min_date: str | None = None
    max_date: str | None = None
    min_id: int | None = None
    max_id: int | None = None
    min_label: float | None = None
    max_label: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_frequency: float | None = None
    max_frequency: float | None = None
    signature_validity: str | None = None

    def query(self) -> dict[str, str]:
        """As query parameters, lists as JSON. The options of `metadata` are always sent: which ones hold without them
        is not documented.
        """
        query = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None or value == ():
                continue
            if each.name == "metadata":
                value = _with_options(value)
            query[_camel(each.name)] = _text(value)
        return query


def _with_options(items: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    written = {name for item in items for name in item}
    options: dict[str, object] = {"no_metadata": False, "filters_combinator": "and"}
    return [*items, *({name: value} for name, value in options.items() if name not in written)]


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return json.dumps(value, ensure_ascii=False)


async def pull(
    studio: StudioProject,
    key: TargetKey,
    *,
    known: str | None = None,
    filters: Filters = Filters(),
    metadata: Sequence[str] = (),
    progress: Progress = lambda done, total: None,
    deadline: float = DEADLINE,
) -> ResultSet:
    """The full result set of one target.

    Args:
        studio: The project's calls.
        key: Which impulse, variant and category.
        known: Fingerprint of the result set that the pull before took; a reading that says the same needs no second
            one.
        filters: Narrows the samples.
        metadata: Keys of the samples' metadata to keep.
        progress: Called for each page.
        deadline: Seconds for the whole pull.

    Raises:
        NoResults: Studio holds no results for this target.
        Inconsistent: No two of `2 + RESTARTS` readings in a row said the same, or the server repeats itself page by
            page.
        InvalidReply: Also where samples of another category came than was asked for.
        StudioError: As `Client.get`; Unreachable where the deadline passed.
    """
    reading = _Reading(studio, key, filters, tuple(metadata), progress)
    last: str | None = None
    reason = ""
    try:
        async with asyncio.timeout(deadline):
            for _ in range(2 + RESTARTS):
                try:
                    results, unknown = await reading.read()
                    fingerprint = results.fingerprint()  # computed with the columns, off the loop where they are many
                    if fingerprint in (known, last):
                        _count(studio, unknown)
                        await reading.keep(results)
                        return results
                    del results  # the next reading needs the room
                    first = last is None
                    last = fingerprint
                    if not first:
                        raise SetChanged("two readings in a row differ")
                except SetChanged as changed:
                    reason = str(changed)
                    studio.client.observer.retry("changed")
                    log.info("pull.restarted", target=key.id, reason=reason)
    except TimeoutError as error:
        raise Unreachable(f"target {key.id}: the pull took longer than {deadline:g} s") from error
    raise Inconsistent(
        f"target {key.id}: no two of {2 + RESTARTS} readings in a row said the same (",
        reason,
        "); nothing was taken from them",
    )


def _count(studio: StudioProject, unknown: Counter[str]) -> None:
    for name, count in unknown.items():
        studio.client.observer.unknown(name, count)


class _Reading:
    """What successive readings of one target share: the page size that fits, and whether pages hold
    what is asked for.
    """

    def __init__(
        self, studio: StudioProject, key: TargetKey, filters: Filters, metadata: Sequence[str], progress: Progress
    ) -> None:
        self._studio = studio
        self._target = key.id
        self._category = key.category
        self._metadata = metadata
        self._progress = progress
        self._query = {
            "variant": key.variant,
            "impulseId": str(key.impulse_id),
            "category": key.category,
            **filters.query(),
        }
        name = (studio.project_id, *self._query.items(), self._metadata)
        self._versions = Versions(studio.client.readings, name, self._page)
        last = self._versions.last
        self._size = last.size if last is not None else FIRST_PAGE
        filling = last.filling if last is not None else None
        self._filling = SLOW_FILLING if filling is None else filling  # seconds for each byte
        self._first = True  # a second reading reads
        self._pages_read: list[Versioned | None] = []  # in the reading under way
        self._most = LARGEST_PAGE
        self._worked = 0  # the largest limit that was not refused
        self._irregular = False

    async def read(self) -> tuple[ResultSet, Counter[str]]:
        """One reading, and the values in it that are not known, by field.

        Raises:
            SetChanged: What was read does not fit together.
        """
        ahead: _Ahead = deque()
        self._pages_read = []
        if self._first:
            self._first = False
            if (unchanged := await self._unchanged(ahead)) is not None:
                return unchanged, Counter()
        builder = ColumnBuilder(self._metadata)
        walk = Walk()
        total = 0
        async with aclosing(self._pages(walk, ahead)) as pages:
            async for page, nbytes in pages:
                total += nbytes
                await self._fill(builder, page, nbytes)
                self._progress(len(walk.seen), walk.total)
        if not walk.seen:
            raise NoResults("Studio holds no model-testing results for this target; run model testing")
        walk.check()
        if walk.total is not None and len(walk.seen) < walk.total:
            log.debug("pull.short_pages", samples=len(walk.seen), total=walk.total)
        if total <= PAGE_BYTES:  # some milliseconds
            results = _finished(builder)
        else:
            results = await asyncio.to_thread(_finished, builder)
        if not results.windows:
            raise NoResults("Studio lists samples for this target but no prediction for any of them; run model testing")
        return results, builder.unknown

    async def _fill(self, builder: ColumnBuilder, page: Page, nbytes: int) -> None:
        """Add a page to the columns: on the loop where that is known to take little, by the page before."""
        if self._filling * nbytes <= FILLED_ON_LOOP:
            seconds = _seconds_of_adding(builder, page)
        else:
            seconds = await asyncio.to_thread(_seconds_of_adding, builder, page)
        self._filling = seconds / max(nbytes, 1)

    async def _unchanged(self, ahead: _Ahead) -> ResultSet | None:
        """What the last reading said, if Studio still has its pages; otherwise a first page that came is put into
        `ahead`.
        """
        versions = self._versions
        results = await versions.unchanged()
        if results is not None and versions.last is not None:
            self._pages_read += versions.last.pages
            self._progress(results.samples, results.samples)
        elif versions.first is not None:
            span, answer = versions.first
            versions.first = None  # it is not held for longer than the pages after it
            came = asyncio.get_running_loop().create_future()
            came.set_result(answer)
            ahead.append((span, came))
        return results

    async def keep(self, results: ResultSet) -> None:
        """Leave what was read last for the next pull: what it said, if Studio gave each of its pages a version."""
        # no more than the set has: some servers refuse a `limit` above their maximum
        size = min(self._size, max(results.samples, FIRST_PAGE))
        pages = [page for page in self._pages_read if page is not None]
        if len(pages) < len(self._pages_read):
            pages = []
        if await self._versions.were_wrong(results):
            log.warning(
                "pull.versions_wrong",
                target=self._target,
                why="other results came than in the pull before, under the same versions (ETag); versions of this "
                "target's pages are not named any more until a restart: look at caches and proxies in between",
            )
        self._versions.keep(size, pages, results, self._filling)

    async def _pages(self, walk: Walk, ahead: _Ahead) -> AsyncGenerator[tuple[Page, int], None]:
        """Pages in order, each with the size of its body, a few requested ahead as long as each held what was asked
        for; `ahead` may have the first one.
        """
        try:
            while (span := walk.next(self._size)) is not None:
                if ahead and ahead[0][0].offset == span.offset:
                    span = ahead[0][0]
                else:
                    await _cancel(ahead)
                    self._ask(ahead, span)
                self._ask_ahead(ahead, walk)
                try:
                    answer = await ahead[0][1]
                except (BodyTooLarge, Refused) as error:
                    self._make_smaller(span.limit, error)
                    await _cancel(ahead)
                    continue
                ahead.popleft()
                page = answer.reply
                assert page is not None  # it was asked for in any case
                self._check_category(page)
                ids = [result.sample_id for result in page.result or ()]
                walk.add(span, ids, page.total_count)
                self._irregular |= walk.irregular
                self._worked = max(self._worked, span.limit)
                self._size = max(1, min(self._most, PAGE_BYTES * max(len(ids), 1) // max(answer.nbytes, 1)))
                etag = strong(answer.etag)
                self._pages_read.append(Versioned(span, etag) if etag is not None else None)
                yield page, answer.nbytes
        finally:
            await _cancel(ahead)

    def _ask(self, ahead: _Ahead, span: Span) -> None:
        ahead.append((span, asyncio.create_task(self._page(span))))

    async def _page(self, span: Span, etag: str | None = None) -> Answer[Page]:
        query = {**self._query, "limit": str(span.limit), "offset": str(span.offset)}
        return await self._studio.page_unless(query, etag)

    def _ask_ahead(self, ahead: _Ahead, walk: Walk) -> None:
        if walk.total is None or walk.irregular or (self._irregular and not walk.by_limit):
            return
        while (end := ahead[-1][0].end) < walk.total and len(ahead) <= self._studio.client.in_flight_per_key:
            self._ask(ahead, Span(end, min(self._size, walk.total - end)))

    def _make_smaller(self, limit: int, error: BodyTooLarge | Refused) -> None:
        """Ask for fewer samples at a time: samples differ in size, and some servers refuse a `limit` above their
        maximum.
        """
        if isinstance(error, BodyTooLarge):
            if limit == 1:
                raise InvalidReply(error.within("", ", with a single sample")) from error
            self._size = limit // 5 or 1
            return
        if 0 < self._worked < limit:
            self._size = self._most = self._worked
        elif not self._worked and limit > FIRST_PAGE:  # it worked in the pull before
            self._size = self._most = FIRST_PAGE
        else:
            raise error

    def _check_category(self, page: Page) -> None:
        """Servers that do not know `category` answer with their default one.

        Raises:
            InvalidReply: A sample is of another category than was asked for.
        """
        for result in page.result or ():
            category = result.sample.category if result.sample else None
            if category is not None and category != self._category:
                raise InvalidReply(
                    "samples of the category ",
                    repr(category),
                    f" came where {self._category!r} was asked for; this Studio seems not to know `category` here: "
                    "watch the category that it gives",
                )


def _seconds_of_adding(builder: ColumnBuilder, page: Page) -> float:
    """Add a page; the seconds of processor time that it took."""
    began = time.thread_time()
    builder.add(page)
    return time.thread_time() - began


def _finished(builder: ColumnBuilder) -> ResultSet:
    """The result set; its fingerprint is computed once, here."""
    results = builder.finish()
    results.fingerprint()
    return results


async def _cancel(ahead: _Ahead) -> None:
    """Take back what was requested ahead."""
    tasks = [task for _, task in ahead]
    ahead.clear()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
