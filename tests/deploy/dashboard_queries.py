"""The queries of all dashboards, and the series that exist: for the static tests, and to run each query against a live
Prometheus.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser

from monitor.exposition import METRICS
from monitor.exposition.metric import MetricType

DASHBOARDS = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "dashboards"

EVERYTHING = ".+"
"""What a variable is replaced with unless told: every variable stands in a regular expression."""

BUILT_IN = {"__rate_interval": "1m", "__rate_interval_ms": "60000", "__interval": "15s", "__range": "1h"}

CLIENT_LIBRARY = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"}
"""The client library's series that dashboards use, beside the catalogue's."""

OF_PROMETHEUS = {"up", "scrape_duration_seconds"}
"""What Prometheus adds to every target."""


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """A query as Grafana would send it.

    Attributes:
        dashboard: Name of the file, without its ending.
        panel: Title of the panel, or of the annotation.
        ref: The query's letter; empty for an annotation.
        expression: PromQL with all variables replaced.
        instant: Whether only the newest value is asked for.
    """

    dashboard: str
    panel: str
    ref: str
    expression: str
    instant: bool


def load(name: str) -> dict[str, Any]:
    """The committed dashboard of a name."""
    content: dict[str, Any] = json.loads((DASHBOARDS / f"{name}.json").read_text(encoding="utf-8"))
    return content


def names() -> list[str]:
    """The committed dashboards."""
    return sorted(file.stem for file in DASHBOARDS.glob("*.json"))


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Its panels, those in rows too, without the rows."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def replaced(expression: str, values: Mapping[str, str]) -> str:
    """An expression with its variables replaced, by `.+` where `values` has none; `$datasource` has no place in one."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        return BUILT_IN.get(name) or values.get(name, EVERYTHING)

    return re.sub(r"\$(?:(\w+)|\{(\w+)(?::\w+)?\})", value, expression)


def all_queries(values: Mapping[str, str] | None = None) -> list[PanelQuery]:
    """Every query of every panel and annotation of every dashboard.

    Args:
        values: Variables' values by name; `.+`, which matches everything, for those left out.
    """
    given, found = values or {}, []
    for name in names():
        content = load(name)
        for panel in panels(content):
            for target in panel["targets"]:
                expression = replaced(target["expr"], given)
                found.append(PanelQuery(name, panel["title"], target["refId"], expression, bool(target.get("instant"))))
        for annotation in content["annotations"].get("list", []):
            if "expr" in annotation:
                found.append(PanelQuery(name, annotation["name"], "", replaced(annotation["expr"], given), False))
    return found


def series_names(expression: str) -> set[str]:
    """Names of the series that an expression selects."""
    return {node.name for node in nodes(expression) if isinstance(node, promql_parser.VectorSelector) and node.name}


def nodes(expression: str) -> list[Any]:
    """All nodes of a parsed expression, parents first."""
    found: list[Any] = []
    promql_parser.walk(
        promql_parser.parse(expression), pre_visit=lambda node: found.append(node), post_visit=lambda node: None
    )
    return found


def catalogued_series() -> set[str]:
    """Every series that the monitor exports: the catalogue's, with a histogram's parts, and the client library's that
    are used.
    """
    found = set(CLIENT_LIBRARY)
    for metric in METRICS:
        parts = ("", "_bucket", "_sum", "_count") if metric.type is MetricType.HISTOGRAM else ("",)
        found |= {metric.name + part for part in parts}
    return found
