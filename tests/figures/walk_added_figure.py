"""The way of a headline figure through everything that is made of the table; run by `test_added_figure`, with the
plugin `added_figure`.
"""

from __future__ import annotations

import io
import json
import warnings
from dataclasses import replace

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from rich.console import Console

from monitor.alerts import explain
from monitor.alerts.rule_file import rule_file
from monitor.alerts.rules import Above, Below, Drop, Rule
from monitor.alerts.verdicts import Answer, check_rule
from monitor.compare.comparison import Comparison
from monitor.config import schema
from monitor.errors import PullState
from monitor.exposition import describe
from monitor.views.history import runs_as_csv
from monitor.views.report import Outcome, as_table
from tests.alerts.alert_cases import BASELINE, SUBJECT
from tests.config.conftest import Folder
from tests.exposition import exposition_boards as boards
from tests.exposition import test_metric_catalogue
from tests.factories import evaluation
from tests.figures import test_headline_docs
from tests.figures.added_figure import ADDED
from tests.service_process import Service
from tests.web.web_service import ONE, start

with warnings.catch_warnings():
    # It recommends the format's second version, which Grafana reads from files only since 12.
    warnings.simplefilter("ignore", DeprecationWarning)
    from deploy.grafana.builder import figures, fleet, target

NAME, SERIES = ADDED.name, ADDED.series.name
OWN = f"alerts:\n  - alert: Own\n    metric: {NAME}\n"
TWELVE = evaluation(windows=120)
COMPARED = Comparison(replace(BASELINE, values={NAME: 20.0}), (), (), {}, ())


def words(condition: Above | Below | Drop) -> str:
    """What a rule that is met says."""
    rule = Rule("Own", condition)
    verdict = check_rule(rule, TWELVE, COMPARED)
    assert verdict.answer is Answer.YES
    said = explain.verdict(rule, SUBJECT, verdict)
    return f"{said.summary} {said.description}"


def test_configuration_accepts_and_bounds_it(folder: Folder) -> None:
    """A rule may be about it, within its range, and against the baseline only without a test."""
    *_, rule = folder.load(OWN + "    above: 11").config.rules()

    assert Above(NAME, 11.0) == rule.condition
    assert [
        "monitor.yaml:4: alerts[0].below: can never be met, or always is; write a number above 1"
    ] == folder.problems(OWN + "    below: 1")
    assert ["monitor.yaml:4: alerts[0].drop: must be above 0"] == folder.problems(
        OWN + "    drop: 0\n    significance: off"
    )
    (problem,) = folder.problems(OWN + "    drop: 2")
    assert problem.startswith("monitor.yaml:3: alerts[0].metric: has no test for a change")
    assert json.dumps(schema()).count(f'"{NAME}"') == 4


def test_rules_about_it_fire_in_words() -> None:
    """Rules of each kind say it by its label, in its own unit."""
    assert words(Above(NAME, 11)).startswith(
        "Windows per sample is above 11: vibration-a / classifier (int8, testing). "
        "Windows per sample is above 11, at 12."
    )
    assert "Windows per sample is below 13" in words(Below(NAME, 13))
    assert "Windows per sample fell by 8: " in words(Drop(NAME, 2, None))


def test_rule_file_has_its_expression() -> None:
    """Prometheus reads its series, and the baseline's by its name."""
    text = rule_file([Rule("A", Above(NAME, 11)), Rule("D", Drop(NAME, 2, None))], [], 3600)
    above, drop = yaml.safe_load(text)["groups"][0]["rules"]

    assert f"last_over_time({SERIES}[5m]) > 11" == above["expr"]
    assert (
        f"last_over_time({SERIES}[5m])\n- ignoring (metric)\n"
        f'last_over_time(edge_impulse_baseline_value{{metric="{NAME}"}}[5m])\n< -2'
    ) == drop["expr"]


def test_series_is_exported() -> None:
    """A scrape has it, and the catalogue names it."""
    of = boards.board(boards.snapshot(boards.target(), TWELVE))

    assert {(): 12.0} == boards.shown(of, SERIES)
    assert [ADDED.series.meaning] == [row.meaning for row in describe() if row.name == SERIES]


def test_pull_and_runs_have_a_column() -> None:
    """`pull` prints it, and the runs as CSV have a column of its name."""
    outcome = Outcome("one", PullState.OK, boards.snapshot(boards.target(), TWELVE))
    text = io.StringIO()
    Console(file=text, width=200).print(as_table([outcome]))

    assert f"{NAME} 12" in text.getvalue()
    assert NAME in runs_as_csv([]).strip().split(",")


async def test_pages_and_api_show_it(service: Service) -> None:
    """The target's page and the API of a running service have it; the first page shows one figure of each target."""
    await start(service, ONE)
    _, page = await service.get(f"/targets/{ONE}")
    _, answer = await service.get("/api/v1/targets")

    (shown,) = (each for each in json.loads(answer)["data"]["targets"] if each["id"] == ONE)
    assert shown["figures"][NAME]["value"] >= 1
    assert "windows per sample" in page


def test_dashboards_have_a_panel_for_it() -> None:
    """Both dashboards show it, in its own unit."""
    for build in (fleet.dashboard, target.dashboard):
        content = json.loads(json.dumps(build().build(), cls=JSONEncoder))
        panels = [panel for each in content["panels"] for panel in (each, *each.get("panels", ()))]
        about = [panel for panel in panels if f"{SERIES}{{" in json.dumps(panel.get("targets", []))]

        assert about
        assert '"none"' in json.dumps([panel["fieldConfig"] for panel in about])


def test_a_figure_without_a_designed_panel_has_one_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What shows at a glance nowhere has a panel below *Other figures*."""
    monkeypatch.setattr(target, "GLANCE", figures.GLANCE[:-1])
    content = json.loads(json.dumps(target.dashboard().build(), cls=JSONEncoder))
    *_, last = content["panels"]

    assert "Windows per sample" == last["title"]
    assert ADDED.series.meaning == last["description"]


def test_lists_in_docs_want_it() -> None:
    """The pages that list figures or metrics are out of date without it."""
    with pytest.raises(AssertionError, match=r"figures\.md is out of date"):
        test_headline_docs.test_table_in_docs_is_the_table()
    with pytest.raises(AssertionError, match=r"metrics\.md is out of date"):
        test_metric_catalogue.test_documentation_is_the_catalogue()
