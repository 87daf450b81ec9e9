"""Stores of released versions, opened by the newest code: nothing is lost, nothing is raised by what did not change."""

from __future__ import annotations

import asyncio
import json
import lzma
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from monitor.alerts.states import AlertState, Phase
from monitor.compare.comparison import Comparison
from monitor.compare.error_evidence import ERRORS
from monitor.figures.headline import headlines
from monitor.service.app import App
from monitor.simulator import Studio, load_recorded, serve
from monitor.simulator.recorded import RecordedProject
from monitor.store import Message, Run, Store
from monitor.store.engine import parse
from tests.store.releases import FIXTURES, RELEASES, restore_postgresql, sqlite_store

LATER = 1_790_003_600.0  # Unix seconds: an hour after the release's runs
TARGETS = [f"{number}-1-int8-testing" for number in (101, 103, 104, 105, 106, 107, 108, 109, 110, 112)]
PENDING = "RareClass"


@pytest.fixture
def released() -> int:
    """Which release wrote the store: by default the first."""
    return 1


@pytest.fixture
def release_sqlite(tmp_path: Path, released: int) -> str:
    """A copy of the SQLite store."""
    return sqlite_store(released, tmp_path)


@pytest.fixture
async def release_postgresql(postgresql: str, released: int) -> str:
    """A database with the PostgreSQL dump."""
    await restore_postgresql(released, postgresql)
    return postgresql


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def release(request: pytest.FixtureRequest) -> str:
    """The URL of a store that the release wrote, of both back ends."""
    url: str = request.getfixturevalue(f"release_{request.param}")
    return url


@pytest.fixture
def pages(released: int) -> dict[str, Any]:
    """What Studio answered last, by project."""
    found: dict[str, Any] = json.loads(lzma.decompress((FIXTURES / f"studio-{released}.json.xz").read_bytes()))
    return found


@pytest.fixture
def studio(pages: dict[str, Any], tmp_path: Path) -> Studio:
    """A Studio that still answers it."""
    return Studio([recorded(tmp_path, number, page) for number, page in pages.items()])


def recorded(folder: Path, number: str, page: Any) -> RecordedProject:
    """A project that serves a page."""
    path = folder / f"page-{number}.json"
    path.write_text(json.dumps(page))
    return load_recorded(path)


@dataclass(frozen=True)
class Kept:
    """What a store holds that an upgrade must keep."""

    runs: dict[str, list[Run]]
    pinned: dict[str, tuple[int, float, str]]
    alerts: dict[tuple[str, str], AlertState]
    messages: list[Message]
    evidence: dict[str, dict[int, tuple[float, int, float]]]


async def kept(url: str) -> Kept:
    """All of it."""
    async with Store(url) as store:
        return Kept(
            {target: await store.runs(target) for target in await store.target_ids()},
            {row.target_id: (row.run_id, row.since, row.why) for row in await store.baselines()},
            {
                (state.alertname, state.target_id): state
                for state in await store.alert_states()
                if state.alertname != "EdgeImpulseQuantizationLoss"  # which those releases did not have
            },
            await store.messages("nobody"),
            {
                target: {
                    block: (memory.evidence.evidence, memory.evidence.added, memory.since)
                    for block, memory in (await store.drift_states(target)).items()
                    if block != ERRORS  # which those releases did not have
                }
                for target in TARGETS
            },
        )


def configuration(release: str, studio: Studio, url: str) -> str:
    """A configuration of the service, as the release had it."""
    return yaml.safe_dump(
        {
            "studio": {"url": url},
            "schedule": {"every": "1s"},
            "stale_after": "1d",
            "store": release,
            "http": {"listen": "127.0.0.1:0"},
            "projects": [{"id": number, "api_key": project.api_key} for number, project in studio.projects.items()],
            "notify": [{"name": "nobody", "webhook": {"url": "http://127.0.0.1:9/"}}],
            "alerts": [{"alert": PENDING, "metric": "mean_f1", "below": 0.9, "for": "3 pulls", "severity": "info"}],
        }
    )


