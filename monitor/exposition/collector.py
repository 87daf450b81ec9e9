"""`SnapshotCollector`: metric families from the current snapshots, as the client library takes them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import prometheus_client
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from monitor.exposition.catalogue import METRICS
from monitor.exposition.metric import Scope
from monitor.exposition.sources import Sources, label


class SnapshotCollector(Collector):
    """Everything that is watched, as metric families in the catalogue's order; families without a series are left out.

    Makes each sample anew at each scrape: `RenderedSeries` says the same in bytes that it keeps.

    Args:
        sources: What is shown.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterable[prometheus_client.Metric]:
        """The families of one scrape."""
        families = {metric: metric.empty_family() for metric in METRICS if metric.scope is not Scope.SERVICE}
        for part in self._sources.parts():
            for basis in part.bases.values():
                common = basis.labels()
                source = basis.source()
                for metric in part.metrics:
                    for value, labels in metric.read(source):
                        if value is not None and math.isfinite(value):
                            own = {name: label(text) for name, text in zip(metric.labels, labels, strict=True)}
                            families[metric].samples.append(Sample(metric.name, {**common, **own}, float(value)))
        return [shown for shown in families.values() if shown.samples]
