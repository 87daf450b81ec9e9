"""The trials of this folder in a small version; `python -m tests.chaos` runs them whole."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from monitor.simulator import GeneratedProject, Studio, projects
from tests.chaos import fleet, fuzz, kills, members, memory, sickness, truth, warp, week

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(900)  # half a minute each, on a machine that does nothing else


def run(name: str, *options: str, timeout: float = 840) -> subprocess.CompletedProcess[str]:
    """Run a trial in a process of its own."""
    command = [sys.executable, "-m", "tests.chaos", name, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT)


def test_a_sick_fleet() -> None:
    """Six of ten projects sick in changing ways, 10 rounds: no wrong figure, no target forgotten, the healthy on time,
    no secret told.
    """
    done = run("fleet", "--rounds", "10", "--projects", "10", "--storm", "4")

    assert 0 == done.returncode, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("\n0 problems")


def test_silent_projects_hold_up_nobody() -> None:
    """Six of ten projects that hang, trickle or take longer than the timeout cost the others none of their pulls."""
    options = [option for name in ("hangs", "trickle", "slower-than-the-timeout") for option in ("--only", name)]
    done = run("fleet", "--rounds", "4", "--projects", "10", *options)

    assert 0 == done.returncode, done.stdout + done.stderr


def test_every_sickness_strikes(tmp_path: Path) -> None:
    """What a trial lets a project suffer from meets its requests: none is only a name."""
    project = projects.classification(1, "one", sizes={"testing": 3})
    names = sickness.names(project)

    assert {"hangs", "endless", "huge", "bomb", "trickle", "reset", "html", "truncated", "swap-in-small-pages"} <= set(
        names
    )
    for name in names:
        studio = Studio([projects.classification(1, "one", sizes={"testing": 60})])
        sick = sickness.befall(studio, studio.projects[1], name)
        for call in ("project", "result/page", "result/page", "impulses"):
            studio.meet(call, 1)
        assert any(fault.met for fault in sick.faults), name
        sickness.heal(studio, sick)
        assert [] == studio.faults


def test_a_wrong_figure_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial finds figures that differ from the truth by a thousandth, and a secret in the log."""
    shown = truth.shown
    monkeypatch.setattr(truth, "shown", lambda snapshot: {key: value * 1.001 for key, value in shown(snapshot).items()})
    monkeypatch.setattr("monitor.logs.Secrets.mask", lambda self, text: text)
    report = warp.run(lambda clock: fleet.trial(clock, tmp_path, 1, number=3, only=("key-in-refusal",)))

    assert any("accuracy_ratio{} is" in problem for problem in report.problems)
    assert any("key of" in problem and "is in the log" in problem for problem in report.problems)


def test_all_figures_are_compared() -> None:
    """The truth of a detector has COCO's mAP, that of a classifier slices and calibration; what pages no longer say is
    true no more.
    """
    studio = Studio(fleet.fleet(10, 24))
    boxes, classes = (
        truth.truth(project, 1, "int8", "testing", fleet.SLICES)
        for kind in ("box_detector", "classification")
        for project in studio.projects.values()
        if isinstance(project, GeneratedProject) and project.name.startswith(kind)
    )
    names = {name for name, _ in (*boxes.series(), *classes.series())}
    assert {
        "map_ratio",
        "class_ap_ratio",
        "slice_accuracy_ratio",
        "calibration_error_ratio",
        "brier_score",
        "log_loss",
    } <= names

    sick = sickness.befall(studio, studio.projects[1000], "side-type-metadata-list")
    assert {name for name, _ in classes.series()} - {name for name, _ in classes.series(sick)} == {
        "slice_accuracy_ratio",
        "slice_windows",
    }
    assert [] != truth.differences(classes, [], classes.series(sick))
    assert [] == truth.differences(classes, [sick], classes.series(sick))


