"""*Fleet*: every target at a glance, the worst first."""

from __future__ import annotations

from itertools import chain, islice

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import table as tables

from deploy.grafana.builder import frame
from deploy.grafana.builder.figures import (
    GLANCE,
    ON_SHARED,
    decimals,
    heading,
    letters,
    named,
    of_metrics,
    unit,
)
from deploy.grafana.builder.panels import (
    GREEN,
    ORANGE,
    PLAIN,
    RED,
    STATES,
    WHITE,
    YELLOW,
    bargauge,
    cell,
    colored,
    columns,
    link,
    stat,
    table,
    timeseries,
)
from deploy.grafana.builder.queries import IDENTITY, TARGET_NAME, query, selector
from monitor.figures.headline import HeadlineFigure, with_test

series = selector()
UP = series("edge_impulse_up")
FIRING = series("edge_impulse_alerts", alertstate="firing")
SHARED_PART = series("edge_impulse_change_ratio", **of_metrics(ON_SHARED), cause_in="model|labels")
CHANGE = (
    f"({series('edge_impulse_change_ratio', **of_metrics(ON_SHARED, '_not'), cause='total')} or sum without (cause) "
    f"({SHARED_PART}))"
)
"""mAP moves with the size of the set: as the alerts do, take what happened on the images that both runs share."""
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
STATE_TEXTS = {state: (state.replace("_", " "), shade) for state, shade in STATES.items()}
DROP = [(None, WHITE), (-1, RED), (-0.03, ORANGE), (-0.01, WHITE), (0.01, GREEN)]
"""From the default alerts' margin on, a change counts."""


def by_target(aggregation: str, expression: str) -> str:
    """One series per target, without the scrape's labels."""
    return f"{aggregation} by ({IDENTITY}) ({expression})"


def by_project(expression: str) -> str:
    """An expression by `project_id` with the project's name besides; where no target is known, its number in place of
    the name.
    """
    names = f"topk by (project_id) (1, group by (project, project_id) ({UP}))"
    nameless = f'label_join({expression} unless on (project_id) {UP}, "project", "", "project_id")'
    return f"{expression} * on (project_id) group_left (project) {names} or {nameless}"


WORST_FIRST = f"""sort(
  {by_target("min", UP)} - 1
  + ({by_target("min", CHANGE)} or 0 * {by_target("min", UP)})
  - 10 * ({by_target("sum", FIRING)} or 0 * {by_target("min", UP)})
)"""
"""Firing alerts outweigh a failing pull, that outweighs any change; then the largest drop comes first."""


