"""The dashboards: as their code makes them, by the rules of Grafana's dashboard-linter, and about series that exist."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from monitor.compare.martingale import ALARM
from monitor.exposition import METRICS
from monitor.exposition.metric import Switch
from monitor.views.wanted import PHASES, SORTS, WantedEvents, WantedTargets
from tests.deploy.dashboard_queries import (
    DASHBOARDS,
    OF_PROMETHEUS,
    all_queries,
    catalogued_series,
    load,
    names,
    nodes,
    panels,
    series_names,
)

with warnings.catch_warnings():
    # It recommends the format's second version, which Grafana reads from files only since 12.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

ROOT = DASHBOARDS.parents[2]
TEMPLATES = ROOT / "monitor" / "web" / "templates"
UIDS = {"fleet": "impulse-monitor-fleet", "target": "impulse-monitor-target", "monitor": "impulse-monitor-service"}
UNITS = {"none", "percentunit", "s", "suffix: d", "suffix: points", "bytes", "Bps", "reqps", "cpm", "dateTimeFromNow"}
"""Of Grafana's units those that the dashboards need."""

each_dashboard = pytest.mark.parametrize("name", ["fleet", "monitor", "target"])

MARK = dt.timedelta(seconds=433)
"""Stands for `$__rate_interval` while an expression is parsed."""


def parsed(expression: str) -> list[Any]:
    """The nodes of a query as it is written: variables stay, inside their matchers."""
    times = {"$__rate_interval_ms": "433000", "$__rate_interval": "433s", "$__interval": "433s"}
    for name, value in times.items():
        expression = expression.replace(name, value)
    return nodes(expression)


def expressions(content: dict[str, Any]) -> list[str]:
    """Every query of a dashboard's panels and annotations, as written."""
    found = [target["expr"] for panel in panels(content) for target in panel["targets"]]
    return found + [annotation["expr"] for annotation in content["annotations"].get("list", [])]


