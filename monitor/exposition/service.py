"""`ServiceMetrics`: what the service counts about itself, and the observer that its other parts are given."""

from __future__ import annotations

import itertools
import platform
from collections.abc import Callable, Iterable, Mapping

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
from monitor.exposition.metric import Metric, MetricType, Scope
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
TURN_OUTCOMES = ("done", "crashed", "cancelled", "fenced", "busy", "unknown")
NOTIFICATION_OUTCOMES = ("delivered", "failed", "rejected", "dropped")

PULL_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
WAIT_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
REQUEST_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""Seconds. From a page out of a cache to a request at its default deadline, and beyond for longer ones."""


def _service(type: MetricType, name: str, meaning: str, *labels: str, unit: str = "") -> Metric:
    return Metric(name, type, Scope.SERVICE, meaning, labels, unit)


BUILD_INFO = _service(
    MetricType.INFO,
    "impulse_monitor_build_info",
    "1, with the versions of the monitor and of Python.",
    "version",
    "python",
)
TARGETS = _service(MetricType.GAUGE, "impulse_monitor_targets", "Targets that are being watched.")
RELOAD_SUCCESSFUL = _service(
    MetricType.GAUGE,
    "impulse_monitor_config_last_reload_successful",
    "1 if the configuration was valid when last read; 0 if it was not, and the one before is running.",
)
RELOAD_SUCCESS_TIMESTAMP = _service(
    MetricType.GAUGE,
    "impulse_monitor_config_last_reload_success_timestamp_seconds",
    "Unix time when a valid configuration was last applied.",
    unit="seconds",
)
PULLS = _service(MetricType.COUNTER, "impulse_monitor_pulls_total", "Pulls that ended, by outcome.", "outcome")
PULL_DURATION = _service(
    MetricType.HISTOGRAM, "impulse_monitor_pull_duration_seconds", "How long pulls took, good or not.", unit="seconds"
)
PULLS_SKIPPED = _service(
    MetricType.COUNTER,
    "impulse_monitor_pulls_skipped_total",
    "Scheduled runs that did not start: overlap (the one before was still running) or missed (its time had passed).",
    "reason",
)
STUDIO_REQUESTS = _service(
    MetricType.COUNTER,
    "impulse_monitor_studio_requests_total",
    "Requests to Studio by call and HTTP status; code is timeout or error where there was none.",
    "call",
    "code",
)
STUDIO_REQUEST_DURATION = _service(
    MetricType.HISTOGRAM,
    "impulse_monitor_studio_request_duration_seconds",
    "How long requests to Studio took, the reply's body included.",
    unit="seconds",
)
STUDIO_RETRIES = _service(
    MetricType.COUNTER,
    "impulse_monitor_studio_retries_total",
    "Requests sent again and pulls started again (changed), by reason.",
    "reason",
)
RECEIVED_BYTES = _service(
    MetricType.COUNTER,
    "impulse_monitor_received_bytes_total",
    "Bytes of the bodies of Studio's replies, after decompression.",
    unit="bytes",
)
UNKNOWN_VALUES = _service(
    MetricType.COUNTER,
    "impulse_monitor_unknown_values_total",
    "Values in Studio's replies that this version does not know and skipped, by field.",
    "field",
)
STORE_UP = _service(
    MetricType.GAUGE,
    "impulse_monitor_store_up",
    "1 if the store of runs could be used at the last access, else 0: pulls go on, comparisons and alerts wait.",
)
NOTIFICATIONS = _service(
    MetricType.COUNTER,
    "impulse_monitor_notifications_total",
    "Attempts to notify a receiver: delivered, failed (tried again), rejected (refused for good) or dropped (too many "
    "waited).",
    "receiver",
    "outcome",
)
NOTIFICATION_QUEUE = _service(
    MetricType.GAUGE,
    "impulse_monitor_notification_queue_length",
    "Notifications that wait for a receiver, as of the last look into its queue; 0 while none does.",
    "receiver",
)
CERTIFICATE_EXPIRY = _service(
    MetricType.GAUGE,
    "impulse_monitor_certificate_expiry_timestamp_seconds",
    "Unix time when the first certificate of the chain that the service itself is served with expires; absent without "
    "TLS.",
    unit="seconds",
)
EVENT_LOOP_LAG = _service(
    MetricType.GAUGE,
    "impulse_monitor_event_loop_lag_seconds",
    "By how much the event loop was late, at the worst, between the last two heartbeats.",
    unit="seconds",
)
SCHEDULER_HEARTBEAT = _service(
    MetricType.GAUGE,
    "impulse_monitor_scheduler_heartbeat_timestamp_seconds",
    "Unix time of the scheduler's last heartbeat; standing still means that nothing is pulled any more.",
    unit="seconds",
)

SHARD_INFO = _service(
    MetricType.INFO,
    "impulse_monitor_shard_info",
    "1, with the shard of the targets that this process watches.",
    "index",
    "total",
)

TURNS = _service(
    MetricType.COUNTER,
    "impulse_monitor_turns_total",
    "Turns of projects that this worker of a fleet was offered, by outcome: done, crashed, cancelled, fenced (another "
    "worker had taken it over), busy (another one had it) or unknown (its configuration lacks the project).",
    "outcome",
)
TURN_WAIT = _service(
    MetricType.HISTOGRAM,
    "impulse_monitor_turn_wait_seconds",
    "How long what was due of a project had waited when its turn was taken.",
    unit="seconds",
)
TURNS_DUE = _service(
    MetricType.GAUGE,
    "impulse_monitor_turns_due",
    "Projects whose turn is due and not taken, as the process that leads the fleet sees it; absent elsewhere.",
)
WORKERS = _service(
    MetricType.GAUGE,
    "impulse_monitor_workers",
    "Processes that take turns and gave a sign of life lately, as the one that leads the fleet sees it; absent "
    "elsewhere.",
)
LEADER = _service(
    MetricType.GAUGE, "impulse_monitor_leader", "1 if this process leads the fleet, else 0; absent without one."
)
CONFIGURATIONS_DIFFER = _service(
    MetricType.GAUGE,
    "impulse_monitor_config_differs",
    "Processes of the fleet whose configuration is not that of the one that leads it; absent elsewhere.",
)
REPLICA_LAG = _service(
    MetricType.GAUGE,
    "impulse_monitor_replica_lag_seconds",
    "Seconds since this process was last known to show all that the fleet's store has; absent without a fleet, and "
    "before all was read once.",
    unit="seconds",
)

METRICS = tuple(entry for entry in list(globals().values()) if isinstance(entry, Metric))
"""All of these, in this order."""


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
        build = Info(BUILD_INFO.family, BUILD_INFO.help, registry=registry)
        build.info({"version": __version__, "python": platform.python_version()})
        share = Info(SHARD_INFO.family, SHARD_INFO.help, registry=registry)
        share.info(dict(zip(SHARD_INFO.labels, map(str, shard), strict=True)))
        self._gauges = _Gauges(live)
        registry.register(self._gauges)
        self._pulls = _counter(PULLS, registry, PullState)
        self._pull_duration = _histogram(PULL_DURATION, registry, PULL_BUCKETS)
        self._skipped = _counter(PULLS_SKIPPED, registry, SKIP_REASONS)
        self._requests = _counter(STUDIO_REQUESTS, registry)
        self._request_duration = _histogram(STUDIO_REQUEST_DURATION, registry, REQUEST_BUCKETS)
        self._retries = _counter(STUDIO_RETRIES, registry, RETRY_REASONS)
        self._received = _counter(RECEIVED_BYTES, registry)
        self._unknown = _counter(UNKNOWN_VALUES, registry)
        self._notifications = _counter(NOTIFICATIONS, registry)
        self._registry = registry
        self._turns: Counter | None = None
        self._turn_wait: Histogram | None = None
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
        self._set(RELOAD_SUCCESSFUL, float(ok))
        if ok:
            self._set(RELOAD_SUCCESS_TIMESTAMP, now)

    def heartbeat(self, now: float) -> None:
        """Note that the scheduler lives; `now` in Unix seconds."""
        self._set(SCHEDULER_HEARTBEAT, now)

    def loop_lag(self, seconds: float) -> None:
        """Note by how much the event loop was late."""
        self._set(EVENT_LOOP_LAG, seconds)

    def notification(self, receiver: str, outcome: str) -> None:
        """Count an attempt to notify a receiver; `outcome` is one of NOTIFICATION_OUTCOMES."""
        self._notifications.labels(receiver, outcome).inc()

    def receivers(self, names: Iterable[str]) -> None:
        """Let the counters and queues of these receivers start at 0; the queues of others leave."""
        names = list(names)
        for name, outcome in itertools.product(names, NOTIFICATION_OUTCOMES):
            self._notifications.labels(name, outcome)
        queues = self._gauges.values.get(NOTIFICATION_QUEUE, {})
        self._gauges.values[NOTIFICATION_QUEUE] = {(name,): queues.get((name,), 0.0) for name in names}

    def queue_length(self, receiver: str, length: int) -> None:
        """Note how many notifications wait for a receiver; one that `receivers` did not name is not shown."""
        queues = self._gauges.values.get(NOTIFICATION_QUEUE, {})
        if (receiver,) in queues:
            self._gauges.values[NOTIFICATION_QUEUE] = {**queues, (receiver,): float(length)}

    def certificate(self, expires: float | None) -> None:
        """Note when the first certificate of the service's own chain expires, in Unix seconds; None without TLS."""
        if expires is None:
            self._gauges.values.pop(CERTIFICATE_EXPIRY, None)
        else:
            self._set(CERTIFICATE_EXPIRY, expires)

    def store(self, up: bool) -> None:
        """Note whether the store can be used."""
        self._set(STORE_UP, float(up))

    def in_fleet(self, lag: Callable[[], float | None]) -> None:
        """Let the series of a fleet begin.

        Args:
            lag: Seconds for which something may have changed that is not shown; None where that is not known.
        """
        self._turns = _counter(TURNS, self._registry, TURN_OUTCOMES)
        self._turn_wait = _histogram(TURN_WAIT, self._registry, WAIT_BUCKETS)
        self._gauges.lag = lag

    def turn(self, outcome: str) -> None:
        """Count a turn that was offered; `outcome` is one of TURN_OUTCOMES."""
        if self._turns is not None:
            self._turns.labels(outcome).inc()

    def turn_waited(self, seconds: float) -> None:
        """Count for how long something had been due when its turn was taken."""
        if self._turn_wait is not None:
            self._turn_wait.observe(max(0.0, seconds))

    def turns_due(self, number: int | None) -> None:
        """Note how many projects wait for their turn; None where another process knows."""
        self._set_or_leave(TURNS_DUE, number)

    def workers(self, number: int | None) -> None:
        """Note how many processes take turns; None where another one knows."""
        self._set_or_leave(WORKERS, number)

    def leader(self, leads: bool) -> None:
        """Note whether this process leads the fleet."""
        self._set(LEADER, float(leads))

    def configurations_differ(self, number: int | None) -> None:
        """Note how many processes have another configuration; None where another one knows."""
        self._set_or_leave(CONFIGURATIONS_DIFFER, number)

    def _set_or_leave(self, gauge: Metric, value: float | None) -> None:
        if value is None:
            self._gauges.values.pop(gauge, None)
        else:
            self._set(gauge, float(value))

    def _set(self, gauge: Metric, value: float) -> None:
        self._gauges.values[gauge] = {(): value}


class _Gauges(Collector):
    """Gauges that are absent until they are set: the client library's own start at 0, a heartbeat in 1970."""

    def __init__(self, live: Live | None) -> None:
        self._live = live
        # replaced as a whole: a scrape reads in another thread
        self.values: dict[Metric, Mapping[tuple[str, ...], float]] = {}
        self.lag: Callable[[], float | None] = lambda: None

    def collect(self) -> Iterable[prometheus_client.Metric]:
        values = self.values.copy()
        if self._live is not None:
            values[TARGETS] = {(): float(len(self._live.targets))}
        if (lag := self.lag()) is not None:
            values[REPLICA_LAG] = {(): lag}
        for metric in METRICS:
            if metric in values:
                shown = metric.empty_family()
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
