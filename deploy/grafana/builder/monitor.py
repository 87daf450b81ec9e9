"""*Monitor*: the service itself."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as dashboards

from deploy.grafana.builder import frame, monitor_fleet
from deploy.grafana.builder.links import LinkedPanel, linked
from deploy.grafana.builder.panels import (
    GREEN,
    ORANGE,
    RED,
    STATES,
    TEXT,
    cell,
    color,
    colored,
    columns,
    stat,
    table,
    timeseries,
)
from deploy.grafana.builder.queries import query, selector

series = selector()
YES_NO = {"1": ("OK", GREEN), "0": ("Failed", RED)}
RATE = "$__rate_interval"
QUEUE = "impulse_monitor_notification_queue_length"


def rate(name: str, by: str, **matchers: str) -> str:
    """Increase per second of a counter."""
    return f"sum by ({by}) (rate({series(name, **matchers)}[{RATE}]))"


def quantile(q: float, histogram: str) -> str:
    """A quantile of a histogram of durations."""
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', 'le')})"


def dashboard() -> dashboards.Dashboard:
    """The dashboard."""
    built = frame.dashboard(
        "Impulse Monitor / Monitor",
        frame.MONITOR,
        "The service itself: does it pull, does it keep up, do its notifications arrive.",
        refresh="30s",
        since="now-6h",
    )
    for panel in _now():
        built.with_panel(linked(panel, "/", "Targets, and problems of the service"))
    for title, panels, path, what in (
        ("Pulls", _pulls(), "/?pull=failing", "Targets whose last pull failed"),
        ("Studio", _studio(), "/?pull=failing", "Targets whose last pull failed"),
        ("Notifications", _notifications(), "/config#receivers", "The receivers, and what was told"),
        ("Process", _process(), "/config", "The running configuration"),
    ):
        built.with_row(frame.row(title))
        for panel in panels:
            built.with_panel(linked(panel, path, what))
    built.with_variable(frame.count("processes", "Processes that share turns", monitor_fleet.LEADER))
    shared = [linked(panel, "/", "Targets, and problems of the service") for panel in monitor_fleet.panels()]
    built.with_row(frame.folded("Processes that share turns ($processes)", shared))
    return built


def _now() -> list[LinkedPanel]:
    heartbeat = series("impulse_monitor_scheduler_heartbeat_timestamp_seconds")
    return [
        stat(
            "Instances up",
            "Monitors that Prometheus can scrape; of a fleet each process.",
            query("A", f"sum({series('up', shard='')})", instant=True),
            steps=[(None, RED), (1, GREEN)],
        ),
        stat(
            "Targets",
            "Targets that are being watched.",
            query("A", monitor_fleet.total_targets(), instant=True),
        ),
        stat(
            "Heartbeat",
            "Since the scheduler's last heartbeat, the oldest of all instances; it beats every 5 seconds.",
            query("A", f"time() - min({heartbeat})", instant=True),
            unit="s",
            decimals=0,
            steps=[(None, GREEN), (30, ORANGE), (120, RED)],
        ),
        stat(
            "Configuration",
            "Whether the configuration was valid when last read; if not, the one before is running.",
            query("A", f"min({series('impulse_monitor_config_last_reload_successful')})", instant=True),
            texts=YES_NO,
        ),
        stat(
            "Store",
            "Whether the database can be used.",
            query("A", f"min({series('impulse_monitor_store_up')})", instant=True),
            texts=YES_NO,
        ),
        stat(
            "Good pulls",
            "Share of the pulls that gave a result set. Studio having no results is no failure.",
            query(
                "A",
                f'sum(rate({series("impulse_monitor_pulls_total")[:-1]}, outcome=~"ok|no_results"}}[{RATE}]))'
                f" / sum(rate({series('impulse_monitor_pulls_total')}[{RATE}]))",
            ),
            unit="percentunit",
            decimals=1,
            steps=[(None, TEXT), (0, RED), (0.5, ORANGE), (0.95, GREEN)],
            spark=True,
        ),
        stat(
            "Queue",
            "Notifications that no receiver has taken yet.",
            query("A", f"sum({monitor_fleet.of_senders(QUEUE)})", instant=True),
            decimals=0,
            steps=[(None, GREEN), (10, ORANGE), (100, RED)],
        ),
        stat(
            "Loop lag",
            "At the worst, between the last two heartbeats.",
            query("A", f"max({series('impulse_monitor_event_loop_lag_seconds')})", instant=True),
            unit="s",
            steps=[(None, GREEN), (0.25, ORANGE), (1, RED)],
        ),
    ]


def _pulls() -> list[LinkedPanel]:
    outcomes = timeseries(
        "Pulls by outcome",
        "Pulls per minute that ended, by outcome.",
        query("A", f"60 * {rate('impulse_monitor_pulls_total', 'outcome')} > 0", "{{outcome}}"),
        unit="cpm",
        stacked=True,
        limits=(0, None),
    )
    duration = "impulse_monitor_pull_duration_seconds"
    return [
        colored(outcomes, STATES),
        timeseries(
            "Duration of a pull",
            "From the first request to the figures; half, and 95 of 100, take no longer. Exact to the histogram's "
            "buckets.",
            query("A", quantile(0.5, duration), "half"),
            query("B", quantile(0.95, duration), "95 %"),
            unit="s",
            limits=(0, None),
        ),
        colored(
            timeseries(
                "Runs that did not start",
                "Per minute: overlap, the one before was still running; missed, its time had passed.",
                query("A", f"60 * {rate('impulse_monitor_pulls_skipped_total', 'reason')}", "{{reason}}"),
                unit="cpm",
                stacked=True,
                limits=(0, None),
                reaches=1,
            ),
            {"overlap": ORANGE, "missed": RED},
        ),
    ]


def _studio() -> list[LinkedPanel]:
    duration = "impulse_monitor_studio_request_duration_seconds"
    return [
        timeseries(
            "Requests by reply",
            "Requests to Studio per second by HTTP status; timeout and error got none.",
            query("A", rate("impulse_monitor_studio_requests_total", "code"), "{{code}}"),
            unit="reqps",
            width=6,
            stacked=True,
            limits=(0, None),
        ),
        timeseries(
            "Duration of a request",
            "With the reply's body; half, and 95 of 100, take no longer. Exact to the histogram's buckets.",
            query("A", quantile(0.5, duration), "half"),
            query("B", quantile(0.95, duration), "95 %"),
            unit="s",
            width=6,
            limits=(0, None),
        ),
        timeseries(
            "Sent again",
            "Requests and pulls started again, per minute, by reason.",
            query("A", f"60 * {rate('impulse_monitor_studio_retries_total', 'reason')}", "{{reason}}"),
            unit="cpm",
            width=6,
            stacked=True,
            limits=(0, None),
            reaches=1,
        ),
        timeseries(
            "Received",
            "Bodies of Studio's replies, after decompression.",
            query("A", rate("impulse_monitor_received_bytes_total", "instance"), "{{instance}}"),
            unit="Bps",
            width=6,
            limits=(0, None),
        ),
    ]


def _notifications() -> list[LinkedPanel]:
    sent = timeseries(
        "Notifications",
        "Attempts per minute to notify, by receiver and outcome.",
        query(
            "A", f"60 * {rate('impulse_monitor_notifications_total', 'receiver, outcome')}", "{{receiver}} {{outcome}}"
        ),
        unit="cpm",
        stacked=True,
        limits=(0, None),
    )
    alerts = timeseries(
        "Alerts",
        "The monitor's alerts about models, by state.",
        query("A", f"sum by (alertstate) ({series('edge_impulse_alerts')})", "{{alertstate}}"),
        unit="none",
        stacked=True,
        bars=True,
        limits=(0, None),
    )
    sent = sent.override_by_regexp("/ failed$/", [color(ORANGE)]).override_by_regexp(
        "/ (dropped|rejected)$/", [color(RED)]
    )
    return [
        sent,
        timeseries(
            "Notifications waiting",
            "Length of each receiver's queue, over all instances.",
            query("A", f"sum by (receiver) ({monitor_fleet.of_senders(QUEUE)})", "{{receiver}}"),
            unit="none",
            limits=(0, None),
            reaches=1,
        ),
        colored(alerts, {"firing": RED, "pending": ORANGE}),
    ]


def _process() -> list[LinkedPanel]:
    by_instance = "{{instance}}"
    instances = table(
        "Instances",
        "Version, shard and start of each process, when it last took over a configuration, and when its certificate "
        "expires.",
        query("A", f"max by (instance, version, python) ({series('impulse_monitor_build_info')})", table=True),
        query("B", f"max by (instance, index, total) ({series('impulse_monitor_shard_info')})", table=True),
        query("C", f"max by (instance) ({series('impulse_monitor_targets')})", table=True),
        query("D", f"1000 * max by (instance) ({series('process_start_time_seconds')})", table=True),
        query(
            "E",
            f"1000 * max by (instance) ({series('impulse_monitor_config_last_reload_success_timestamp_seconds')})",
            table=True,
        ),
        query(
            "F",
            f"1000 * min by (instance) ({series('impulse_monitor_certificate_expiry_timestamp_seconds')})",
            table=True,
        ),
        width=16,
        height=7,
    )
    instances = columns(
        instances,
        {
            "instance": "Instance",
            "version": "Version",
            "python": "Python",
            "index": "Shard",
            "total": "of",
            "Value #C": "Targets",
            "Value #D": "Started",
            "Value #E": "Configuration of",
            "Value #F": "Certificate until",
            "Value #A": None,
            "Value #B": None,
        },
    )
    for name, width in (("Instance", 135), ("Version", 70), ("Python", 70), ("Shard", 60), ("of", 45), ("Targets", 70)):
        instances = cell(instances, name, decimals=0, width=width)
    instances = cell(
        cell(instances, "Started", unit="dateTimeFromNow", width=130),
        "Configuration of",
        unit="dateTimeFromNow",
        width=130,
    )
    instances = cell(instances, "Certificate until", unit="dateTimeFromNow", width=130)
    unknown = timeseries(
        "Values not understood",
        "Values in Studio's replies that this version does not know and skipped, per minute and by field: a reason to "
        "update.",
        query("A", f"60 * {rate('impulse_monitor_unknown_values_total', 'field')}", "{{field}}"),
        unit="cpm",
        width=8,
        height=7,
        limits=(0, None),
    )
    return [
        timeseries(
            "CPU",
            "Processor cores in use.",
            query("A", rate("process_cpu_seconds_total", "instance"), by_instance),
            unit="none",
            width=6,
            limits=(0, None),
        ),
        timeseries(
            "Memory",
            "Resident memory.",
            query("A", f"sum by (instance) ({series('process_resident_memory_bytes')})", by_instance),
            unit="bytes",
            width=6,
            limits=(0, None),
        ),
        timeseries(
            "Event loop lag",
            "By how much the event loop was late, at the worst, between two heartbeats.",
            query("A", f"max by (instance) ({series('impulse_monitor_event_loop_lag_seconds')})", by_instance),
            unit="s",
            width=6,
            limits=(0, None),
        ),
        timeseries(
            "Scrape",
            "How long Prometheus waits for /metrics.",
            query("A", f"max by (instance) ({series('scrape_duration_seconds')})", by_instance),
            unit="s",
            width=6,
            limits=(0, None),
        ),
        instances,
        unknown,
    ]