def variables(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A dashboard's variables by name."""
    return {variable["name"]: variable for variable in content["templating"]["list"]}


def selectors(expression: str) -> list[Any]:
    """The series selectors of a query."""
    return [node for node in parsed(expression) if isinstance(node, promql_parser.VectorSelector)]


def matchers(selector: Any) -> set[tuple[str, str]]:
    """Label and value of a selector's regular-expression matchers."""
    return {(each.name, each.value) for each in selector.matchers.matchers if each.op is promql_parser.MatchOp.Re}


def test_committed_are_what_the_code_makes(tmp_path: Path) -> None:
    """Who changes the code runs it: the committed files are its output, byte for byte, and there are no others."""
    subprocess.run([sys.executable, "-m", "deploy.grafana.builder", str(tmp_path)], cwd=ROOT, check=True, timeout=60)

    made = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    assert made == {file.name: file.read_text(encoding="utf-8") for file in DASHBOARDS.iterdir()}


@each_dashboard
def test_no_key_is_misspelt(name: str) -> None:
    """Grafana's own model of a dashboard reads the file and writes the same again: it would drop a key that it does not
    know.
    """
    register_default_plugins()
    content = load(name)

    assert content == json.loads(json.dumps(Dashboard.from_json(content), cls=JSONEncoder))


def test_uids_are_fixed() -> None:
    """Links and bookmarks hold the uids, so they never change."""
    assert {name: load(name)["uid"] for name in names()} == UIDS


@each_dashboard
def test_uneditable(name: str) -> None:
    """What is provisioned from files is not editable (uneditable-dashboard)."""
    assert load(name)["editable"] is False


@each_dashboard
def test_datasource_variable(name: str) -> None:
    """One data source variable, named and labelled as everybody's (template-datasource-rule)."""
    found = [variable for variable in load(name)["templating"]["list"] if variable["type"] == "datasource"]

    assert [("datasource", "Data source", "prometheus")] == [
        (each["name"], each["label"], each["query"]) for each in found
    ]


@each_dashboard
@pytest.mark.parametrize(("variable", "label"), [("job", "Job"), ("instance", "Instance")])
def test_service_variables(name: str, variable: str, label: str) -> None:
    """`job` and `instance` take several values or all (template-job-rule, template-instance-rule)."""
    found = variables(load(name))[variable]

    assert ("query", label, True, True, ".+") == tuple(
        found[key] for key in ("type", "label", "multi", "includeAll", "allValue")
    )
    assert {"type": "prometheus", "uid": "$datasource"} == found["datasource"]


@each_dashboard
def test_variable_queries(name: str) -> None:
    """Variables' queries are valid, about series that exist, and read again with the time range
    (template-label-promql-rule, template-on-time-change-reload-rule)."""
    asked = [each for each in load(name)["templating"]["list"] if each["type"] == "query"]
    for variable in asked:
        inner = re.fullmatch(r"(?:label_values\((.+), \w+\)|query_result\((.+)\))", variable["query"])

        assert inner is not None, variable["query"]
        assert set() == {each.name for each in selectors(inner[1] or inner[2])} - catalogued_series()
        assert variable["refresh"] == 2
        assert variable["definition"] == variable["query"]


@each_dashboard
def test_variables_stand_before_their_use(name: str) -> None:
    """Every variable that a query names exists, and a variable's query names only ones before it."""
    content, known = load(name), {"__rate_interval", "__rate_interval_ms", "__interval"}
    for variable in content["templating"]["list"]:
        query = variable["query"] if isinstance(variable.get("query"), str) else ""
        assert set(re.findall(r"\$(\w+)", query)) <= known
        known.add(variable["name"])
    for expression in expressions(content):
        assert set(re.findall(r"\$(\w+)", expression)) <= known


@each_dashboard
def test_panels_are_complete(name: str) -> None:
    """Each panel has the data source, a title, a description, a unit that exists and a query (panel-datasource-rule,
    panel-title-description-rule, panel-units-rule, panel-no-targets-rule)."""
    for panel in panels(load(name)):
        title = panel["title"]
        assert {"type": "prometheus", "uid": "$datasource"} == panel["datasource"], title
        assert title
        assert panel["description"].rstrip().endswith("."), title
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, title
        assert panel["targets"], title
        units = {
            part["value"]
            for override in panel["fieldConfig"]["overrides"]
            for part in override["properties"]
            if part["id"] == "unit"
        }
        assert units <= UNITS, title


DIFFERENCES = ("edge_impulse_change_ratio", "edge_impulse_variant_gap_", "edge_impulse_smallest_visible_drop_ratio")


@each_dashboard
def test_differences_are_points(name: str) -> None:
    """A difference of shares is shown in points, never in per cent; the order of rows has no unit."""
    for panel in panels(load(name)):
        for target in panel["targets"]:
            if any(series in target["expr"] for series in DIFFERENCES) and "pvalue" not in target["expr"]:
                ranks = target["refId"] == "A" and panel["title"] == "Targets, worst first"
                assert "suffix: points" in json.dumps(panel), panel["title"]
                assert ranks or "100 * " in target["expr"], panel["title"]


@each_dashboard
def test_titles_are_unique(name: str) -> None:
    """No two panels of a dashboard share a title or an id."""
    found = list(panels(load(name)))

    assert len(found) == len({panel["title"] for panel in found}) == len({panel["id"] for panel in found})


@each_dashboard
def test_queries_are_prometheus(name: str) -> None:
    """Every query goes to the chosen Prometheus, under a letter of its own (target-logql-rule,
    target-logql-auto-rule).
    """
    for panel in panels(load(name)):
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters))
        assert all(target["datasource"] == {"type": "prometheus", "uid": "$datasource"} for target in panel["targets"])
    for annotation in load(name)["annotations"].get("list", []):
        assert annotation["datasource"] == {"type": "prometheus", "uid": "$datasource"}


@each_dashboard
def test_queries_are_valid(name: str) -> None:
    """Every query is PromQL, also with its variables replaced (target-promql-rule)."""
    assert all(map(parsed, expressions(load(name))))
    assert all(nodes(query.expression) for query in all_queries() if query.dashboard == name)


