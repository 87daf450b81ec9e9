"""What each command prints at 80 and 200 columns, as files in `golden`; `UPDATE_GOLDEN=1` writes them anew."""

from __future__ import annotations

import asyncio
import io
import os
import re
from dataclasses import replace
from pathlib import Path

import click
import pytest
import yaml
from rich.cells import cell_len
from rich.console import Console

from monitor.alerts.states import AlertState, Phase
from monitor.cli import main
from monitor.simulator import Studio
from monitor.store import Store
from monitor.views.history import alerts_as_table
from tests.cli.commands import run, run_beside
from tests.notify.notify_parts import Inbox

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
    "simulate-list": ("simulate", "--list"),
    **{f"help-{name}": (name, "--help") for name in sorted(main.commands)},
    **{
        f"help-{name}-{inner}": (name, inner, "--help")
        for name, group in sorted(main.commands.items())
        if isinstance(group, click.Group)
        for inner in sorted(group.commands)
    },
}
CHANGING = {
    "baseline-pin": ("baseline", "pin", TARGET, "--run", "1"),
    "baseline-clear": ("baseline", "clear", TARGET),
}
"""Commands that change the store: run after the others, in this order."""


def check_golden(name: str, text: str) -> None:
    """Compare with the file of the name; times, ports and digests may be any."""
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    text = re.sub(r"\b20\d\d-\d\d-\d\d", "YYYY-MM-DD", text)
    text = re.sub(r"(?<!\d)\d\d:\d\d:\d\dZ", "HH:MM:SSZ", text)
    text = re.sub(r"\b[0-9a-f]{32}\b", "DIGEST", text)
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
        reads = "--help" not in command and name not in ("metrics", "simulate-list")
        for columns in (80, 200):
            result = run(*command, *(("--config", config) if reads else ()), COLUMNS=str(columns))
            lines = [line.rstrip() for line in result.stdout.splitlines()]
            assert 0 == result.exit_code, (name, result.stderr)
            assert [] == [line for line in lines if cell_len(line) > columns], name
            assert not re.search("[─-╿]", result.stdout), name
            check_golden(f"{name}-{columns}", "\n".join(lines) + "\n")
    for columns in (80, 200):
        for name, command in CHANGING.items():
            result = run(*command, "--config", config, COLUMNS=str(columns))
            assert (0, "") == (result.exit_code, result.stderr), name
            check_golden(f"{name}-{columns}", result.stdout)
        shown = run("history", "--config", config, COLUMNS=str(columns)).stdout
        assert all(f"{number}-1-int8-testing" in shown for number in (101, 107, 108))


def alert(name: str, target: str, phase: Phase) -> AlertState:
    """An alert of the store, as the rules write them."""
    text = (
        "Accuracy fell by 25.8 points since 2026-09-21 13:33 UTC: the model changed, not the data. 131 of the 200 "
        "samples both runs share are newly wrong. Look at the samples that are newly wrong, then train again or go "
        "back to the model before."
    )
    return AlertState(name, target, "", phase, severity="critical", labels={}, annotations={"description": text})


@pytest.mark.parametrize("columns", [80, 200])
def test_alerts_of_a_store(columns: int, tmp_path: Path) -> None:
    """Those that fire come first, then pending ones, then those that have resolved; ids are whole, and texts folded."""
    path = tmp_path / "monitor.yaml"
    url = f"sqlite:///{tmp_path}/x.db"
    path.write_text(yaml.safe_dump({"projects": [], "store": url}), encoding="utf-8")
    at = 1790000000.0
    long = "12345678-12-float32-testing"
    states = [
        replace(alert("EdgeImpulseMeanF1Regressed", long, Phase.RESOLVED), starts_at=at, ends_at=at + 60),
        replace(alert("EdgeImpulseAccuracyRegressed", "101-1-int8-testing", Phase.PENDING), since=at),
        replace(alert("EdgeImpulseAccuracyRegressed", long, Phase.FIRING), starts_at=at),
    ]

    async def fill() -> None:
        async with Store(url) as store, store.transaction() as tx:
            await tx.put_alert_states(states)

    asyncio.run(fill())
    text = run("alerts", "--config", path, COLUMNS=str(columns)).stdout
    lines = [line.rstrip() for line in text.splitlines()]

    assert max(map(cell_len, lines)) <= columns
    assert ["firing", "pending", "resolved"] == [line.split()[0] for line in lines[1:] if not line.startswith(" ")]
    check_golden(f"alerts-of-some-{columns}", "\n".join(lines) + "\n")


async def test_lines_for_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`check`, `init`, `rules`, `notify test` and `store copy` print lines that are never folded."""
    monkeypatch.chdir(tmp_path)
    async with Inbox() as well, Inbox([404]) as wrong:
        receivers: list[dict[str, object]] = [
            {"name": "on-call", "webhook": {"url": well.url()}},
            {"name": "chat", "webhook": {"url": wrong.url()}},
        ]
        good = {"projects": [{"id": 101, "api_key": "k"}], "notify": receivers}
        Path("good.yaml").write_text(yaml.safe_dump(good), encoding="utf-8")
        Path("bad.yaml").write_text(yaml.safe_dump(BAD, sort_keys=False), encoding="utf-8")
        async with Store("sqlite:///from.db"):
            pass
        for columns in (80, 200):
            for name, command, code in (
                ("check", ("check", "--config", "good.yaml"), 0),
                ("check-of-a-bad-file", ("check", "--config", "bad.yaml"), 1),
                ("rules", ("rules", "--config", "good.yaml"), 0),
                ("notify-test", ("notify", "test", "--config", "good.yaml"), 1),
                ("init", ("init", "--config", "new.yaml"), 0),
                ("store-copy", ("store", "copy", "sqlite:///from.db", "sqlite:///to.db"), 0),
            ):
                wrong.replies = [404]
                for written in ("new.yaml", "to.db"):
                    Path(written).unlink(missing_ok=True)
                result = await run_beside(*command, NO_PROXY="127.0.0.1", COLUMNS=str(columns))
                progress = result.stderr if name == "store-copy" else ""
                assert (code, progress) == (result.exit_code, result.stderr), name
                assert not re.search("[─-╿]", result.stdout), name
                check_golden(f"{name}-{columns}", result.stdout)
    for name in ("check", "check-of-a-bad-file", "rules", "notify-test", "init", "store-copy"):
        assert (GOLDEN / f"{name}-80.txt").read_bytes() == (GOLDEN / f"{name}-200.txt").read_bytes()


BAD = {
    "studio": {"url": "https://studio.edgeimpulse.com"},
    "schedule": {"every": "often"},
    "projects": [{"id": 101, "api_key": "k", "colour": "red"}],
    "alerts": [{"alert": "EdgeImpulseAccuracyRegresed", "enabled": False}],
    "notify": [{"webhook": {"url": "hooks.example.com"}}],
}
"""A mistake of each kind."""


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
