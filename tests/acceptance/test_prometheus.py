"""The whole way, with the real Prometheus: from the simulator through the demo's process into its query API."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.simulator.ground import FomoMatch

pytestmark = pytest.mark.acceptance


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(*command: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that is ended at the end."""
    with log.open("wb") as stream:
        child = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        try:
            yield child
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(120)
            finally:
                child.kill()


def until(holds: Callable[[], Any], seconds: float = 240.0) -> Any:
    """What `holds` answers once it is true; fails after `seconds`."""
    last: Any = None
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            last = holds()
        except OSError as error:
            last = error
        else:
            if last:
                return last
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s; last: {last!r}")


class Chain:
    """The demo's process and a Prometheus that scrapes it every second."""

    def __init__(self, prometheus: int, metrics: int, config: Path) -> None:
        self.prometheus, self.metrics, self.config = prometheus, metrics, config
        self.complete = 0.0

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        url = f"http://127.0.0.1:{self.prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(url, timeout=120) as response:
            return list(json.load(response)["data"]["result"])

    def values(self, expression: str) -> dict[tuple[str, str, str], float]:
        """Values by (project id, impulse id, variant)."""
        rows = self.query(expression)
        return {
            (row["metric"]["project_id"], row["metric"]["impulse_id"], row["metric"]["variant"]): float(row["value"][1])
            for row in rows
        }

    def scrape(self) -> str:
        """The exposition itself."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=120) as response:
            return str(response.read(), "utf-8")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[Chain]:
    """Both programs, up and scraping."""
    binary, folder = program("prometheus"), tmp_path_factory.mktemp("chain")
    metrics, api = free_port(), free_port()
    scrape = {"job_name": "impulse-monitor", "static_configs": [{"targets": [f"127.0.0.1:{metrics}"]}]}
    settings = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    demo = [
        sys.executable,
        "-m",
        "monitor",
        "demo",
        "--listen",
        f"127.0.0.1:{metrics}",
        "--directory",
        str(folder / "demo"),
    ]
    server = [
        binary,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{api}",
    ]
    with process(*demo, log=folder / "demo.log"), process(*server, log=folder / "prometheus.log"):
        chain = Chain(api, metrics, folder / "demo" / "monitor.yaml")
        until(lambda: len(chain.query("edge_impulse_up == 1")) >= 12)
        chain.complete = time.time()
        yield chain


def image_f1(match: FomoMatch) -> float:
    """F1 of one image from its counts; 1 where there is nothing and nothing was found."""
    hits, wrong = len(match.assignments), len(match.unassigned_preds) + len(match.unassigned_trues)
    return 2 * hits / (2 * hits + wrong) if hits + wrong else 1.0


def own_figures(chain: Chain) -> tuple[dict[tuple[str, str, str], float], dict[tuple[str, str, str], float]]:
    """Accuracy and mean F1 of every simulated target, from the simulator's own data by scikit-learn."""
    from sklearn.metrics import f1_score

    from monitor.simulator import demo_studio

    studio = demo_studio(clock=lambda: 0.0)  # the demo's projects as they are at its start
    accuracy, mean_f1 = {}, {}
    for project in studio.projects.values():
        for impulse in project.impulses:
            for variant in impulse.variants:
                ground = studio.ground(project.id, impulse.id, variant.name)
                assert ground is not None
                key = (str(project.id), str(impulse.id), variant.name)
                scored = [
                    window for sample in ground.samples for window in sample.windows if window.correct is not None
                ]
                # which maps labels: its predictions have no documented score
                if scored and project.name != "bottle-attributes":
                    accuracy[key] = sum(1 for window in scored if window.correct) / len(scored)
                if project.name in ("gesture-wristband", "keyword-spotting", "vibration-press-line"):
                    truth, predicted = [window.label for window in scored], [window.prediction for window in scored]
                    mean_f1[key] = f1_score(
                        truth, predicted, labels=sorted(set(filter(None, truth))), average="macro", zero_division=0
                    )
                elif project.name == "parts-counter":
                    matches = [
                        window.fomo for sample in ground.samples for window in sample.windows if window.fomo is not None
                    ]
                    mean_f1[key] = sum(map(image_f1, matches)) / len(matches)
    return accuracy, mean_f1


def test_figures_reach_prometheus(chain: Chain) -> None:
    """Accuracy and mean F1 of every simulated target, read back through Prometheus's query API, are the simulator's
    own.
    """
    accuracy, mean_f1 = own_figures(chain)
    # Evaluated at the time when all targets had just come up: the stories' first state lasts a minute.
    found_accuracy = chain.values(f"edge_impulse_accuracy_ratio @ {chain.complete:.3f}")
    found_f1 = chain.values(f"edge_impulse_mean_f1_ratio @ {chain.complete:.3f}")

    assert accuracy.keys() == found_accuracy.keys()
    assert mean_f1.keys() == found_f1.keys()
    assert accuracy == pytest.approx(found_accuracy, abs=1e-12)
    assert mean_f1 == pytest.approx(found_f1, abs=1e-12)


def test_lint(chain: Chain, program: Callable[[str], str]) -> None:
    """`promtool check metrics` finds nothing in the demo's exposition."""
    result = subprocess.run(
        [program("promtool"), "check", "metrics"], input=chain.scrape(), capture_output=True, text=True, timeout=240
    )

    assert (0, "", "") == (result.returncode, result.stdout, result.stderr)


def test_removed_target_goes_stale(chain: Chain) -> None:
    """A project taken out of the file loses all its series within two scrapes of the reload, and the others stay."""
    content = yaml.safe_load(chain.config.read_text(encoding="utf-8"))
    content["projects"] = [entry for entry in content["projects"] if entry["id"] != 103]
    partial = chain.config.with_suffix(".new")
    partial.write_text(yaml.safe_dump(content), encoding="utf-8")
    os.replace(partial, chain.config)

    def scraped(after: float = 0.0) -> float:
        """When Prometheus last scraped the service as it is after the reload, if that was later than `after`; by its
        own clock.
        """
        (row,) = chain.query("timestamp(impulse_monitor_targets == 10)") or [{"value": (0, "0")}]
        found = float(row["value"][1])
        return found if found > after else 0.0

    first = until(scraped)
    second = until(lambda: scraped(first))

    assert [] == chain.query(f'{{__name__=~"edge_impulse_.*", project_id="103"}} @ {second:.3f}')
    assert 10 == len(chain.query("edge_impulse_up"))