@each_dashboard
def test_rates_follow_the_zoom(name: str) -> None:
    """Every range is `$__rate_interval`: one that fits the scrape interval at any zoom (target-rate-interval-rule)."""
    for expression in expressions(load(name)):
        assert {node.range for node in parsed(expression) if isinstance(node, promql_parser.MatrixSelector)} <= {
            MARK
        }, expression


@each_dashboard
def test_queries_heed_the_variables(name: str) -> None:
    """Every selector has the chosen job and instance; on *Target* the target too (target-job-rule,
    target-instance-rule).
    """
    wanted = {("job", "$job"), ("instance", "$instance")}
    if name == "target":
        wanted |= {("project_id", "$project"), ("impulse_id", "$impulse")}
    for expression in expressions(load(name)):
        assert all(wanted <= matchers(selector) for selector in selectors(expression)), expression


@each_dashboard
def test_counters_are_under_rate(name: str) -> None:
    """Counters, and only they, are read by rate or increase (target-counter-agg-rule)."""

    def is_counter(series: str) -> bool:
        return series.endswith(("_total", "_bucket", "_sum", "_count"))

    for expression in expressions(load(name)):
        found = parsed(expression)
        calls = [
            node for node in found if isinstance(node, promql_parser.Call) and node.func.name in ("rate", "increase")
        ]
        rated = [argument.vector_selector.name or "" for call in calls for argument in call.args]
        counters = [
            node.name
            for node in found
            if isinstance(node, promql_parser.VectorSelector) and node.name and is_counter(node.name)
        ]
        assert sorted(counters) == sorted(rated), expression


@each_dashboard
def test_series_exist(name: str) -> None:
    """Every series of every query is in the catalogue, or is one that Prometheus or the client library adds."""
    used = {
        series
        for expression in expressions(load(name))
        for selector in selectors(expression)
        for series in [selector.name]
    }

    assert set() == used - catalogued_series() - OF_PROMETHEUS


def test_every_figure_is_shown() -> None:
    """Every series of the catalogue is on some dashboard, but for those named here with their reason."""
    elsewhere = {
        "edge_impulse_project_up": "its state says more",
        "edge_impulse_alert_threshold": "a setting",
        "edge_impulse_anomaly_score_stddev": "the quantiles say more",
        "edge_impulse_target_info": "fills the variables",
        "edge_impulse_unit_info": "how intervals are made: the target's page says it beside them",
        "edge_impulse_group_icc_ratio": "why they are made so",
        "edge_impulse_group_design_effect_ratio": "likewise",
    }
    shown = {series for query in all_queries() for series in series_names(query.expression)}
    wanted = {series for series in catalogued_series() if not series.endswith(("_sum", "_count"))}
    histograms = {series.removesuffix("_bucket") for series in wanted if series.endswith("_bucket")}

    assert set() == wanted - histograms - shown - set(elsewhere)


@each_dashboard
def test_overrides_hit(name: str) -> None:
    """Every override by name is about a column or a legend of its panel."""
    for panel in panels(load(name)):
        fields = {target["legendFormat"] for target in panel["targets"]}
        fields |= (
            {"class\\predicted"}
            if any(each["id"] == "groupingToMatrix" for each in panel.get("transformations", []))
            else set()
        )
        for transformation in panel.get("transformations", []):
            if transformation["id"] == "organize":
                options = transformation["options"]
                fields |= (set(options["indexByName"]) - set(options["renameByName"])) | set(
                    options["renameByName"].values()
                )
        values = {"{{cause}}", "{{state}}", "{{outcome}}", "{{reason}}", "{{alertstate}}"} & fields
        for override in panel["fieldConfig"]["overrides"]:
            if override["matcher"]["id"] == "byName" and not values:
                assert override["matcher"]["options"] in fields, panel["title"]


@each_dashboard
def test_joined_columns_come_from_queries(name: str) -> None:
    """Every column that a table orders, renames or drops is a value of one of its queries, or one of their labels."""
    for panel in panels(load(name)):
        many = len(panel["targets"]) > 1
        values = {f"Value #{target['refId']}" if many else "Value" for target in panel["targets"]}
        labels = {label for target in panel["targets"] for label in grouped_by(target["expr"])}
        for transformation in panel.get("transformations", []):
            if transformation["id"] == "organize":
                assert set(transformation["options"]["indexByName"]) <= values | labels, panel["title"]
                assert values <= set(transformation["options"]["indexByName"]), panel["title"]


