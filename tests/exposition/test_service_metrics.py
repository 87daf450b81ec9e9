"""What the service says about itself."""

import platform

import pytest
from prometheus_client import REGISTRY, CollectorRegistry

from monitor import __version__
from monitor.errors import PullState
from monitor.exposition import METRICS, ServiceMetrics
from monitor.exposition.metric import MetricType, Scope
from tests.exposition.exposition_boards import NOW, registry, series, target
from tests.live.live_parts import live_of, watch_of


@pytest.fixture
def made() -> CollectorRegistry:
    """A registry of its own."""
    return CollectorRegistry()


@pytest.fixture
def metrics(made: CollectorRegistry) -> ServiceMetrics:
    """Metrics nobody has used yet."""
    return ServiceMetrics(made)


def value(made: CollectorRegistry, name: str, **labels: str) -> float | None:
    """One series of the service; None where it is absent."""
    return made.get_sample_value(f"impulse_monitor_{name}", labels)


def test_build_info(made: CollectorRegistry, metrics: ServiceMetrics) -> None:
    """The versions of the monitor and of Python are there from the start."""
    assert value(made, "build_info", version=__version__, python=platform.python_version()) == 1


def test_known_children_start_at_zero(made: CollectorRegistry, metrics: ServiceMetrics) -> None:
    """A counter over a closed set starts at 0, so that `increase` sees its first event."""
    for outcome in PullState:
        assert value(made, "pulls_total", outcome=outcome.value) == 0
    for reason in ("overlap", "missed"):
        assert value(made, "pulls_skipped_total", reason=reason) == 0
    for reason in (
        "rate_limited",
        "server_error",
        "timeout",
        "connection",
        "truncated",
        "not_json",
        "not_documented",
        "changed",
    ):
        assert value(made, "studio_retries_total", reason=reason) == 0
    assert value(made, "received_bytes_total") == 0


def test_gauges_are_absent_until_they_are_set(made: CollectorRegistry, metrics: ServiceMetrics) -> None:
    """No heartbeat is not a heartbeat in 1970, and no reload not a failed one."""
    gauges = {metric.name for metric in METRICS if metric.scope is Scope.SERVICE and metric.type is MetricType.GAUGE}

    assert len(gauges) == 13
    assert not gauges & {name for name, _ in series(made.collect())}


def test_requests(made: CollectorRegistry, metrics: ServiceMetrics) -> None:
    """Requests are counted by call and code, and their times observed."""
    metrics.request("page", "200", 0.3)
    metrics.request("page", "200", 0.04)
    metrics.request("impulses", "timeout", 60.0)

    assert value(made, "studio_requests_total", call="page", code="200") == 2
    assert value(made, "studio_requests_total", call="impulses", code="timeout") == 1
    assert value(made, "studio_request_duration_seconds_count") == 3
    assert pytest.approx(60.34) == value(made, "studio_request_duration_seconds_sum")
    assert value(made, "studio_request_duration_seconds_bucket", le="0.5") == 2
    assert value(made, "studio_request_duration_seconds_bucket", le="60.0") == 3


def test_pulls(made: CollectorRegistry, metrics: ServiceMetrics) -> None:
    """Pulls are counted by outcome; a pull of half an hour still has a bucket."""
    metrics.pull(PullState.OK, 2.0)
    metrics.pull(PullState.NO_RESULTS, 1799.0)

    assert value(made, "pulls_total", outcome="ok") == 1
    assert value(made, "pulls_total", outcome="no_results") == 1
    assert value(made, "pulls_total", outcome="auth") == 0
    assert value(made, "pull_duration_seconds_bucket", le="2.5") == 1
    assert value(made, "pull_duration_seconds_bucket", le="1800.0") == 2


def test_counts(made: CollectorRegistry, metrics: ServiceMetrics) -> None:
    """Retries, bytes, unknown values and skipped runs add up."""
    metrics.retry("rate_limited")
    metrics.retry("rate_limited")
    metrics.received(10)
    metrics.received(5)
    metrics.unknown("type")
    metrics.unknown("type", 3)
    metrics.skipped("missed")

    assert value(made, "studio_retries_total", reason="rate_limited") == 2
    assert value(made, "received_bytes_total") == 15
    assert value(made, "unknown_values_total", field="type") == 4
    assert (
        value(made, "pulls_skipped_total", reason="missed"),
        value(made, "pulls_skipped_total", reason="overlap"),
    ) == (1, 0)


def test_reload(made: CollectorRegistry, metrics: ServiceMetrics) -> None:
    """A bad reload shows, and keeps the time of the last good one."""
    metrics.reload(True, NOW)
    assert value(made, "config_last_reload_successful") == 1

    metrics.reload(False, NOW + 60)

    assert value(made, "config_last_reload_successful") == 0
    assert value(made, "config_last_reload_success_timestamp_seconds") == NOW


def test_gauges_show_the_latest(made: CollectorRegistry, metrics: ServiceMetrics) -> None:
    """Heartbeat and lag are the last that were set; targets are counted at the scrape."""
    live = live_of()
    counting = CollectorRegistry()
    ServiceMetrics(counting, live=live)
    none = value(counting, "targets")
    live.watch(watch_of(target()))
    metrics.heartbeat(NOW)
    metrics.heartbeat(NOW + 5)
    metrics.loop_lag(0.25)

    assert value(made, "scheduler_heartbeat_timestamp_seconds") == NOW + 5
    assert value(made, "event_loop_lag_seconds") == 0.25
    assert value(made, "targets") is None
    assert (0, 1) == (none, value(counting, "targets"))


def test_queues(made: CollectorRegistry, metrics: ServiceMetrics) -> None:
    """Each configured receiver has a queue, empty ones too; the queue of one that left the configuration leaves, and
    stays away.
    """
    metrics.receivers(["hook", "chat"])
    metrics.queue_length("hook", 3)
    assert (3, 0) == (
        value(made, "notification_queue_length", receiver="hook"),
        value(made, "notification_queue_length", receiver="chat"),
    )

    metrics.receivers(["chat", "mail"])
    metrics.queue_length("hook", 5)
    queues = {labels for name, labels in series(made.collect()) if name == "impulse_monitor_notification_queue_length"}

    assert {frozenset({("receiver", "chat")}), frozenset({("receiver", "mail")})} == queues


def test_certificate(made: CollectorRegistry, metrics: ServiceMetrics) -> None:
    """The certificate's expiry is there with TLS, and absent without."""
    metrics.certificate(NOW)
    assert value(made, "certificate_expiry_timestamp_seconds") == NOW

    metrics.certificate(None)

    assert value(made, "certificate_expiry_timestamp_seconds") is None


def test_no_created_series(made: CollectorRegistry, metrics: ServiceMetrics) -> None:
    """Counters and histograms come without `_created`, which would double their series."""
    metrics.pull(PullState.OK, 1.0)

    assert not [name for name, _ in series(made.collect()) if name.endswith("_created")]


def test_process_and_python(made: CollectorRegistry, metrics: ServiceMetrics) -> None:
    """The client library's metrics of the process and of Python are there."""
    names = {name for name, _ in series(made.collect())}

    assert {"python_info", "python_gc_collections_total"} <= names
    if platform.system() == "Linux":
        assert {"process_resident_memory_bytes", "process_start_time_seconds"} <= names


def test_registry_is_injected(made: CollectorRegistry, metrics: ServiceMetrics) -> None:
    """Nothing is registered globally, so that two services can live in one process."""
    ServiceMetrics(registry(live_of()))

    assert not [family.name for family in REGISTRY.collect() if family.name.startswith("impulse_monitor")]
