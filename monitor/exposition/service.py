"""`ServiceMetrics`: what the service counts about itself, and the observer that its other parts are given."""

from __future__ import annotations

import itertools
import platform
from collections.abc import Iterable, Mapping

import prometheus_client
from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from monitor import __version__
from monitor.errors import PullState
from monitor.exposition import catalogue as m
from monitor.exposition.catalogue import Metric
from monitor.exposition.collector import family
from monitor.live.live import Live

SKIP_REASONS = ("overlap", "missed")
RETRY_REASONS = (
    "rate_limited",
    "server_error",
    "timeout",
    "connection",
    "truncated",
    "not_json",
    "not_documented",
    "changed",
)
"""Why a request is sent, or a pull started, once more."""
NOTIFICATION_OUTCOMES = ("delivered", "failed", "rejected", "dropped")

PULL_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
REQUEST_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""Seconds. From a page out of a cache to a request at its default deadline, and beyond for longer ones."""


class ServiceMetrics:
    """The service's own metrics, those of the process and of Python.

    Counters whose labels form a closed set start at 0; gauges are absent until they are first set.

    Args:
        registry: Where they are registered.
        shard: Index and total of the shard.
        live: What is watched, counted at each scrape; None: nothing is.
    """

    def __init__(self, registry: CollectorRegistry, shard: tuple[int, int] = (0, 1), live: Live | None = None) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        build = Info(m.BUILD_INFO.family, m.BUILD_INFO.help, registry=registry)
        build.info({"version": __version__, "python": platform.python_version()})
        share = Info(m.SHARD_INFO.family, m.SHARD_INFO.help, registry=registry)
        share.info(dict(zip(m.SHARD_INFO.labels, map(str, shard), strict=True)))
        self._gauges = _Gauges(live)
        registry.register(self._gauges)
        self._pulls = _counter(m.PULLS, registry, PullState)
        self._pull_duration = _histogram(m.PULL_DURATION, registry, PULL_BUCKETS)
        self._skipped = _counter(m.PULLS_SKIPPED, registry, SKIP_REASONS)
        self._requests = _counter(m.STUDIO_REQUESTS, registry)
        self._request_duration = _histogram(m.STUDIO_REQUEST_DURATION, registry, REQUEST_BUCKETS)
        self._retries = _counter(m.STUDIO_RETRIES, registry, RETRY_REASONS)
        self._received = _counter(m.RECEIVED_BYTES, registry)
        self._unknown = _counter(m.UNKNOWN_VALUES, registry)
        self._notifications = _counter(m.NOTIFICATIONS, registry)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def request(self, call: str, code: str, seconds: float) -> None:
        """Count a request to Studio; `code` is the HTTP status, `timeout` or `error`."""
        self._requests.labels(call, code).inc()
        self._request_duration.observe(seconds)

    def retry(self, reason: str) -> None:
        """Count a request sent again, or a pull started again; `reason` is one of RETRY_REASONS."""
        self._retries.labels(reason).inc()

    def received(self, nbytes: int) -> None:
        """Count the bytes of a reply's body."""
        self._received.inc(nbytes)

    def unknown(self, field: str, count: int = 1) -> None:
        """Count values of a field that were skipped because their meaning is not known."""
        self._unknown.labels(field).inc(count)

    def pull(self, outcome: PullState, seconds: float) -> None:
        """Count a pull that ended."""
        self._pulls.labels(outcome).inc()
        self._pull_duration.observe(seconds)

    def skipped(self, reason: str) -> None:
        """Count a scheduled run that did not start; `reason` is one of SKIP_REASONS."""
        self._skipped.labels(reason).inc()

    def reload(self, ok: bool, now: float) -> None:
        """Note how the configuration's last load or reload ended; `now` in Unix seconds."""
        self._set(m.RELOAD_SUCCESSFUL, float(ok))
        if ok:
            self._set(m.RELOAD_SUCCESS_TIMESTAMP, now)

    def heartbeat(self, now: float) -> None:
        """Note that the scheduler lives; `now` in Unix seconds."""
        self._set(m.SCHEDULER_HEARTBEAT, now)

    def loop_lag(self, seconds: float) -> None:
        """Note by how much the event loop was late."""
        self._set(m.EVENT_LOOP_LAG, seconds)

    def notification(self, receiver: str, outcome: str) -> None:
        """Count an attempt to notify a receiver; `outcome` is one of NOTIFICATION_OUTCOMES."""
        self._notifications.labels(receiver, outcome).inc()

    def receivers(self, names: Iterable[str]) -> None:
        """Let the counters and queues of these receivers start at 0; the queues of others leave."""
        names = list(names)
        for name, outcome in itertools.product(names, NOTIFICATION_OUTCOMES):
            self._notifications.labels(name, outcome)
        queues = self._gauges.values.get(m.NOTIFICATION_QUEUE, {})
        self._gauges.values[m.NOTIFICATION_QUEUE] = {(name,): queues.get((name,), 0.0) for name in names}

    def queue_length(self, receiver: str, length: int) -> None:
        """Note how many notifications wait for a receiver; one that `receivers` did not name is not shown."""
        queues = self._gauges.values.get(m.NOTIFICATION_QUEUE, {})
        if (receiver,) in queues:
            self._gauges.values[m.NOTIFICATION_QUEUE] = {**queues, (receiver,): float(length)}

    def certificate(self, expires: float | None) -> None:
        """Note when the first certificate of the service's own chain expires, in Unix seconds; None without TLS."""
        if expires is None:
            self._gauges.values.pop(m.CERTIFICATE_EXPIRY, None)
        else:
            self._set(m.CERTIFICATE_EXPIRY, expires)

    def store(self, up: bool) -> None:
        """Note whether the store can be used."""
        self._set(m.STORE_UP, float(up))

    def _set(self, gauge: Metric, value: float) -> None:
        self._gauges.values[gauge] = {(): value}


class _Gauges(Collector):
    """Gauges that are absent until they are set: the client library's own start at 0, a heartbeat in 1970."""

    def __init__(self, live: Live | None) -> None:
        self._live = live
        # replaced as a whole: a scrape reads in another thread
        self.values: dict[Metric, Mapping[tuple[str, ...], float]] = {}

    def collect(self) -> Iterable[prometheus_client.Metric]:
        values = self.values.copy()
        if self._live is not None:
            values[m.TARGETS] = {(): float(len(self._live.targets))}
        for metric in m.METRICS:
            if metric in values:
                shown = family(metric)
                for labels, value in values[metric].items():
                    shown.samples.append(Sample(metric.name, dict(zip(metric.labels, labels, strict=True)), value))
                yield shown


def _counter(metric: Metric, registry: CollectorRegistry, known: Iterable[str] = ()) -> Counter:
    """A counter whose `known` label values start at 0, so that the first increase is one."""
    counter = Counter(metric.family, metric.help, metric.labels, unit=metric.family_unit, registry=registry)
    for value in known:
        counter.labels(value)
    return counter


def _histogram(metric: Metric, registry: CollectorRegistry, buckets: tuple[float, ...]) -> Histogram:
    return Histogram(metric.family, metric.help, buckets=buckets, unit=metric.family_unit, registry=registry)
