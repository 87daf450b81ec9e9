"""*Monitor*: what several processes that share their turns do, and figures that must not count them several times."""

from __future__ import annotations

from deploy.grafana.builder.links import LinkedPanel
from deploy.grafana.builder.panels import BLUE, GREEN, ORANGE, RED, TEXT, colored, timeseries
from deploy.grafana.builder.queries import query, selector

series = selector()
RATE = "$__rate_interval"
LEADER = series("impulse_monitor_leader")
"""Each process of a fleet has it, and no other process."""
_SAME = "on (namespace, job, instance)"


def total_targets() -> str:
    """All targets: those of processes of their own add up, and each process of a fleet knows all of the fleet's."""
    targets = series("impulse_monitor_targets")
    return f"sum(({targets} unless {_SAME} {LEADER}) or max by (namespace, job) ({targets} and {_SAME} {LEADER}))"


def of_senders(gauge: str) -> str:
    """A gauge of what is sent, without the processes of a fleet that do not lead: they have what they last knew."""
    return f"({series(gauge)} unless {_SAME} ({LEADER} == 0))"


def panels() -> list[LinkedPanel]:
    """What the row shows."""
    outcomes = timeseries(
        "Turns by outcome",
        "Turns of projects per minute, over all workers. Busy ones are offered again, fenced ones were taken over by "
        "another worker.",
        query("A", f"60 * sum by (outcome) (rate({series('impulse_monitor_turns_total')}[{RATE}])) > 0", "{{outcome}}"),
        unit="cpm",
        stacked=True,
        limits=(0, None),
    )
    states = timeseries(
        "Workers",
        "Processes that take turns, that lead (always one), and whose configuration is not the leader's.",
        query("A", f"max({series('impulse_monitor_workers')})", "workers"),
        query("B", f"sum({LEADER})", "leaders"),
        query("C", f"max({series('impulse_monitor_config_differs')})", "other configuration"),
        unit="none",
        limits=(0, None),
        reaches=1,
    )
    return [
        colored(
            outcomes,
            {"done": GREEN, "crashed": RED, "cancelled": ORANGE, "fenced": RED, "busy": BLUE, "unknown": TEXT},
        ),
        timeseries(
            "Wait for a turn",
            "From when something was due until a worker took the turn; half, and 99 of 100, waited no longer. Exact to "
            "the histogram's buckets.",
            *(query(ref, _waited(q), name) for ref, q, name in (("A", 0.5, "half"), ("B", 0.99, "99 %"))),
            unit="s",
            limits=(0, None),
        ),
        timeseries(
            "Turns that wait",
            "Projects that are due and that no worker has, as the leader sees it.",
            query("A", f"max({series('impulse_monitor_turns_due')})", "due"),
            unit="none",
            limits=(0, None),
            reaches=1,
        ),
        colored(states, {"workers": GREEN, "leaders": BLUE, "other configuration": ORANGE}),
        timeseries(
            "Leader",
            "The process that plans turns, looks at the clock of alerts, and notifies. Any process may lead.",
            query("A", f"max by (instance) ({LEADER}) > 0", "{{instance}}"),
            unit="none",
            bars=True,
            limits=(0, None),
        ),
        timeseries(
            "Replica lag",
            "For how long something may have changed in the store that a process does not show; it looks every 10 s.",
            query("A", f"max by (instance) ({series('impulse_monitor_replica_lag_seconds')})", "{{instance}}"),
            unit="s",
            limits=(0, None),
        ),
    ]


def _waited(q: float) -> str:
    buckets = series("impulse_monitor_turn_wait_seconds_bucket")
    return f"histogram_quantile({q}, sum by (le) (rate({buckets}[{RATE}])))"
