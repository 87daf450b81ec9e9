"""What surrounds the panels: names, variables, links between the dashboards."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count as count_up

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardLinkType,
    GridPos,
    Panel,
    RowPanel,
    VariableHide,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.builder.queries import DATASOURCE, VARIABLES

TAG = "impulse-monitor"
FLEET, TARGET, MONITOR = "impulse-monitor-fleet", "impulse-monitor-target", "impulse-monitor-service"
"""The dashboards' uids. Fixed: links and bookmarks hold them."""

_KEPT = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&${monitor:queryparam}&${__url_time_range}"

SERVICE = "${monitor}"
"""Where the reader's browser reaches the service."""

SERIES_TO_TARGET = f"/d/{TARGET}?{_KEPT}" + "".join(
    f"&var-{variable}=${{__field.labels.{label}}}" for label, variable in VARIABLES.items()
)
"""From a target's series to its dashboard."""

ROW_TO_TARGET = f"/d/{TARGET}?{_KEPT}" + "".join(
    f"&var-{variable}=${{__data.fields.{label}}}" for label, variable in VARIABLES.items()
)
"""From a row of a table that has these columns, shown or hidden, to the target's dashboard."""


SERIES_TO_PAGE = f"{SERVICE}/targets/" + "-".join(f"${{__field.labels.{label}}}" for label in VARIABLES)
"""From a target's series to its page at the service."""

ROW_TO_PAGE = f"{SERVICE}/targets/" + "-".join(f"${{__data.fields.{label}}}" for label in VARIABLES)
"""From a row of a table that has these columns to the target's page at the service."""


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
        .with_variable(
            dashboards.TextBoxVariable("monitor")
            .label("Monitor's address")
            .description("Where your browser reaches the monitor (external_url), for links to its own pages")
            .default_value("http://localhost:9890")
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


def count(name: str, label: str, expression: str) -> dashboards.QueryVariable:
    """A variable that nobody sees: how many series there are, for the title of a row; 0 where there are none."""
    return (
        variable(name, label, f"query_result(count({expression}) or vector(0))")
        .regex(r"/\} (\d+) /")
        .hide(VariableHide.HIDE_VARIABLE)
    )


def row(title: str) -> dashboards.Row:
    """A heading."""
    return dashboards.Row(title)


def folded(title: str, panels: Iterable[Builder[Panel]]) -> dashboards.Row:
    """A heading with panels that are asked for, and shown, only once somebody opens it."""
    built = dashboards.Row(title)
    for panel in panels:
        built = built.with_panel(panel)
    return built


def arranged(content: Dashboard) -> None:
    """Number the panels, and close the gaps that panels of folded rows would take if they were open.

    Args:
        content: A dashboard as its builder leaves it; is changed.
    """
    numbers, up = count_up(1), 0
    for panel in content.panels or []:
        place = _place(panel)
        place.y -= up
        panel.id_val = next(numbers)  # what a link to one panel holds
        bottom = place.y + 1
        for each in panel.panels if isinstance(panel, RowPanel) else []:
            inside = _place(each)
            inside.y -= up
            each.id_val = next(numbers)
            bottom = max(bottom, inside.y + inside.h)
        if isinstance(panel, RowPanel):
            up += bottom - place.y - 1


def _place(panel: Panel | RowPanel) -> GridPos:
    if panel.grid_pos is None:
        raise ValueError(f"panel {panel.title} has no place")
    return panel.grid_pos
