"""The whole stack as `deploy/` ships it: the demo, Prometheus, Alertmanager with these files, and a webhook at the end
of the chain.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_prometheus import free_port, process, until

ROOT = Path(__file__).resolve().parents[2]

from tests.deploy.dashboard_queries import PanelQuery, all_queries, load, panels, replaced  # noqa: E402

pytestmark = pytest.mark.acceptance

REGRESSED = "vibration-press-line"
"""The demo's project whose model gets worse after a minute."""


class Hook:
    """A webhook behind Alertmanager that remembers the alerts it was told."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.alerts += json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def __enter__(self) -> Hook:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class Stack:
    """Everything, up and running."""

    def __init__(self, prometheus: int, hook: Hook) -> None:
        self.prometheus, self.hook = prometheus, hook

    def get(self, path: str, **query: str) -> Any:
        """The data of a call to Prometheus."""
        url = f"http://127.0.0.1:{self.prometheus}/api/v1/{path}?" + urllib.parse.urlencode(query)
        with urllib.request.urlopen(url, timeout=120) as response:
            return json.load(response)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        return list(self.get("query", query=expression)["result"])

    def asked(self, query: PanelQuery) -> list[dict[str, Any]]:
        """The result of a panel's query as Grafana asks it: now, or over the last half hour."""
        if query.instant:
            return self.query(query.expression)
        end = time.time()
        times = {"start": f"{end - 1800:.3f}", "end": f"{end:.3f}", "step": "15"}
        return list(self.get("query_range", query=query.expression, **times)["result"])

    def targets(self) -> list[dict[str, str]]:
        """The labels of each target."""
        return [row["metric"] for row in self.query("edge_impulse_target_info")]


def placed(file: str, folder: Path, addresses: dict[str, str]) -> Path:
    """A copy of a file of `deploy/` with the services' names replaced by addresses, and nothing else."""
    text = (ROOT / "deploy" / file).read_text(encoding="utf-8")
    for name, address in addresses.items():
        text = text.replace(name, address)
    path = folder / Path(file).name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[Stack]:
    """The demo that tells Alertmanager, a Prometheus that scrapes both, and a webhook in place of the receiver that is
    to be filled in.
    """
    prometheus, alertmanager = program("prometheus"), program("prometheus-alertmanager")
    folder = tmp_path_factory.mktemp("stack")
    ports = [free_port() for _ in range(3)]
    monitor, server, manager = (f"127.0.0.1:{port}" for port in ports)
    addresses = {"monitor:9890": monitor, "alertmanager:9093": manager, "localhost:9090": server}
    (folder / "rules").symlink_to(ROOT / "deploy" / "prometheus" / "rules")
    with Hook() as hook:
        scrape = placed("prometheus/prometheus.yml", folder, addresses)
        route = placed(
            "alertmanager/alertmanager.yml",
            folder,
            {"  - name: nobody\n": f"  - name: nobody\n    webhook_configs: [{{url: '{hook.url}'}}]\n"},
        )
        demo = [sys.executable, "-m", "monitor", "demo", "--listen", monitor, "--alertmanager", f"http://{manager}"]
        scraper = [
            prometheus,
            f"--config.file={scrape}",
            f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address={server}",
        ]
        teller = [
            alertmanager,
            f"--config.file={route}",
            f"--storage.path={folder}/data",
            f"--web.listen-address={manager}",
            "--cluster.listen-address=",
        ]
        with (
            process(*teller, log=folder / "alertmanager.log"),
            process(*demo, log=folder / "demo.log"),
            process(*scraper, log=folder / "prometheus.log"),
        ):
            yield Stack(ports[1], hook)


def test_regression_becomes_an_alert_at_the_end_of_the_chain(stack: Stack) -> None:
    """A model of the demo that gets worse is told, with its cause, to the webhook behind Alertmanager."""

    def told() -> list[dict[str, Any]]:
        return [
            alert
            for alert in stack.hook.alerts
            if alert["labels"]["alertname"] == "EdgeImpulseAccuracyRegressed"
            and alert["labels"]["project"] == REGRESSED
        ]

    alert = until(told, 240)[0]

    assert "firing" == alert["status"]
    assert "the model changed, not the data" in alert["annotations"]["description"]
    assert "Accuracy fell" in alert["annotations"]["summary"]


FLEETS_ONLY = tuple(
    f"impulse_monitor_{name}" for name in ("turn", "workers", "leader", "config_differs", "replica_lag")
)
"""Series that a service has which shares its turns with others; `tests/fleet` has such."""
TLS_ONLY = "impulse_monitor_certificate_expiry_timestamp_seconds"
"""A metric that a demo without TLS does not have."""

PINNED = "Baseline pinned"
"""A mark that is there only once somebody pins another baseline."""

