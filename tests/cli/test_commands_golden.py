"""What each command prints at 80 and 200 columns, as files beside this one; `UPDATE_GOLDEN=1` writes them anew."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from monitor.alerts.states import AlertState, Phase
from monitor.cli import main
from monitor.simulator import Studio
from monitor.views.history import alerts_as_table
from tests.cli.commands import run

GOLDEN = Path(__file__).parent / "golden"
TARGET = "101-1-int8-testing"
COMMANDS = {
    "pull": ("pull",),
    "history": ("history",),
    "history-of-one": ("history", TARGET, "--limit", "1"),
    "baseline-show": ("baseline", "show"),
    "samples": ("samples", TARGET, "--limit", "10"),
    "alerts": ("alerts",),
    "metrics": ("metrics",),
    "help": ("--help",),
    **{f"help-{name}": (name, "--help") for name in sorted(main.commands)},
}


def check_golden(name: str, text: str) -> None:
    """Compare with the file of the name; times and the folder of the test may be any."""
    text = re.sub(r"\b20\d\d-\d\d-\d\d", "YYYY-MM-DD", text)
    text = re.sub(r"\b\d\d:\d\d:\d\dZ", "HH:MM:SSZ", text)
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def test_output(studio: tuple[str, Studio], config: Path) -> None:
    """No line is wider than there is room, no box is drawn, no id of a target and no name of a metric is cut."""
    url, served = studio
    text = config.read_text(encoding="utf-8").replace(f"url: {url}", f"url: {url}\n  site: https://studio.example.com")
    config.write_text(text, encoding="utf-8")
    for step in (0, 60):
        served.timeline.pin(step)
        for project in ("101", "107", "108"):  # one by one: runs are numbered as they end
            for impulse in ("1", "2") if project == "101" else ("1",):
                pulled = run("pull", "--config", config, "--save", "--project", project, "--impulse", impulse)
                assert 0 == pulled.exit_code, pulled.stderr
    served.timeline.pin(0)
    for name, command in COMMANDS.items():
        reads = "--help" not in command and name != "metrics"
        for columns in (80, 200):
            result = run(*command, *(("--config", config) if reads else ()), COLUMNS=str(columns))
            lines = [line.rstrip() for line in result.stdout.splitlines()]
            assert 0 == result.exit_code, (name, result.stderr)
            assert [] == [line for line in lines if cell_len(line) > columns], name
            assert not re.search("[─-╿]", result.stdout), name
            check_golden(f"{name}-{columns}", "\n".join(lines) + "\n")
    for columns in (80, 200):
        shown = run("history", "--config", config, COLUMNS=str(columns)).stdout
        assert all(f"{number}-1-int8-testing" in shown for number in (101, 107, 108))


@pytest.mark.parametrize("columns", [80, 200])
def test_alerts(columns: int) -> None:
    """Long ids and names of others keep alerts within the columns; markup and commands to the terminal are text."""
    target = "12345678-12-float32-post-processing"
    state = AlertState(
        "EdgeImpulseAccuracyRegressed",
        target,
        "",
        Phase.FIRING,
        severity="critical",
        labels={},
        annotations={"description": "[bold]x[/bold] \x1b[31m " + "long" * 40},
        starts_at=1790000000.0,
    )
    console = Console(width=columns, record=True, file=io.StringIO())
    console.print(alerts_as_table([state, replace(state, phase=Phase.PENDING, since=1790000000.0)]))
    text = console.export_text()

    assert max(map(cell_len, text.splitlines())) <= columns
    assert (2, 2) == (text.count(target), text.count("[bold]x[/bold]"))
    assert "\x1b" not in text