@asynccontextmanager
async def running(release: str, studio: Studio, folder: Path) -> AsyncIterator[App]:
    """The service on the store and the Studio, an hour after the release was stopped, until it is left."""
    began = time.time()
    path = folder / "monitor.yaml"
    async with serve(studio) as url:
        path.write_text(configuration(release, studio, url))
        async with App(path, clock=lambda: LATER + time.time() - began) as app:
            yield app


async def pulled(app: App, count: int = 2) -> None:
    """Wait until each target was pulled so often."""
    moments: dict[str, set[float]] = {target: set() for target in TARGETS}
    async with asyncio.timeout(240):
        while any(len(found) < count for found in moments.values()):
            for target, shown in app.live.snapshots.items():
                if shown.last_pull >= LATER and shown.error == "":
                    moments[target].add(shown.last_pull)
            await asyncio.sleep(0.02)


def standing(state: AlertState) -> tuple[object, ...]:
    """What must not move where nothing changed."""
    return (
        state.phase,
        state.since,
        state.starts_at,
        state.ends_at,
        state.held,
        state.points,
        dict(state.labels),
        state.digest,
    )


@pytest.mark.parametrize("released", RELEASES)
async def test_everything_is_there_and_nothing_is_raised(release: str, studio: Studio, tmp_path: Path) -> None:
    """History, baselines, alerts, drift and messages outlive the upgrade; an unchanged result set
    is none that is new.
    """
    before = await kept(release)
    assert {Phase.FIRING, Phase.PENDING} <= {state.phase for state in before.alerts.values()}
    async with running(release, studio, tmp_path) as app:
        await pulled(app)
        comparisons = {target: shown.comparison for target, shown in app.live.snapshots.items()}
    after = await kept(release)

    assert_nothing_moved(before, after)
    for target, comparison in comparisons.items():
        assert_of_today(comparison, after, target)


def assert_nothing_moved(before: Kept, after: Kept) -> None:
    """All is there, the runs since say that nothing changed, and alerts, drift and messages are where they were."""
    assert TARGETS == sorted(before.runs) == sorted(after.runs)
    for target in TARGETS:
        count = len(before.runs[target])
        old, new = after.runs[target][:count], after.runs[target][count:]
        assert [(run.id, run.finished, run.state, run.changed) for run in before.runs[target]] == [
            (run.id, run.finished, run.state, run.changed) for run in old
        ]
        assert all(run.unreadable is None for run in after.runs[target])
        assert [] == [run.finished for run in new if run.changed]
        since = [run for run in after.runs[target] if run.last_seen >= LATER]
        assert after.runs[target][-1] in since
        assert {old[-1].last_change} == {run.last_change for run in since}
        assert {old[-1].fingerprint} == {run.fingerprint for run in since}
    assert before.pinned == after.pinned
    assert {key: standing(state) for key, state in before.alerts.items()} == {
        key: standing(state) for key, state in after.alerts.items()
    }
    assert [message.payload for message in before.messages] == [message.payload for message in after.messages]
    assert before.evidence == after.evidence


def assert_of_today(comparison: Comparison | None, after: Kept, target: str) -> None:
    """What is shown of the baseline is what the store has of it, made by the formulas of today."""
    (number, *_) = after.pinned[target]
    pinned = next(run for run in after.runs[target] if run.id == number)
    assert pinned.versions.comparable
    assert comparison is not None
    assert not comparison.broken
    assert pinned.evaluation is not None
    assert {name: figure.value for name, figure in headlines(pinned.evaluation).items()} == comparison.baseline.values
    assert (pinned.fingerprint, pinned.finished) == (comparison.baseline.fingerprint, comparison.baseline.timestamp)