def grouped_by(expression: str) -> set[str]:
    """Labels that an expression's aggregations keep."""
    return {label.strip() for found in re.findall(r"by \(([^)]*)\)", expression) for label in found.split(",")}


@each_dashboard
def test_legends_name_labels_that_are_kept(name: str) -> None:
    """A legend names only labels that the query's aggregation keeps."""
    for panel in panels(load(name)):
        for target in panel["targets"]:
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= grouped_by(target["expr"]), panel[
                "title"
            ]


def leads_to_a_page(url: str, known: set[str]) -> None:
    """Check that a link starts at the service's address, and leads to a page and a section of its own."""
    found = re.fullmatch(r"\$\{monitor\}(?P<path>/[^?#]*)(?:\?(?P<query>[^#]+))?(?:#(?P<section>\w+))?", url)

    assert found is not None, url
    assert set(re.findall(r"\$\{(\w+)\}", url)) <= known
    page = "target" if found["path"].startswith("/targets/") else found["path"].strip("/") or "status"
    if page == "target":
        parts = re.findall(r"\$\{(?:__field\.labels\.|__data\.fields\.)?(\w+)\}", found["path"])
        assert [part.removesuffix("_id") for part in parts] == ["project", "impulse", "variant", "category"], url
    if found["query"]:
        name, value = found["query"].split("=")
        wanted = {"status": WantedTargets(), "alerts": WantedEvents()}[page]
        assert hasattr(wanted, name)
        assert name != "sort" or value.removeprefix("-") in SORTS
        assert (page, name) != ("alerts", "state") or value in PHASES
    if found["section"]:
        assert f'id="{found["section"]}"' in "".join(
            file.read_text(encoding="utf-8") for file in [TEMPLATES / f"{page}.html", *TEMPLATES.glob(f"{page}/*.html")]
        ), url


@each_dashboard
def test_every_panel_leads_to_the_service(name: str) -> None:
    """Whoever looks at a panel is one click from the page of the service that says more; on *Target* from its section,
    and from each value of it.
    """
    for panel in panels(load(name)):
        urls = [link["url"] for link in panel["links"]]

        assert len(urls) == 1, panel["title"]
        assert urls[0].startswith("${monitor}/"), panel["title"]
        if name == "target":
            assert "#" in urls[0], panel["title"]
            on_values = [link["url"] for link in panel["fieldConfig"]["defaults"].get("links", [])]
            assert panel["type"] == "table" or urls == on_values, panel["title"]


@each_dashboard
def test_links_lead_somewhere(name: str) -> None:
    """Links between dashboards hold a uid that exists, and variables that it has; all others lead to pages of the
    service, and to sections that these have.
    """
    by_uid = {load(each)["uid"]: load(each) for each in names()}
    content = load(name)
    urls = re.findall(r'"url": "([^"]+)"', json.dumps(content))
    for url in urls:
        if found := re.match(r"/d/([\w-]+)\?", url):
            assert set(re.findall(r"var-(\w+)=", url)) <= set(variables(by_uid[found[1]])), url
        else:
            leads_to_a_page(url, set(variables(content)))
    assert [["impulse-monitor"]] == [link["tags"] for link in content["links"] if link["type"] == "dashboards"]
    assert content["tags"] == ["impulse-monitor"]


@each_dashboard
def test_panels_do_not_overlap(name: str) -> None:
    """Panels fill the grid of 24 columns without overlapping."""
    content = load(name)
    folded = [panel["panels"] for panel in content["panels"] if panel["type"] == "row" and panel["panels"]]
    for group in [content["panels"], *folded]:
        taken: set[tuple[int, int]] = set()
        for panel in group:
            place = panel["gridPos"]
            cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
            assert place["x"] + place["w"] <= 24, panel["title"]
            assert not cells & taken, panel["title"]
            taken |= cells


