"""What surrounds the panels: names, variables, links between the dashboards."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    VariableHide,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.builder.queries import DATASOURCE, VARIABLES

TAG = "impulse-monitor"
FLEET, TARGET, MONITOR = "impulse-monitor-fleet", "impulse-monitor-target", "impulse-monitor-service"
"""The dashboards' uids. Fixed: links and bookmarks hold them."""

_KEPT = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&${__url_time_range}"

SERIES_TO_TARGET = f"/d/{TARGET}?{_KEPT}" + "".join(
    f"&var-{variable}=${{__field.labels.{label}}}" for label, variable in VARIABLES.items()
)
"""From a target's series to its dashboard."""

ROW_TO_TARGET = f"/d/{TARGET}?{_KEPT}" + "".join(
    f"&var-{variable}=${{__data.fields.{label}}}" for label, variable in VARIABLES.items()
)
"""From a row of a table that has these columns, shown or hidden, to the target's dashboard."""


def dashboard(title: str, uid: str, description: str, *, refresh: str, since: str) -> dashboards.Dashboard:
    """An empty dashboard with the variables that all have, and links to the others."""
    return (
        dashboards.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .refresh(refresh)
        .time(since, "now")
        .timezone("browser")
        .link(
            dashboards.DashboardLink("Impulse Monitor")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(dashboards.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_service("job", "Job", "label_values(impulse_monitor_build_info, job)"))
        .with_variable(
            _service("instance", "Instance", 'label_values(impulse_monitor_build_info{job=~"$job"}, instance)')
        )
    )


def _service(name: str, label: str, query: str) -> dashboards.QueryVariable:
    everything = VariableOption(selected=True, text="All", value="$__all")
    return variable(name, label, query).multi(True).include_all(True).all_value(".+").current(everything)


def variable(name: str, label: str, query: str) -> dashboards.QueryVariable:
    """A variable whose values Prometheus knows."""
    return (
        dashboards.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(query)
        .definition(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
        .hide(VariableHide.DONT_HIDE)
    )


def row(title: str) -> dashboards.Row:
    """A heading."""
    return dashboards.Row(title)