def dashboard() -> dashboards.Dashboard:
    """The dashboard."""
    built = frame.dashboard(
        "Impulse Monitor / Fleet",
        frame.FLEET,
        "All models under watch: which are worse than their baseline, which alerts fire, and whose figures are old.",
        refresh="30s",
        since="now-24h",
    )
    for panel in (
        stat(
            "Targets",
            "Impulses and variants that are being watched.",
            query("A", f"count({by_target('max', UP)})", instant=True),
        ),
        stat(
            "Failing pulls",
            "Targets whose last pull gave no result set.",
            query("A", f"count({by_target('max', UP)} == 0) or vector(0)", instant=True),
            steps=COUNT_IS_BAD,
        ),
        stat(
            "Alerts firing",
            "The monitor's alerts about models that fire now.",
            query("A", f"sum({FIRING}) or vector(0)", instant=True),
            steps=COUNT_IS_BAD,
        ),
        stat(
            "Alerts pending",
            "Alerts whose condition holds, but not for long enough or not surely enough yet.",
            query("A", f"sum({series('edge_impulse_alerts', alertstate='pending')}) or vector(0)", instant=True),
            steps=[(None, GREEN), (1, ORANGE)],
        ),
        stat(
            "Largest drop",
            f"The worst change of {named(with_test(), 'or')} from a baseline, over all targets, in percentage points; "
            "of mAP on the images that both runs share.",
            query("A", f"min({CHANGE})", instant=True),
            unit="percentunit",
            decimals=1,
            steps=DROP,
        ),
        stat(
            "Drift evidence",
            "log10 of the odds against the anomaly scores of new samples being what they were; 2 is the default alarm.",
            query("A", f"max({series('edge_impulse_anomaly_drift_evidence')})", instant=True),
            decimals=1,
            steps=[(None, GREEN), (1, ORANGE), (2, RED)],
        ),
        stat(
            "Oldest figures",
            "Age of the oldest last good pull.",
            query("A", f"time() - min({series('edge_impulse_last_success_timestamp_seconds')})", instant=True),
            unit="s",
            decimals=0,
        ),
        stat(
            "Key expires in",
            "Until the first API key expires. –: no key that expires, or Studio does not say.",
            query(
                "A", f"(min({series('edge_impulse_api_key_expiry_timestamp_seconds')}) - time()) / 86400", instant=True
            ),
            unit="suffix: d",
            decimals=0,
            steps=[(None, WHITE), (-3650, RED), (3, ORANGE), (14, GREEN)],
        ),
    ):
        built.with_panel(panel)
    built.with_panel(_targets())
    to_target = link("Open target", frame.SERIES_TO_TARGET)
    for row in GLANCE:
        title, description = CHARTS.get(row.name, ("", row.series.meaning))
        lines = query("A", of_target(row), TARGET_NAME)
        chart = timeseries(
            title or heading(row), description, lines, unit=unit(row), width=12, height=9, table_legend=True
        )
        built.with_panel(chart.data_links(to_target))
    built.with_panel(_alerts())
    built.with_panel(
        timeseries(
            "Alerts over time",
            "Alerts that fire, by name.",
            query("A", f"sum by (alertname) ({FIRING})", "{{alertname}}"),
            unit="none",
            width=10,
            stacked=True,
            bars=True,
            limits=(0, None),
        )
    )
    built.with_panel(
        bargauge(
            "Oldest figures by target",
            "Age of the last good pull of the eight targets where it is longest ago.",
            query(
                "A",
                "sort_desc(topk(8, time() - "
                f"{by_target('max', series('edge_impulse_last_success_timestamp_seconds'))}))",
                TARGET_NAME,
                instant=True,
            ),
            unit="s",
            width=7,
            names_above=True,
        ).data_links(to_target)
    )
    states = timeseries(
        "Pulls by state",
        "Targets by how their last pull ended.",
        query("A", f"sum by (state) ({series('edge_impulse_pull_state')}) > 0", "{{state}}"),
        unit="none",
        width=7,
        stacked=True,
        bars=True,
        limits=(0, None),
    )
    built.with_panel(colored(states, STATES))
    built.with_panel(_projects())
    return built


def of_target(row: HeadlineFigure) -> str:
    """A headline figure of each target; of several blocks the one that counts."""
    return by_target(row.worst or "max", series(row.series.name, **row.series.headline))


def _targets() -> tables.Panel:
    refs = dict(zip(chain("DEF", islice(letters(), 11, None)), GLANCE, strict=False))  # G to K are of other columns
    figures = [query(ref, of_target(row), table=True) for ref, row in refs.items()]
    panel = table(
        "Targets, worst first",
        "One row per impulse and variant: first those with firing alerts, then failing pulls, then the largest drop "
        "from the baseline. "
        f"Change is the worst of {named(with_test())} (on the images shared with the baseline), in percentage points. "
        "Age is the figures', unchanged the result set's. A row opens the target.",
        query("A", WORST_FIRST, table=True),
        query("B", f"{by_target('sum', FIRING)} and {by_target('max', UP)}", table=True),
        query("C", f"max by ({IDENTITY}, state) ({series('edge_impulse_pull_state')} == 1)", table=True),
        *figures[:3],
        query("G", by_target("min", CHANGE), table=True),
        query("H", by_target("max", series("edge_impulse_anomaly_drift_evidence")), table=True),
        query("I", by_target("max", series("edge_impulse_samples")), table=True),
        query("J", f"time() - {by_target('max', series('edge_impulse_last_success_timestamp_seconds'))}", table=True),
        query("K", f"time() - {by_target('max', series('edge_impulse_last_change_timestamp_seconds'))}", table=True),
        *figures[3:],
        width=24,
        height=12,
    )
    panel = columns(
        panel,
        {
            "project": "Project",
            "impulse": "Impulse",
            "variant": "Variant",
            "category": "category",
            "Value #B": "Alerts",
            "state": "Pull",
            "Value #G": "Change",
            **{f"Value #{ref}": heading(row) for ref, row in refs.items()},
            "Value #H": "Drift",
            "Value #I": "Samples",
            "Value #J": "Age",
            "Value #K": "Unchanged",
            "project_id": "project_id",
            "impulse_id": "impulse_id",
            "Value #A": None,
            "Value #C": None,
        },
    )
    # A link's fields keep the names that the query gave them, whatever the columns are called.
    panel = cell(panel, "Project", links=[("Open target", frame.ROW_TO_TARGET)], width=170)
    panel = cell(cell(panel, "Impulse", width=105), "Variant", width=75)
    panel = cell(
        panel, "Alerts", decimals=0, steps=[(None, "transparent"), (1, RED)], style="color-background", width=70
    )
    panel = cell(panel, "Pull", texts=STATE_TEXTS, style="color-text", width=90)
    panel = cell(panel, "Change", unit="percentunit", decimals=1, steps=DROP, style="color-text", width=80)
    for row in GLANCE:
        panel = cell(panel, heading(row), unit=unit(row), decimals=decimals(row), width=82)
    panel = cell(panel, "Drift", decimals=1, steps=[(None, WHITE), (1, ORANGE), (2, RED)], style="color-text", width=70)
    panel = cell(panel, "Samples", decimals=0, width=80)
    panel = cell(cell(panel, "Age", unit="s", decimals=0, width=75), "Unchanged", unit="s", decimals=0, width=100)
    for name in ("project_id", "impulse_id", "category"):
        panel = cell(panel, name, hidden=True)
    return panel