@pytest.mark.parametrize(
    ("variable", "text", "value"), [("project", "press, line", "101"), ("impulse", "spectral", "7")]
)
def test_targets_are_chosen_by_name_and_matched_by_id(variable: str, text: str, value: str) -> None:
    """The variable's pattern takes name and id out of a series as Grafana's `query_result` writes it: labels sorted."""
    labels = {
        "category": "testing",
        "impulse": "spectral",
        "impulse_id": "7",
        "project": "press, line",
        "project_id": "101",
        "team": "a",
    }
    line = (
        "edge_impulse_target_info{"
        + ",".join(f'{name}="{label}"' for name, label in labels.items())
        + "} 1 1700000000000"
    )
    pattern = variables(load("target"))[variable]["regex"].strip("/").replace("(?<", "(?P<")

    found = re.search(pattern, line)

    assert found is not None
    assert {"text": text, "value": value} == found.groupdict()


def test_no_data_says_why() -> None:
    """A panel of *Target* that a kind of model has nothing for says so; the setting, where one may be the reason."""
    said = {panel["title"]: panel["fieldConfig"]["defaults"].get("noValue", "") for panel in panels(load("target"))}
    families = {Switch.CLASSES: "exposition.classes", Switch.CONFUSION: "exposition.confusion"}
    of_switch = {switch: {metric.name for metric in METRICS if metric.switch is switch} for switch in families}

    assert [] == [title for title, text in said.items() if not text]
    for panel in panels(load("target")):
        used = {name for target in panel["targets"] for name in (each.name for each in selectors(target["expr"]))}
        for switch, setting in families.items():
            if used and used <= of_switch[switch]:
                assert setting in said[panel["title"]], panel["title"]


def test_details_are_folded() -> None:
    """What only some kinds of model have is in rows that are folded, and asks nothing until they are opened; drift and
    evidence are on the first screen, which is 20 rows high.
    """
    first = {
        panel["title"] for panel in load("target")["panels"] if panel["gridPos"]["y"] + panel["gridPos"]["h"] <= 20
    }
    folded = [panel for panel in load("target")["panels"] if panel["type"] == "row" and panel["collapsed"]]

    assert {"Drift from the baseline", "Evidence that new samples are different"} <= first
    assert 5 == len(folded)
    for row in folded:
        assert {"classes", "blocks", "slices", "variants"} >= set(re.findall(r"\$(\w+)", row["title"]))


def test_tables_of_all_targets_have_pages() -> None:
    """No table of *Fleet* has to be scrolled in, however many targets there are."""
    tables = [panel for panel in panels(load("fleet")) if panel["type"] == "table"]

    assert 3 == len(tables)
    assert all(panel["options"]["footer"]["enablePagination"] for panel in tables)


def test_result_sets_are_dots_and_values_are_flat_between() -> None:
    """No line slopes from one result set to the next, which would suggest pulls in between; each set is a dot."""
    (panel,) = (each for each in panels(load("target")) if each["title"].startswith("Figures, their"))
    dots = {
        override["matcher"]["options"]
        for override in panel["fieldConfig"]["overrides"]
        if {"id": "custom.drawStyle", "value": "points"} in override["properties"]
    }

    assert "stepAfter" == panel["fieldConfig"]["defaults"]["custom"]["lineInterpolation"]
    assert dots == {
        target["legendFormat"] for target in panel["targets"] if target["legendFormat"].endswith(", result set")
    }
    assert len(dots) == len(panel["targets"]) / 5


def test_evidence_has_the_alarm_as_a_line() -> None:
    """The scale of the evidence reaches the alarm, which is a line across it where the service alarms."""
    (panel,) = (each for each in panels(load("target")) if each["title"].startswith("Evidence"))
    defaults = panel["fieldConfig"]["defaults"]

    assert ALARM in [step["value"] for step in defaults["thresholds"]["steps"]]
    assert defaults["custom"]["thresholdsStyle"]["mode"] == "dashed"
    assert defaults["custom"]["axisSoftMax"] > ALARM
