"""Links from panels to the pages of the service."""

from __future__ import annotations

from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge as bargauges
from grafana_foundation_sdk.builders import stat as stats
from grafana_foundation_sdk.builders import statushistory as histories
from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.builders import timeseries as charts

from deploy.grafana.builder.frame import SERVICE
from deploy.grafana.builder.panels import link

LinkedPanel = charts.Panel | stats.Panel | bargauges.Panel | histories.Panel | tables.Panel
"""A panel that can have links."""
Linked = TypeVar("Linked", bound=LinkedPanel)


def linked(panel: Linked, path: str, what: str, *, values: bool = False) -> Linked:
    """The panel with a link to a page of the service from its heading, and from its number.

    Args:
        panel: Any.
        path: Where, below the service's address.
        what: What is found there.
        values: Whether the values of charts have the link too; cells of tables would all be underlined.
    """
    found = link(what, f"{SERVICE}{path}", new_tab=True)
    panel.links(found)
    if isinstance(panel, stats.Panel) or (values and not isinstance(panel, tables.Panel)):
        panel.data_links(found)
    return panel
