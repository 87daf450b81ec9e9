"""The commands, as processes: what they print where, and how they exit."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from monitor import __version__
from tests.cli import commands

ROOT = Path(__file__).parents[2]


def run(*arguments: str, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    """One command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "monitor", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=cwd,
        env={**os.environ, **environ},
    )


@pytest.fixture
def simulator() -> Iterator[tuple[str, dict[int, str]]]:
    """`impulse-monitor simulate` as a process: its URL and the projects' keys, from what it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", "simulate", "--log.level", "error"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    stop = threading.Timer(280, process.kill)
    stop.start()
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        keys = {}
        for _ in range(10):
            found = re.match(r"project (\d+) \(.*\): x-api-key: (\S+)", process.stdout.readline())
            assert found is not None
            keys[int(found[1])] = found[2]
        yield url, keys
    finally:
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(120)
        stop.cancel()
        process.stdout.close()  # type: ignore[union-attr]


@pytest.fixture
def config(simulator: tuple[str, dict[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration for three of the simulated projects, one key from the environment."""
    url, keys = simulator
    monkeypatch.setenv("TANK_KEY", keys[108])
    return commands.write_config(tmp_path, url, keys)


def test_version() -> None:
    """The command answers its version as a module, with exit code 0."""
    result = run("--version")

    assert (0, __version__, "") == (result.returncode, result.stdout.split()[-1], result.stderr)


def test_check_takes_the_path_from_the_environment(tmp_path: Path) -> None:
    """Without --config the path is $IMPULSE_MONITOR_CONFIG, then config/monitor.yaml."""
    named = run("check", IMPULSE_MONITOR_CONFIG=str(tmp_path / "none.yaml"))
    default = run("check", cwd=tmp_path)

    assert (1, 1) == (named.returncode, default.returncode)
    assert str(tmp_path / "none.yaml") in named.stdout
    assert "config/monitor.yaml" in default.stdout


def test_more_shards_than_requests(config: Path) -> None:
    """Shards that together exceed what may be in flight, as each sends one request at least: `check` and the start of
    `run` warn with the numbers, and say what to write.
    """
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    content.setdefault("studio", {}).update(requests_in_flight=3, requests_in_flight_per_key=2)
    content["http"] = {"listen": "127.0.0.1:0"}
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    checked = {total: commands.run("check", "--config", config, "--shard.total", str(total)) for total in (2, 3, 4)}
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", "run", "--config", str(config), "--shard.total", "4", "--log.format", "json"],
        stderr=subprocess.PIPE,
        text=True,
    )
    stop = threading.Timer(240, process.kill)
    stop.start()
    try:
        assert process.stderr is not None
        logged = []
        for line in process.stderr:
            logged.append(json.loads(line))
            if logged[-1]["event"] == "service.started":
                break
    finally:
        stop.cancel()
        process.terminate()
        process.communicate()

    warnings = {
        total: [line.split(": ", 2)[1:] for line in done.stdout.splitlines() if "shards share it" in line]
        for total, done in checked.items()
    }
    for_one_key, for_all = (
        f"is {few}, but {total} shards share it, and each sends 1 at least: {total} at the same time; write {name}: "
        f"{total} or more if Studio may be asked so often, or --shard.total {few} or less"
        for few, total, name in ((2, 3, "requests_in_flight_per_key"), (3, 4, "requests_in_flight"))
    )
    assert [0] * 3 == [done.exit_code for done in checked.values()]
    assert [] == warnings[2]
    assert [["studio.requests_in_flight_per_key", f"{for_one_key} (warning)"]] == warnings[3]
    assert ["studio.requests_in_flight", f"{for_all} (warning)"] == warnings[4][0]
    assert 2 == len(warnings[4])
    told = [line["problem"] for line in logged if line["event"] == "config.budget_exceeded"]
    assert [f"studio.requests_in_flight: {for_all}"] == [problem.split(": ", 1)[1] for problem in told[:1]]
    assert 2 == len(told)


def test_run_reloads_and_stops(config: Path) -> None:
    """`run` logs JSON lines to stderr, reloads on SIGHUP, and ends with 0 on SIGTERM."""
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    content["http"] = {"listen": "127.0.0.1:0"}
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", "run", "--config", str(config)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stop = threading.Timer(280, process.kill)
    stop.start()
    try:
        assert process.stderr is not None
        address, events = "", []
        for line in process.stderr:
            event = json.loads(line)
            events.append(event["event"])
            if event["event"] == "service.started":
                address = event["url"]
                with urllib.request.urlopen(f"{address}-/healthy", timeout=60) as response:
                    assert 200 == response.status
                process.send_signal(signal.SIGHUP)
            if event["event"] == "config.reloaded":
                process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(120)
    finally:
        stop.cancel()
        process.kill()
        process.stdout.close()  # type: ignore[union-attr]
        process.stderr.close()  # type: ignore[union-attr]

    assert address
    assert "service.stopped" == events[-1]


def test_demo_cleans_up(tmp_path: Path) -> None:
    """`demo` prints the addresses to open and leaves nothing behind."""
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", "demo", "--listen", "127.0.0.1:0", "--log.level", "error"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
    )
    stop = threading.Timer(280, process.kill)
    stop.start()
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        address = next(line.split()[-1] for line in lines if "/metrics" in line)
        with urllib.request.urlopen(address, timeout=60) as response:
            assert b"impulse_monitor_build_info" in response.read()
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(120)
    finally:
        stop.cancel()
        process.kill()
        process.stdout.close()  # type: ignore[union-attr]

    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [["simulate"], ["demo", "--listen", "127.0.0.1:0"]])
def test_an_early_interrupt_ends_quietly(command: list[str]) -> None:
    """Ctrl-C while a command still loads or starts ends it without a traceback."""
    for seconds in (0, 0.25, 0.65, 1.5):
        # the times of imports say that the command is being loaded: before, there is only Python to interrupt
        whole = [sys.executable, "-X", "importtime", "-m", "monitor", *command]
        with subprocess.Popen(whole, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert any("monitor." in line for line in process.stderr)
            timer = threading.Timer(seconds, process.send_signal, [signal.SIGINT])
            timer.start()
            errors = ""
            while process.returncode is None:
                try:
                    _, errors = process.communicate(timeout=20)
                except subprocess.TimeoutExpired:  # Python drops one that comes while it cleans up after an import
                    process.send_signal(signal.SIGINT)
            timer.join()
        assert "Traceback" not in errors