async def test_alerts_go_on_from_where_they_stood(
    release_sqlite: str, studio: Studio, pages: dict[str, Any], tmp_path: Path
) -> None:
    """The next result set that is really another one counts as the second pull of a pending alert."""
    before = await kept(release_sqlite)
    pending = next(
        target for (name, target), state in before.alerts.items() if name == PENDING and state.phase is Phase.PENDING
    )
    number = pending.partition("-")[0]
    async with running(release_sqlite, studio, tmp_path) as app:
        await pulled(app)
        fewer = pages[number] | {"result": pages[number]["result"][:-1]}
        gone = pages[number]["result"][-1]["sampleId"]
        fewer["predictions"] = [item for item in fewer["predictions"] if item["sampleId"] != gone]
        project = recorded(tmp_path, number, fewer)
        project.timeline = studio.timeline
        studio.projects[int(number)] = project
        async with asyncio.timeout(120):
            while app.live.alerts[PENDING, pending].held == 1:
                await asyncio.sleep(0.05)
    after = await kept(release_sqlite)

    assert (1, 2) == (before.alerts[PENDING, pending].held, after.alerts[PENDING, pending].held)
    assert after.runs[pending][-1].changed


def _other_formula(patch: pytest.MonkeyPatch) -> None:
    """A fingerprint by another formula."""
    from monitor.results import ResultSet

    formula = ResultSet.fingerprint
    patch.setattr(ResultSet, "fingerprint", lambda self: "f" + formula(self)[1:])


def _texts_are_read(patch: pytest.MonkeyPatch) -> None:
    """Thresholds that are texts are read, and part of the fingerprint: no older release had them."""
    import hashlib
    from dataclasses import replace

    from monitor.pipeline import run as pipeline
    from monitor.results import ResultSet
    from monitor.studio.pull import pull

    formula = ResultSet.fingerprint

    def fingerprint(self: ResultSet) -> str:
        return hashlib.sha256(f"{formula(self)} {[dict(block.texts) for block in self.blocks]}".encode()).hexdigest()

    async def pull_with_texts(*arguments: Any, **options: Any) -> ResultSet:
        results = await pull(*arguments, **options)
        return replace(results, blocks=tuple(replace(block, texts={"method": "max"}) for block in results.blocks))

    patch.setattr(ResultSet, "fingerprint", fingerprint)
    patch.setattr(pipeline, "pull", pull_with_texts)


def _figures_by_other_formulas(patch: pytest.MonkeyPatch) -> None:
    """All shares are computed otherwise."""
    from dataclasses import replace

    from monitor.figures import evaluate
    from monitor.figures.evaluation import Evaluation
    from monitor.pipeline import recompute
    from monitor.pipeline import run as pipeline

    def halved(*arguments: Any) -> Evaluation:
        found = evaluate(*arguments)
        quality = found.quality and replace(
            found.quality, accuracy=found.quality.accuracy / 2, mean_f1=found.quality.mean_f1 / 2
        )
        return replace(found, quality=quality)

    patch.setattr(recompute, "evaluate", halved)
    patch.setattr(pipeline, "evaluate", halved)


@pytest.mark.parametrize("change", [_other_formula, _texts_are_read, _figures_by_other_formulas])
async def test_whatever_formula_changes(
    release_sqlite: str,
    studio: Studio,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[pytest.MonkeyPatch], None],
) -> None:
    """Another formula of the fingerprint, more that is read, or other figures: the same holds, and baselines are by the
    new formula.
    """
    before = await kept(release_sqlite)
    change(monkeypatch)
    async with running(release_sqlite, studio, tmp_path) as app:
        await pulled(app)
        comparisons = {target: shown.comparison for target, shown in app.live.snapshots.items()}
    after = await kept(release_sqlite)

    assert_nothing_moved(before, after)
    for target, comparison in comparisons.items():
        assert_of_today(comparison, after, target)
        assert comparison is not None
        assert [] == [note for note in comparison.notes if "threshold" in note]
    if change is _texts_are_read:
        async with Store(release_sqlite) as store:
            assert {"max"} == {
                memory.block.texts["method"]
                for target in TARGETS
                for block, memory in (await store.drift_states(target)).items()
                if block != ERRORS
            }
    if change is _figures_by_other_formulas:
        old, new = (
            next(run for run in one.runs[TARGETS[0]] if run.id == one.pinned[TARGETS[0]][0]) for one in (before, after)
        )
        assert old.evaluation is not None
        assert new.evaluation is not None
        assert old.evaluation.quality is not None
        assert new.evaluation.quality is not None
        assert new.evaluation.quality.accuracy == old.evaluation.quality.accuracy / 2