def _alerts() -> tables.Panel:
    alert = "alertname, severity, alertstate"
    of_targets = f"max by ({alert}, {IDENTITY}) ({series('edge_impulse_alerts', project_not='')} == 1)"
    of_projects = f"max by ({alert}, project_id) ({series('edge_impulse_alerts', project='')} == 1)"
    panel = table(
        "Alerts",
        "The monitor's alerts that fire or are pending, and for which target; without an impulse for the whole "
        "project. "
        "A row opens the target.",
        query("A", f"{of_targets} or {by_project(of_projects)}", table=True),
        width=14,
        height=8,
        no_value="None",
    )
    panel = columns(
        panel,
        {
            "alertname": "Alert",
            "alertstate": "State",
            "severity": "Severity",
            "project": "Project",
            "impulse": "Impulse",
            "variant": "Variant",
            "project_id": "project_id",
            "impulse_id": "impulse_id",
            "category": "category",
            "Value": None,
        },
    )
    panel = cell(panel, "Alert", links=[("Open target", frame.ROW_TO_TARGET)], width=262)
    panel = cell(
        panel, "State", texts={"firing": ("firing", RED), "pending": ("pending", ORANGE)}, style="color-text", width=70
    )
    severities = {"critical": ("critical", RED), "warning": ("warning", ORANGE), "info": ("info", YELLOW)}
    panel = cell(panel, "Severity", texts=severities, style="color-text", width=80)
    panel = cell(cell(panel, "Project", width=158), "Impulse", no_value="–", width=92)
    panel = cell(panel, "Variant", no_value="–", width=70)
    for name in ("project_id", "impulse_id", "category"):
        panel = cell(panel, name, hidden=True)
    return panel


def _projects() -> tables.Panel:
    panel = table(
        "Projects",
        "Each configured project: how its last discovery ended, and when its API key expires.",
        query("A", by_project(f"max by (project_id, state) ({series('edge_impulse_project_state')} == 1)"), table=True),
        query("B", f"count by (project_id) ({by_target('max', UP)})", table=True),
        query(
            "C", f"1000 * max by (project_id) ({series('edge_impulse_api_key_expiry_timestamp_seconds')})", table=True
        ),
        width=10,
        height=8,
    )
    panel = columns(
        panel,
        {
            "project": "Project",
            "project_id": "Number",
            "state": "Discovery",
            "Value #B": "Targets",
            "Value #C": "Key expires",
            "Value #A": None,
        },
    )
    panel = cell(panel, "Discovery", texts=STATE_TEXTS, style="color-text", width=95)
    panel = cell(cell(panel, "Project", width=150), "Number", width=78)
    panel = cell(panel, "Targets", steps=PLAIN, decimals=0, width=70)
    return cell(panel, "Key expires", unit="dateTimeFromNow", width=115)
