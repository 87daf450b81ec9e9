"""What a scrape gets: the catalogue of metrics, how each is read, the service's own, and the bytes."""

from monitor.exposition.body import Body
from monitor.exposition.catalogue import METRICS, describe
from monitor.exposition.collector import SnapshotCollector
from monitor.exposition.metric import Metric, Row, Switch
from monitor.exposition.rendering import Renderer, ShardRenderers
from monitor.exposition.service import ServiceMetrics
from monitor.exposition.sources import Sources

__all__ = [
    "METRICS",
    "Body",
    "Metric",
    "Renderer",
    "Row",
    "ServiceMetrics",
    "ShardRenderers",
    "SnapshotCollector",
    "Sources",
    "Switch",
    "describe",
]
