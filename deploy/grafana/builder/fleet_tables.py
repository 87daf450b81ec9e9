"""*Fleet*: its tables, the worst first, in pages."""

from __future__ import annotations

from itertools import chain, islice

from deploy.grafana.builder import frame
from deploy.grafana.builder.figures import GLANCE, decimals, heading, letters, named, unit
from deploy.grafana.builder.fleet_series import (
    CHANGE,
    FIRING,
    STATE_TEXTS,
    UP,
    WORST_FIRST,
    by_project,
    by_target,
    of_target,
    series,
)
from deploy.grafana.builder.links import linked
from deploy.grafana.builder.panels import (
    DROP,
    ORANGE,
    PLAIN,
    POINTS,
    RED,
    TEXT,
    YELLOW,
    PanelBuilder,
    cell,
    columns,
    table,
)
from deploy.grafana.builder.queries import IDENTITY, in_points, query
from monitor.figures.headline import with_test


def targets() -> PanelBuilder:
    """Every target, the worst first."""
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
        query("G", in_points(by_target("min", CHANGE)), table=True),
        query("H", by_target("max", series("edge_impulse_anomaly_drift_evidence")), table=True),
        query("I", by_target("max", series("edge_impulse_samples")), table=True),
        query("J", f"time() - {by_target('max', series('edge_impulse_last_success_timestamp_seconds'))}", table=True),
        query("K", f"time() - {by_target('max', series('edge_impulse_last_change_timestamp_seconds'))}", table=True),
        *figures[3:],
        width=24,
        height=14,
        no_value="No target is known yet",
        pages=True,
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
    to_both = [("Open target", frame.ROW_TO_TARGET), ("At the monitor", frame.ROW_TO_PAGE)]
    panel = cell(panel, "Project", links=to_both, filterable=True)
    panel = cell(cell(panel, "Impulse", width=105, filterable=True), "Variant", width=75, filterable=True)
    panel = cell(
        panel, "Alerts", decimals=0, steps=[(None, "transparent"), (1, RED)], style="color-background", width=70
    )
    panel = cell(panel, "Pull", texts=STATE_TEXTS, style="color-text", width=90, filterable=True)
    panel = cell(panel, "Change", unit=POINTS, decimals=1, steps=DROP, style="color-text", width=105)
    for row in GLANCE:
        panel = cell(panel, heading(row), unit=unit(row), decimals=decimals(row), width=82)
    panel = cell(panel, "Drift", decimals=1, steps=[(None, TEXT), (1, ORANGE), (2, RED)], style="color-text", width=70)
    panel = cell(panel, "Samples", decimals=0, width=80)
    panel = cell(cell(panel, "Age", unit="s", decimals=0, width=75), "Unchanged", unit="s", decimals=0, width=100)
    for name in ("project_id", "impulse_id", "category"):
        panel = cell(panel, name, hidden=True)
    return linked(panel, "/", "All targets, with search")


def alerts() -> PanelBuilder:
    """Alerts that fire or are pending."""
    alert = "alertname, severity, alertstate"
    of_targets = f"max by ({alert}, {IDENTITY}) ({series('edge_impulse_alerts', project_not='')} == 1)"
    of_projects = f"max by ({alert}, project_id) ({series('edge_impulse_alerts', project='')} == 1)"
    panel = table(
        "Alerts",
        "The monitor's alerts that fire or are pending, and for which target; without an impulse for the whole "
        "project. "
        "A row opens the target.",
        query("A", f"{of_targets} or {by_project(of_projects)}", table=True),
        width=15,
        height=10,
        no_value="None",
        pages=True,
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
    to_both = [("Open target", frame.ROW_TO_TARGET), ("Alerts at the monitor", f"{frame.SERVICE}/alerts")]
    panel = cell(panel, "Alert", links=to_both, filterable=True)
    panel = cell(
        panel, "State", texts={"firing": ("firing", RED), "pending": ("pending", ORANGE)}, style="color-text", width=70
    )
    severities = {"critical": ("critical", RED), "warning": ("warning", ORANGE), "info": ("info", YELLOW)}
    panel = cell(panel, "Severity", texts=severities, style="color-text", width=80)
    panel = cell(cell(panel, "Project", width=158), "Impulse", width=92)
    panel = cell(panel, "Variant", width=70)
    for name in ("project_id", "impulse_id", "category"):
        panel = cell(panel, name, hidden=True)
    return linked(panel, "/alerts", "All alerts, and those that are over")


def projects() -> PanelBuilder:
    """Every configured project."""
    panel = table(
        "Projects",
        "Each configured project: how its last discovery ended, and when its API key expires.",
        query("A", by_project(f"max by (project_id, state) ({series('edge_impulse_project_state')} == 1)"), table=True),
        query("B", f"count by (project_id) ({by_target('max', UP)})", table=True),
        query(
            "C", f"1000 * max by (project_id) ({series('edge_impulse_api_key_expiry_timestamp_seconds')})", table=True
        ),
        width=10,
        height=10,
        no_value="No project is configured",
        pages=True,
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
    panel = cell(panel, "Number", width=78)
    panel = cell(panel, "Targets", steps=PLAIN, decimals=0, width=70)
    panel = cell(panel, "Key expires", unit="dateTimeFromNow", width=115)
    return linked(panel, "/config", "The running configuration")