def test_what_was_true_when_a_pull_began_is_known_at_its_end() -> None:
    """However often a project changes during a pull, all that was true meanwhile counts; afterwards it is forgotten."""
    studio = Studio([projects.classification(1, "one", sizes={"testing": 3})])
    project = studio.generated(1)
    target = f"1-{project.impulses[0].id}-{project.impulses[0].variants[0].name}-testing"

    async def main(clock: warp.Clock) -> tuple[list[int], list[int]]:
        versions = fleet.Versions(studio, clock)
        versions.pulled[target] += 1
        began = clock.time()
        for _ in range(40):
            versions.changes(project)
            project.add(1)
        during = [len(true.records) for true in versions.since(target, began)]
        versions.pull_ended(target)
        return during, [len(true.records) for true in versions.since(target, began)]

    during, afterwards = warp.run(main)

    assert [43, *range(3, 43)] == during
    assert [43] == afterwards


def test_a_night_of_winter_time() -> None:
    """Through the night in which Berlin's clocks are set back, with a wall clock that steps, every target is pulled at
    each of its times, a crontab of every half hour throughout, one at 02:30 once; and nothing grows.
    """
    times = {
        number: week.cron_times(
            number, *(datetime.fromtimestamp(warp.START + day * week.DAY, week.BERLIN) for day in (3, 4))
        )
        for number in week.CRONS
    }
    done = run("week", "--days", "0.1", "--every", "300", "--start", "3.45")

    assert {201: 1, 202: 48, 203: 0} == {number: len(found) for number, found in times.items()}
    assert 0 == done.returncode, done.stdout + done.stderr


def test_scheduled_time_waits_for_work() -> None:
    """Time passes where all wait for it, at once, and not while a thread works; the wall clock steps, the monotonic one
    does not.
    """

    async def main(clock: warp.Clock) -> tuple[float, float, float]:
        import time

        before = time.monotonic(), time.time()
        async with asyncio.timeout(3600):
            await asyncio.to_thread(lambda: sum(range(3_000_000)))
        worked = time.monotonic() - before[0]
        await asyncio.sleep(week.DAY)
        clock.step(-100)
        return worked, time.monotonic() - before[0], time.time() - before[1]

    for threads in (True, False):
        worked, passed, wall = warp.run(main, threads=threads)
        assert 0 == worked
        assert week.DAY == pytest.approx(passed)
        assert week.DAY - 100 == pytest.approx(wall)


def test_killed_with_a_full_disk_and_a_dead_receiver() -> None:
    """Five kills, each with another trouble beside it, lose no transition and double none."""
    done = run("kills", "--times", str(len(kills.TROUBLES)), "--seed", "3")
    if done.returncode == 77:
        if os.environ.get("CI") == "true" and os.geteuid() == 0:
            pytest.fail(done.stderr)
        pytest.skip("a small file system needs root and the right to mount")

    assert 0 == done.returncode, done.stdout + done.stderr


def test_a_fleet_is_hit() -> None:
    """Killed, frozen, cut off and without PostgreSQL, with clocks an hour apart, a fleet that went on from a SQLite
    store writes no run twice, loses and doubles no alert, keeps to budgets and Retry-After, and shows the same in each
    replica.
    """
    options = ("--events", str(len(members.ORDER)), "--projects", "9", "--every", "6")
    done = run("members", *options, "--patience", "6")  # not of the machine, but of those who share it
    if done.returncode == 77:
        if os.environ.get("CI") == "true" and os.geteuid() == 0:
            pytest.fail(done.stderr)
        pytest.skip("a network of its own needs root, and the programs that stand behind and before the fleet")

    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_random_inputs(target: str) -> None:
    """300 mutations of good inputs raise nothing but the documented errors."""
    assert [] == fuzz.at_random(target, 300, seed=11)


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed; the extra dev has it"
)
def test_led_inputs() -> None:
    """Inputs led by what they reach raise nothing but the documented errors."""
    done = run("fuzz", "--engine", "atheris", "--target", "web-config", "--inputs", "300")

    assert 0 == done.returncode, done.stdout + done.stderr


def test_the_deployments_agree_on_the_memory() -> None:
    """Chart, unit and compose file give the service the same."""
    assert {512 * 2**20} == set(memory.limits().values())


@pytest.mark.parametrize("case", ["endless", "bomb", "blank", "name", "classes", memory.MIXED])
async def test_memory(case: str, tmp_path: Path) -> None:
    """Sixteen projects at once, each pulled twice, whose replies should exhaust the memory stay below what chart and
    unit give the service; bodies with an end, and plain ones, are among the mixed.
    """
    assert await memory.peak(case, 16, tmp_path, pulls=2) < min(memory.limits().values())
