"""Exposition: what a scrape gets. The catalogue of metrics, snapshots turned into series, the service's own metrics,
the bytes.
"""

from monitor.exposition.catalogue import METRICS, describe
from monitor.exposition.collector import SnapshotCollector
from monitor.exposition.metric import Metric, Row
from monitor.exposition.rendering import Renderer
from monitor.exposition.service import ServiceMetrics

__all__ = ["METRICS", "Metric", "Renderer", "Row", "ServiceMetrics", "SnapshotCollector", "describe"]
