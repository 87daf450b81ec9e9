"""*Fleet*: every target at a glance, the worst first."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as dashboards

from deploy.grafana.builder import fleet_tables, frame
from deploy.grafana.builder.figures import GLANCE, heading, named, unit
from deploy.grafana.builder.fleet_series import (
    CHANGE,
    FIRING,
    UP,
    by_target,
    of_target,
    series,
)
from deploy.grafana.builder.links import linked
from deploy.grafana.builder.panels import (
    DROP,
    GREEN,
    ORANGE,
    POINTS,
    RED,
    STATES,
    TEXT,
    PanelBuilder,
    bargauge,
    colored,
    link,
    stat,
    timeseries,
)
from deploy.grafana.builder.queries import TARGET_NAME, in_points, query
from monitor.figures.headline import HeadlineFigure, with_test

CHARTS = {
    "accuracy": (
        "",
        "Windows that Studio calls correct of the scored ones; for regression those within the tolerance.",
    ),
    "mean_f1": ("", "Mean F1 over classes; for FOMO over images."),
    "map": ("", "COCO mAP, IoU 0.50:0.95, of box detectors."),
    "anomaly_flagged": (
        "Flagged as anomalous",
        "Share of windows whose anomaly score is above the block's threshold; the highest of a target's blocks.",
    ),
}
"""Titles and descriptions of figures' charts, where the table's own would not do."""
COUNT_IS_BAD = [(None, GREEN), (1, RED)]
LINES = 10
"""How many targets a chart shows: more lines could not be told apart."""
ALL_TARGETS = "All targets, worst first"


EXPIRY = series("edge_impulse_api_key_expiry_timestamp_seconds")
TO_BOTH = [*link("Open target", frame.SERIES_TO_TARGET), *link("At the monitor", frame.SERIES_TO_PAGE, new_tab=True)]


def dashboard() -> dashboards.Dashboard:
    """The dashboard."""
    built = frame.dashboard(
        "Impulse Monitor / Fleet",
        frame.FLEET,
        "All models under watch: which are worse than their baseline, which alerts fire, and whose figures are old.",
        refresh="30s",
        since="now-24h",
    )
    for panel in _now():
        built.with_panel(panel)
    built.with_panel(fleet_tables.targets())
    for panel in _alerts():
        built.with_panel(panel)
    for row in GLANCE:
        built.with_panel(_fell_most(row))
    for panel in _upkeep():
        built.with_panel(panel)
    return built


def _alerts() -> list[PanelBuilder]:
    over_time = timeseries(
        "Alerts over time",
        "Alerts that fire, by name.",
        query("A", f"sum by (alertname) ({FIRING})", "{{alertname}}"),
        unit="none",
        width=9,
        height=10,
        stacked=True,
        bars=True,
        limits=(0, None),
        no_value="No alert fired in this time",
    )
    return [fleet_tables.alerts(), linked(over_time, "/alerts", "All alerts")]


def _upkeep() -> list[PanelBuilder]:
    age = f"time() - {by_target('max', series('edge_impulse_last_success_timestamp_seconds'))}"
    oldest = bargauge(
        "Oldest figures by target",
        "Age of the last good pull of the eight targets where it is longest ago.",
        query("A", f"sort_desc(topk(8, {age}))", TARGET_NAME, instant=True),
        unit="s",
        width=7,
        height=10,
        names_above=True,
        no_value="No good pull yet",
    ).data_links(TO_BOTH)
    states = timeseries(
        "Pulls by state",
        "Targets by how their last pull ended.",
        query("A", f"sum by (state) ({series('edge_impulse_pull_state')}) > 0", "{{state}}"),
        unit="none",
        width=7,
        height=10,
        stacked=True,
        bars=True,
        limits=(0, None),
        no_value="No pull in this time",
    )
    return [
        linked(oldest, "/?sort=-age", "Targets, oldest figures first"),
        linked(colored(states, STATES), "/?pull=failing", "Targets whose last pull failed"),
        fleet_tables.projects(),
    ]


def _now() -> list[PanelBuilder]:
    return [
        linked(
            stat(
                "Targets",
                "Impulses and variants that are being watched.",
                query("A", f"count({by_target('max', UP)})", instant=True),
            ),
            "/",
            ALL_TARGETS,
        ),
        linked(
            stat(
                "Failing pulls",
                "Targets whose last pull gave no result set.",
                query("A", f"count({by_target('max', UP)} == 0) or vector(0)", instant=True),
                steps=COUNT_IS_BAD,
            ),
            "/?pull=failing",
            "Targets whose last pull failed",
        ),
        linked(
            stat(
                "Alerts firing",
                "The monitor's alerts about models that fire now.",
                query("A", f"sum({FIRING}) or vector(0)", instant=True),
                steps=COUNT_IS_BAD,
            ),
            "/alerts?state=firing",
            "The alerts",
        ),
        linked(
            stat(
                "Alerts pending",
                "Alerts whose condition holds, but not for long enough or not surely enough yet.",
                query("A", f"sum({series('edge_impulse_alerts', alertstate='pending')}) or vector(0)", instant=True),
                steps=[(None, GREEN), (1, ORANGE)],
            ),
            "/alerts?state=pending",
            "The alerts",
        ),
        linked(
            stat(
                "Largest drop",
                f"The worst change of {named(with_test(), 'or')} from a baseline, over all targets, in percentage "
                "points; of mAP on the images that both runs share.",
                query("A", in_points(f"min({CHANGE})"), instant=True),
                unit=POINTS,
                decimals=1,
                steps=DROP,
            ),
            "/?sort=change",
            "Targets, largest drop first",
        ),
        linked(
            stat(
                "Drift evidence",
                "log10 of the odds against the anomaly scores of new samples being what they were; 2 is the default "
                "alarm.",
                query("A", f"max({series('edge_impulse_anomaly_drift_evidence')})", instant=True),
                decimals=1,
                steps=[(None, GREEN), (1, ORANGE), (2, RED)],
            ),
            "/",
            ALL_TARGETS,
        ),
        linked(
            stat(
                "Oldest figures",
                "Age of the oldest last good pull.",
                query("A", f"time() - min({series('edge_impulse_last_success_timestamp_seconds')})", instant=True),
                unit="s",
                decimals=0,
            ),
            "/?sort=-age",
            "Targets, oldest figures first",
        ),
        linked(
            stat(
                "Key expires in",
                "Until the first API key expires. –: no key that expires, or Studio does not say.",
                query(
                    "A",
                    f"(min({series('edge_impulse_api_key_expiry_timestamp_seconds')}) - time()) / 86400",
                    instant=True,
                ),
                unit="suffix: d",
                decimals=0,
                steps=[(-36500, TEXT), (-3650, RED), (3, ORANGE), (14, GREEN)],
            ),
            "/",
            ALL_TARGETS,
        ),
    ]


def _fell_most(row: HeadlineFigure) -> PanelBuilder:
    """A figure over time, of the targets where it is now the furthest on the wrong side of its baseline."""
    title, description = CHARTS.get(row.name, ("", row.series.meaning))
    title = title or heading(row)
    value = of_target(row)
    end = " @ end()"
    last = by_target(row.worst or "max", f"{series(row.series.name, **row.series.headline)}{end}")
    before = by_target("max", f"{series('edge_impulse_baseline_value', metric=row.name)}{end}")
    worst = "bottomk" if row.higher_is_better else "topk"
    found = timeseries(
        f"{title}: the {LINES} worst against their baseline",
        f"{description} Of the {LINES} targets where it is, at the end of the time shown, the furthest on the wrong "
        "side of its baseline.",
        query("A", f"{value} and {worst}({LINES}, {last} - {before} or 0 * {last})", TARGET_NAME),
        unit=unit(row),
        width=12,
        height=9,
        table_legend=True,
        held=True,
        limits=(0, 1) if row.is_ratio and row.higher_is_better else (None, None),
        no_value="No target has this figure",
    ).data_links(TO_BOTH)
    return linked(found, "/?sort=change", "Targets, largest drop first")
