"""The commands within the test's own process: what they answer at once, without a service."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from monitor import __version__
from monitor.cli import main
from monitor.exposition import METRICS
from tests.cli.commands import run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration of one project, whose store lies beside it."""
    path = tmp_path / "monitor.yaml"
    content = {"projects": [{"id": 101, "api_key": "ei_0123456789"}], "store": f"sqlite:///{tmp_path}/x.db"}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


SUBCOMMANDS = [("baseline", "show"), ("baseline", "pin"), ("baseline", "clear"), ("notify", "test")]


@pytest.mark.parametrize("command", [(), *((name,) for name in sorted(main.commands)), *SUBCOMMANDS])
def test_every_command_has_help_and_version(command: tuple[str, ...]) -> None:
    """Each command says what it does, and the version."""
    asked = run(*command, "--help")

    assert (0, True) == (asked.exit_code, "Usage:" in asked.output)
    assert __version__ == run(*command, "--version").output.split()[-1]


def test_metrics_lists_every_series() -> None:
    """`metrics` names each series of the catalogue."""
    result = run("metrics")

    assert 0 == result.exit_code
    assert [] == [metric.name for metric in METRICS if metric.name not in result.output]


def test_rules_are_what_prometheus_loads(config: Path) -> None:
    """`rules` writes a rule file with an alert of each built-in name, and nothing else to stdout."""
    result = run("rules", "--config", config)
    groups = yaml.safe_load(result.stdout)["groups"]

    assert 0 == result.exit_code
    assert "EdgeImpulseAccuracyRegressed" in {rule.get("alert") for group in groups for rule in group["rules"]}


def test_a_wrong_file_ends_each_command_that_reads_it(config: Path) -> None:
    """Every command that reads the configuration says each problem with its line, and exits 1."""
    config.write_text("projects:\n  - id: 1\n    api_key: k\n    color: red\n", encoding="utf-8")

    for command in ("rules", "history", "alerts"):
        result = run(command, "--config", config)
        assert (1, True) == (result.exit_code, f"{config}:4:" in result.output), (command, result.output)


def test_wrong_usage() -> None:
    """Wrong usage is exit code 2, said on stderr."""
    result = run("pull", "--format", "xml")

    assert (2, "") == (result.exit_code, result.stdout)
    assert "xml" in result.stderr
