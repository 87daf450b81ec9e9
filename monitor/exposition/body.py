"""`Bodies`: the exposition as a whole, of what the client library renders at each scrape and of bytes that are kept."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import prometheus_client
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from monitor.exposition.collector import SnapshotCollector
from monitor.exposition.compression import LEVEL, Compressed, member
from monitor.exposition.metric import Metric
from monitor.exposition.rendered import RenderedSeries
from monitor.exposition.sources import Sources

Encoder = Callable[[Collector], bytes]
"""What the client library chose for a request."""

_END = b"# EOF\n"
"""The last line of OpenMetrics."""
_RENAMING = ("escaping=dots", "escaping=values")
"""How content types end whose names are written otherwise than they are, although they are plain."""


class Body:
    """The bytes of a scrape as they are kept, in parts: in one piece they would be the largest of all that is held.

    Args:
        parts: In order, each in pieces.

    Attributes:
        nbytes: How many bytes there are.
    """

    def __init__(self, parts: Sequence[Sequence[bytes]]) -> None:
        self._parts = parts
        self.nbytes = sum(map(len, chain.from_iterable(parts)))

    def __iter__(self) -> Iterator[bytes]:
        """The parts, each in one piece."""
        return map(b"".join, self._parts)

    def __bytes__(self) -> bytes:
        """All of it in one piece."""
        return b"".join(chain.from_iterable(self._parts))


class Bodies:
    """Makes the bodies of scrapes, the same bytes as the client library; for one thread at a time.

    Args:
        counted: What is collected and rendered at each scrape.
        sources: What is watched, whose series are kept; None for nothing.
    """

    def __init__(self, counted: Collector, sources: Sources | None) -> None:
        self._counted = counted
        self._sources = sources
        self._series = None if sources is None else RenderedSeries(sources)
        self._text = _Frame(generate_latest)
        self._openmetrics = _Frame(generate_openmetrics)

    def body(self, encoder: Encoder, content_type: str, compressed: bool) -> Body:
        """One body.

        Args:
            encoder: The client library's of the format.
            content_type: The format's.
            compressed: Whether by gzip.
        """
        if self._series is None or self._sources is None:
            return _whole(encoder(self._counted), compressed)
        if content_type.endswith(_RENAMING):
            return _whole(encoder(_Both(self._counted, SnapshotCollector(self._sources))), compressed)
        frame = self._openmetrics if content_type.startswith("application/openmetrics-text") else self._text
        counted = encoder(self._counted).removesuffix(_END)
        return frame.compressed(counted, self._series) if compressed else frame.joined(counted, self._series)


class _Frame:
    """One format around the kept series: the lines before those of each metric, and all of it compressed.

    Args:
        encoder: The client library's.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._end = encoder(_Family())
        self._heads: dict[Metric, bytes] = {}
        self._compressed: dict[Metric, tuple[int, Compressed]] = {}

    def joined(self, counted: bytes, series: RenderedSeries) -> Body:
        """What is counted, then the kept series, a part for each metric."""
        metrics = ((self._head(column.metric), *column.pieces) for column in series.columns())
        return Body([(counted,), *metrics, (self._end,)])

    def compressed(self, counted: bytes, series: RenderedSeries) -> Body:
        """The same as gzip; metrics whose lines are as they were are not compressed again."""
        before = self._compressed
        self._compressed = {}
        parts = [Compressed.of(counted)]
        for column in series.columns():
            metric, pieces, version = column
            known = before.get(metric)
            if known is None or known[0] != version:
                known = version, Compressed.of(b"".join([self._head(metric), *pieces]))
            self._compressed[metric] = known
            parts.append(known[1])
        return Body([(member([*parts, Compressed.of(self._end)]),)])

    def _head(self, metric: Metric) -> bytes:
        known = self._heads.get(metric)
        if known is None:
            known = self._heads[metric] = self._encoder(_Family(metric)).removesuffix(_END)
        return known


class _Family(Collector):
    """Metric families without series."""

    def __init__(self, *metrics: Metric) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[prometheus_client.Metric]:
        return (metric.empty_family() for metric in self._metrics)


class _Both(Collector):
    """The families of several collectors."""

    def __init__(self, *collectors: Collector) -> None:
        self._collectors = collectors

    def collect(self) -> Iterable[prometheus_client.Metric]:
        return chain.from_iterable(each.collect() for each in self._collectors)


def _whole(body: bytes, compressed: bool) -> Body:
    return Body([(gzip.compress(body, LEVEL) if compressed else body,)])