@pytest.mark.slow
async def test_two_at_once(release: str, studio: Studio, tmp_path: Path) -> None:
    """Two processes that bring up the same targets at the same time do it once, and neither raises anything."""
    before = await kept(release)
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    async with running(release, studio, folders[0]) as one, running(release, studio, folders[1]) as other:
        await asyncio.gather(pulled(one), pulled(other))
    after = await kept(release)

    assert_nothing_moved(before, after)


_KILLED = """
import asyncio, os, signal, sys, time
from pathlib import Path
from monitor.service.app import App
from monitor.store import Transaction

began, left, brought_up = time.time(), [int(sys.argv[2])], Transaction.replace_figures

async def killed(self, *arguments):
    done = await brought_up(self, *arguments)
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)  # what was written is not committed
    return done

async def main():
    Transaction.replace_figures = killed
    async with App(Path(sys.argv[1]), clock=lambda: LATER + time.time() - began):
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("release", "after_so_many"), [("sqlite", 1), ("sqlite", 14), ("postgresql", 8)], indirect=["release"]
)
async def test_killed_half_way(release: str, studio: Studio, tmp_path: Path, after_so_many: int) -> None:
    """A process that is killed while it brings up a run leaves nothing half done: the next one goes on, and all is as
    it was.
    """
    before = await kept(release)
    path = tmp_path / "killed.yaml"
    async with serve(studio) as url:
        path.write_text(configuration(release, studio, url))
        program = _KILLED.replace("LATER", str(LATER - 60))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program,
            str(path),
            str(after_so_many),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        code = await asyncio.wait_for(process.wait(), 60)
    half = await kept(release)
    async with running(release, studio, tmp_path) as app:
        await pulled(app)
    after = await kept(release)

    assert -signal.SIGKILL == code
    old = [
        run.versions.comparable
        for runs in half.runs.values()
        for run in runs
        if run.id in {row[0] for row in half.pinned.values()}
    ]
    assert False in old
    assert_nothing_moved(before, after)


async def test_a_damaged_result_set_costs_its_target_only(release_sqlite: str, studio: Studio, tmp_path: Path) -> None:
    """A pinned baseline whose result set cannot be read says so; it costs no pull, and the other targets are brought
    up.
    """
    before = await kept(release_sqlite)
    damaged, _, _ = before.pinned[TARGETS[0]]
    engine = create_async_engine(parse(release_sqlite))
    async with engine.begin() as connection:
        where = "id = (SELECT result_set_id FROM run WHERE id = :run)"
        await connection.execute(
            text(f"UPDATE result_set SET data = :data WHERE {where}"), {"data": b"PK", "run": damaged}
        )
    await engine.dispose()
    async with running(release_sqlite, studio, tmp_path) as app:
        await pulled(app)
        shown = {target: found.comparison for target, found in app.live.snapshots.items()}
    after = await kept(release_sqlite)

    broken = shown.pop(TARGETS[0])
    assert broken is not None
    assert broken.broken
    assert "pin another run" in broken.notes[0]
    for target, comparison in shown.items():
        assert_of_today(comparison, after, target)
    assert_nothing_moved(before, after)


@pytest.mark.parametrize("mode", [{"mode": "previous"}, {"mode": "rolling", "age": "1m"}])
async def test_baselines_of_other_modes(
    release_sqlite: str, studio: Studio, tmp_path: Path, mode: dict[str, str]
) -> None:
    """A run that another mode chooses is brought up as well before anything is compared with it."""
    path = tmp_path / "monitor.yaml"
    began = time.time()
    async with serve(studio) as url:
        path.write_text(configuration(release_sqlite, studio, url) + yaml.safe_dump({"baseline": mode}))
        async with App(path, clock=lambda: LATER + time.time() - began) as app:
            await pulled(app)
            shown = {target: found.comparison for target, found in app.live.snapshots.items()}
    async with Store(release_sqlite) as store:
        for target, comparison in shown.items():
            row = await store.baseline(target, mode["mode"])
            assert row is not None
            run = await store.run(row.run_id)
            assert run is not None
            assert comparison is not None
            assert run.versions.comparable
            assert (run.fingerprint, run.finished) == (comparison.baseline.fingerprint, comparison.baseline.timestamp)