EVERY_KIND = {
    "Alerts firing",
    "Last pull",
    "Last good pull",
    "Samples that changed sides",
    "Variants of this impulse",
    "How pulls ended",
    "Age of the results",
    "Size of the result set",
    "Learning blocks and thresholds",
    "Model trained",
    "Features",
}
"""Panels of *Target* that have data for every kind of model."""

JUDGED = {
    "Figures",
    "Change",
    "Figures, their 95 % intervals and the baseline",
    "Evidence that new samples are different",
    "Causes of the change of $metric",
    "Could it be chance?",
    "Slices, worst first",
}
"""Those that have it wherever there is an accuracy."""

CLASSES = {"Classes, worst first", "F1 of each class over time"}
CLASSIFIED = CLASSES | {
    "Confusion: how the windows of a class (row) are predicted",
    "Mix of predicted classes against the baseline",
    "Drift from the baseline",
    "Calibration",
    "Losses",
    "All averages",
}
SCORED = {
    "Drift from the baseline",
    "Score distribution",
    "Flagged as anomalous",
    "Told apart",
    "Distances from the baseline's scores",
    "Enough data",
}

KINDS = {
    "keyword-spotting": JUDGED | CLASSIFIED,
    "vibration-press-line": JUDGED | CLASSIFIED | SCORED,
    "pump-bearing": JUDGED | SCORED,
    "surface-inspection": JUDGED | SCORED,
    "forklift-safety": JUDGED | CLASSES | {"All averages"},
    "parts-counter": JUDGED | {"All averages"},
    "tank-level": JUDGED | {"Losses", "All averages"},
}
"""By a project of the demo for each kind of model: what more has data."""

ANYWAY = {"Results changed", "Left out", "Against the reference variant"}
"""Panels that have data or not, whatever the kind."""


def chosen(target: dict[str, str]) -> dict[str, str]:
    """The values of the dashboards' variables that choose a target."""
    return {
        "project": target["project_id"],
        "impulse": target["impulse_id"],
        "variant": target["variant"],
        "category": target["category"],
    }


def test_every_dashboard_query_has_data(stack: Stack) -> None:
    """Each query of each panel returns data for a target that it is for."""
    targets = until(lambda: stack.query('edge_impulse_change_ratio{cause="model"} < -0.05') and stack.targets())
    until(lambda: stack.query('ALERTS or edge_impulse_alerts{alertstate="firing"}'), 240)
    until(lambda: stack.query('edge_impulse_changed_samples{kind="relabelled"} > 0'), 240)
    seen: set[tuple[str, str, str]] = set()
    wanted: dict[tuple[str, str, str], str] = {}
    for values in [{}, *map(chosen, targets)]:
        for query in all_queries(values):
            key = (query.dashboard, query.panel, query.ref)
            wanted.setdefault(key, query.expression)
            if key not in seen and stack.asked(query):
                seen.add(key)

    missing = {key: expression for key, expression in wanted.items() if key not in seen}
    elsewhere = (TLS_ONLY, *FLEETS_ONLY)
    assert {} == {
        key: expression
        for key, expression in missing.items()
        if not any(name in expression for name in elsewhere) and key[1] != PINNED
    }


@pytest.mark.parametrize("project", KINDS)
def test_each_kind_of_model_has_its_panels(stack: Stack, project: str) -> None:
    """*Target* has data in the panels that a kind of model is for, and in no others; the heading of a folded row says 0
    exactly where nothing is in it.
    """
    until(lambda: stack.query('edge_impulse_change_ratio{cause="model"} < -0.05'))
    target = next(each for each in stack.targets() if each["project"] == project)
    queries = [each for each in all_queries(chosen(target)) if each.dashboard == "target" and each.ref]
    found = {query.panel for query in queries if stack.asked(query)}

    assert KINDS[project] | EVERY_KIND == found - ANYWAY
    counts = {each["name"]: each["query"] for each in load("target")["templating"]["list"]}
    for row in (panel for panel in load("target")["panels"] if "($" in panel["title"]):
        (name,) = re.findall(r"\(\$(\w+)\)", row["title"])
        expression = counts[name].removeprefix("query_result(").removesuffix(")")
        (count,) = stack.query(replaced(expression, chosen(target)))
        titles = {panel["title"] for panel in panels({"panels": [row]})}
        assert (float(count["value"][1]) > 0) == bool(titles & (found - ANYWAY)), row["title"]


def test_the_services_own_rules_are_loaded_and_quiet(stack: Stack) -> None:
    """Prometheus has loaded the rules about the service, evaluates them without error, and none of them fires for a
    healthy one.
    """
    rules = [rule for group in stack.get("rules")["groups"] for rule in group["rules"]]

    assert {"ImpulseMonitorDown", "ImpulseMonitorHung"} <= {rule["name"] for rule in rules}
    assert {"ok"} == {rule["health"] for rule in rules}
    assert [] == [rule["name"] for rule in rules if rule.get("state") == "firing"]
